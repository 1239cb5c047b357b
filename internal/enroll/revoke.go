package enroll

import (
	"context"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

// Remove takes a device from its person: its certificates are revoked, and it
// counts no longer. It returns ErrNotFound for a device that is not theirs.
func (r *Registrar) Remove(ctx context.Context, by portal.Actor, id portal.DeviceID) error {
	if _, err := r.Device(ctx, by.Person, id); err != nil {
		return err
	}
	_, err := r.revoke(ctx, by, portal.Removed, id)
	return err
}

// revoke ends certificates and has the revocation list renewed.
func (r *Registrar) revoke(ctx context.Context, by portal.Actor, cause portal.Cause, remove portal.DeviceID, serials ...ca.Serial) (int, error) {
	now := r.c.Now()
	ended, err := r.c.Store.Revoke(ctx, Revocation{
		Serials: serials, Cause: cause, At: now, RemoveDevice: remove,
		Entry: by.Entry(now, audit.CertificateRevoked),
	})
	if err != nil {
		return 0, portal.AsOutage(portal.PartStore, "revoking", err)
	}
	if len(ended) > 0 {
		r.c.Revoked()
	}
	return len(ended), nil
}
