//go:build witness

package app

import (
	"context"
	"crypto/sha256"
	"time"

	"certportal/ca/witness"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// steps are the records of the program that the kill tests end at named steps.
type steps struct{ enroll.Store }

func withSteps(s enroll.Store) enroll.Store { return steps{s} }

// around names the steps before and after an act.
func around(name string, act func() error) error {
	witness.Point("before-" + name)
	err := act()
	if err == nil {
		witness.Point("after-" + name)
	}
	return err
}

func (s steps) Admit(ctx context.Context, r enroll.Reservation) error {
	return around("admit", func() error { return s.Store.Admit(ctx, r) })
}

func (s steps) Reserve(ctx context.Context, r enroll.Reservation) error {
	return around("reserve", func() error { return s.Store.Reserve(ctx, r) })
}

func (s steps) Complete(ctx context.Context, c enroll.Completion) error {
	return around("complete", func() error { return s.Store.Complete(ctx, c) })
}

func (s steps) Pickup(ctx context.Context, hash [sha256.Size]byte) (p enroll.EncryptedPickup, err error) {
	err = around("pickup", func() error { p, err = s.Store.Pickup(ctx, hash); return err })
	return p, err
}

func (s steps) ClaimRead(ctx context.Context, hash [sha256.Size]byte, max int, e audit.Entry) error {
	return around("claim", func() error { return s.Store.ClaimRead(ctx, hash, max, e) })
}

func (s steps) ConfirmRead(ctx context.Context, hash [sha256.Size]byte, max int, at time.Time) error {
	return around("confirm", func() error { return s.Store.ConfirmRead(ctx, hash, max, at) })
}

func (s steps) Device(ctx context.Context, person portal.PersonID, id portal.DeviceID) (d portal.Device, err error) {
	err = around("device", func() error { d, err = s.Store.Device(ctx, person, id); return err })
	return d, err
}
