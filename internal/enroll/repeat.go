package enroll

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"time"

	"certportal/ca"
	"certportal/internal/portal"
)

const (
	// repeatLife is how long the same request of a device leads to the same certificate:
	// the answer may be lost on its way, and devices ask again.
	repeatLife = 10 * time.Minute

	// repeatProbe is how often it is looked whether the first of two requests is done.
	repeatProbe = 50 * time.Millisecond
)

// repeatOf gives the certificate again that the same request led to a short while ago:
// for the same key, and while it works. For every other request the answer is no.
func (r *Registrar) repeatOf(ctx context.Context, by portal.Actor, serial ca.Serial, key crypto.PublicKey, no string) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, issueTimeout)
	defer cancel()
	c, err := r.finished(ctx, serial)
	switch {
	case errors.Is(err, portal.ErrNotFound):
		return nil, &portal.Denial{Why: no}
	case err != nil:
		return nil, portal.AsOutage(portal.PartStore, "finding the first answer", err)
	}
	cert, err := r.repeated(ctx, c, key, no)
	if err != nil {
		return nil, err
	}
	if err := r.stillAllowed(ctx, by.Person); err != nil {
		return nil, err
	}
	switch err := r.c.Store.Confirm(ctx, serial, cert.Raw); {
	case errors.Is(err, portal.ErrConflict): // it ended meanwhile
		return nil, &portal.Denial{Why: no}
	case err != nil:
		return nil, portal.AsOutage(portal.PartStore, "confirming the first answer", err)
	}
	r.c.Log.Info("same certificate given again", "person", by.Person, "serial", serial.String(), "request", by.Request)
	return cert, nil
}

// repeated is the certificate that a request with this key led to, while it may be given
// again.
func (r *Registrar) repeated(ctx context.Context, c portal.Certificate, key crypto.PublicKey, no string) (*x509.Certificate, error) {
	now := r.c.Now()
	if c.Status != portal.Issued && c.Status != portal.Superseded || !now.Before(c.End()) || !now.Before(c.Requested.Add(repeatLife)) {
		return nil, &portal.Denial{Why: no}
	}
	cert, err := r.signers.recorded(ctx, c.Serial, c.DER)
	if err != nil {
		return nil, err
	}
	if same, ok := key.(interface{ Equal(crypto.PublicKey) bool }); !ok || !same.Equal(cert.PublicKey) {
		return nil, &portal.Denial{Why: no}
	}
	return cert, nil
}

// HandOut gives a certificate of the store to its person, when its record is durable and it is
// what a CA of this portal signed. It returns ErrNotFound for one that ended.
func (r *Registrar) HandOut(ctx context.Context, c portal.Certificate) (*x509.Certificate, error) {
	cert, err := r.signers.recorded(ctx, c.Serial, c.DER)
	if err != nil {
		return nil, err
	}
	if err := r.c.Store.Confirm(ctx, c.Serial, c.DER); errors.Is(err, portal.ErrConflict) {
		return nil, portal.ErrNotFound
	} else if err != nil {
		return nil, portal.AsOutage(portal.PartStore, "confirming certificate", err)
	}
	return cert, nil
}

// finished waits until a certificate that a running request makes is issued or ended.
func (r *Registrar) finished(ctx context.Context, serial ca.Serial) (portal.Certificate, error) {
	probe := time.NewTicker(repeatProbe)
	defer probe.Stop()
	for {
		device, err := r.c.Store.Held(ctx, serial)
		c := device.Certificate
		if err != nil || c.Status != portal.Pending || c.Requested.Before(r.Stale()) {
			return c, err
		}
		select {
		case <-probe.C:
		case <-ctx.Done():
			return c, ctx.Err()
		}
	}
}

// overtaken says what stood in the way of a reservation with a challenge. The same
// request, on another replica at the same time, leads to the same certificate.
func (r *Registrar) overtaken(ctx context.Context, by portal.Actor, challenge [sha256.Size]byte, key crypto.PublicKey) (*x509.Certificate, error) {
	stored, err := r.c.Store.ChallengeBySecret(ctx, challenge)
	switch {
	case errors.Is(err, portal.ErrNotFound):
		return nil, &portal.Denial{Why: portal.ChallengeUsed}
	case err != nil:
		return nil, portal.AsOutage(portal.PartStore, "finding challenge", err)
	case !stored.Used.IsZero():
		return r.repeatOf(ctx, by, stored.Serial, key, portal.ChallengeUsed)
	case !stored.Device.Removed.IsZero():
		return nil, &portal.Denial{Why: portal.DeviceGone}
	}
	return nil, &portal.Denial{Why: portal.KeyReused}
}
