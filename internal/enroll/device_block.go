package enroll

import (
	"context"
	"errors"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/signin"
)

// Block asks for all certificates of a device to be revoked for good.
type Block struct {
	Person portal.PersonID // whose device it is
	Device portal.DeviceID
	Cause  portal.Cause // Lost, Retired or Returned

	// Session is the hash of the id of the person's session that asks, and stays open.
	// Zero when staff asks.
	Session [32]byte

	// Detail are further facts for the audit log, such as how staff recognised the
	// person. Optional.
	Detail map[string]string

	// Alone bounds what one of the staff blocks; zero when the person asks.
	Alone Alone
}

// Block ends all that a device holds, for good, with everything that could lead to more
// of it: files not fetched yet, challenges, and the person's open hand-off; with
// cause Lost also their other sessions, one of which may be open on it. The
// device stays listed, as blocked. It returns ErrNotFound for a device that is not
// that person's, and ErrSecondPerson when it would exceed the bound. A device that is blocked already stays as it is.
//
// The list is renewed later: that it cannot be renewed now does not undo the
// block.
func (r *Registrar) Block(ctx context.Context, by portal.Actor, b Block) error {
	if _, err := r.Device(ctx, b.Person, b.Device); err != nil {
		return err
	}
	now := r.c.Now()
	entry := by.Entry(now, audit.CertificateRevoked)
	entry.Person, entry.Detail = string(b.Person), b.Detail
	ended, err := r.c.Store.Revoke(ctx, Revocation{Cause: b.Cause, At: now, BlockDevice: b.Device, KeepSession: b.Session, Entry: entry, Alone: b.Alone})
	if errors.Is(err, ErrSecondPerson) {
		return err
	}
	if err != nil {
		return portal.AsOutage(portal.PartStore, "blocking device", err)
	}
	if len(ended) > 0 {
		r.c.Revoked()
	}
	return nil
}

// Renaming gives a device another name.
type Renaming struct {
	Person portal.PersonID
	Device portal.DeviceID
	Name   string // as CleanDeviceName gives it
	At     time.Time
	Entry  audit.Entry
}

// RenamesPerHour is how often one person may rename devices within an hour: each time is
// an entry of the audit log for good.
const RenamesPerHour = 20

// Rename gives a device another name. It returns the *Refusal of a name that does
// not fit or that another device in use has, or with portal.RenamedOften, and
// ErrNotFound for a device that is not theirs, or that they removed.
func (r *Registrar) Rename(ctx context.Context, by portal.Actor, id portal.DeviceID, name string) error {
	name, err := portal.CleanDeviceName(name)
	if err != nil {
		return err
	}
	now := r.c.Now()
	tries, err := r.c.Store.Try(ctx, "renames of "+string(by.Person), signin.Limit{Tries: RenamesPerHour, Window: time.Hour}, now)
	if err != nil {
		return portal.AsOutage(portal.PartStore, "counting renames", err)
	}
	if !tries.Allowed {
		return &portal.Refusal{Reason: portal.RenamedOften, Field: "name", Limit: RenamesPerHour, Until: tries.Until}
	}
	entry := by.Entry(now, audit.DeviceRenamed)
	entry.Object = string(id)
	err = r.c.Store.Rename(ctx, Renaming{Person: by.Person, Device: id, Name: name, At: now, Entry: entry})
	return portal.AsOutage(portal.PartStore, "renaming device", err)
}

// TroublesPerHour is how often one person may say within an hour that a device does not
// work: each time is an entry of the audit log for good. Further times are not recorded.
const TroublesPerHour = 10

// NoteTrouble records for the helpdesk that a device of the person does not work, as they
// say.
func (r *Registrar) NoteTrouble(ctx context.Context, by portal.Actor, d portal.Device) error {
	now := r.c.Now()
	tries, err := r.c.Store.Try(ctx, "troubles of "+string(by.Person), signin.Limit{Tries: TroublesPerHour, Window: time.Hour}, now)
	if err != nil {
		return portal.AsOutage(portal.PartStore, "counting troubles", err)
	}
	if !tries.Allowed {
		return nil
	}
	entry := by.Entry(now, audit.DeviceTrouble)
	entry.Object = string(d.ID)
	entry.Detail = map[string]string{"name": d.Name, "platform": string(d.Platform), "state": string(d.State(now))}
	return portal.AsOutage(portal.PartStore, "recording that a device does not work", r.c.Store.Note(ctx, entry))
}
