package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

// noteWorks records that a certificate was seen to work, once, and returns the entry of
// that; none when it was known, or the certificate is not in force.
func (t *tx) noteWorks(ctx context.Context, serial ca.Serial, by portal.Proof, at time.Time, base audit.Entry) ([]audit.Entry, error) {
	var upn string
	var device, person sql.NullString
	err := t.One(ctx, `UPDATE certificates SET works_at = $2, works_by = $3
		WHERE serial = $1 AND works_at IS NULL AND status = 'issued' AND delivered_at IS NOT NULL AND not_after > $2
		RETURNING upn, device_id, person`, []any{serial.String(), at.UnixMilli(), string(by)}, &upn, &device, &person)
	switch {
	case errors.Is(err, portal.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("noting that %s works: %w", serial, err)
	}
	base.Action, base.Object, base.Person, base.At = audit.CertificateWorks, serial.String(), person.String, at
	base.Detail = withDetail(nil, "by", string(by), "upn", upn, "device", device.String)
	return []audit.Entry{base}, nil
}
