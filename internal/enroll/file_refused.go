package enroll

import (
	"context"
	"errors"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

// NoteFileRefused records that a file was asked for and is closed, so that the helpdesk
// sees why a phone gets none. Where that cannot be recorded, nothing else fails: nothing
// was handed out.
func (r *Registrar) NoteFileRefused(ctx context.Context, by portal.Actor, t Token, why *portal.Gone) {
	device, serial, err := r.deviceOf(ctx, t)
	if errors.Is(err, portal.ErrNotFound) {
		return // a token that never was
	}
	if err == nil {
		e := r.readEntry(by, File{Pickup: Pickup{Serial: serial, Device: device}}, "")
		if serial.IsZero() {
			e.Object = string(device.ID)
		}
		e.Action, e.Detail = audit.FileRefused, map[string]string{"reason": "file-" + why.Word(), "device": string(device.ID)}
		err = r.c.Store.Note(ctx, e)
	}
	if err != nil {
		r.c.Log.Error("recording a refused download", "request", by.Request, "err", err)
	}
}

// deviceOf finds the device that a token was made for, and its certificate; none where the
// device makes its key itself.
func (r *Registrar) deviceOf(ctx context.Context, t Token) (portal.Device, ca.Serial, error) {
	hash, ok := t.hash()
	if !ok {
		return portal.Device{}, ca.Serial{}, portal.ErrNotFound
	}
	p, err := r.c.Store.Pickup(ctx, hash)
	if !errors.Is(err, portal.ErrNotFound) {
		return p.Device, p.Serial, err
	}
	c, err := r.c.Store.ChallengeByToken(ctx, hash)
	return c.Device, ca.Serial{}, err
}
