package store

import (
	"context"
	"database/sql"
	"fmt"

	"certportal/ca"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// deviceColumns and certificateColumns are what [deviceRow] and
// [certificateRow] scan, of tables named d and c.
const (
	deviceColumns = `d.id, d.person, d.name, d.platform, d.created_at, d.removed_at, d.blocked_at, d.profile,
		(SELECT max(s.ends_at) FROM certificates s WHERE s.device_id = d.id AND s.status = 'superseded'),
		EXISTS (SELECT 1 FROM certificates s JOIN marks m ON m.serial = s.serial
			WHERE s.device_id = d.id AND s.status = 'superseded' AND m.change IN ('upn', 'sid'))`
	certificateColumns = `c.serial, c.status, c.kind, c.upn, c.sid, c.not_before, c.not_after, c.requested_at,
		c.delivered_at, c.revoked_at, c.cause, ` + firstListed + `, ` + lastUnlisted + `,
		c.ends_at, c.superseded_by, ` + gravestMismatch + `, c.works_at, ` + voidSince + `,
		c.authority, ` + waitsUpstream + `, ` + ofUpstream + `v.done_at` + thatRevokes + `, ` + ofUpstream + `v.listed_update` + thatRevokes + `,
		` + ofUpstream + `v.absent_update` + thatRevokes + `, ` + ofUpstream + `v.absent_until` + thatRevokes + `, c.der`
)

// waitsUpstream is whether the request of a certificate c waits at a CA elsewhere. Between
// ofUpstream and thatRevokes is a column of the revocation there, of a revoked certificate.
const (
	waitsUpstream = `EXISTS (SELECT 1 FROM upstream_requests q WHERE q.number = c.serial AND q.state = 'pending')`
	ofUpstream    = `CASE WHEN c.revoked_at IS NOT NULL THEN (SELECT `
	thatRevokes   = ` FROM upstream_revocations v WHERE v.serial = c.serial AND v.authority = c.authority) END`
)

// voidSince is when the CA of a certificate c was revoked.
const voidSince = `(SELECT a.revoked_at FROM authorities a WHERE a.name = COALESCE(c.authority, c.issuer) AND a.state = 'revoked')`

// firstListed is the number of the first CRL that names a certificate c, and
// lastUnlisted the time when the last CRL without it has expired. Both are NULL for
// certificates that are not revoked. Each looks up one row of one index.
const (
	firstListed = `(SELECT k.number FROM crls k WHERE k.issuer = COALESCE(c.authority, c.issuer) AND k.through >= ` + revocationOf + `
		ORDER BY k.through, k.number LIMIT 1)`
	lastUnlisted = `(SELECT k.until_at FROM crls k WHERE k.issuer = COALESCE(c.authority, c.issuer) AND k.through < ` + revocationOf + `
		ORDER BY k.through DESC, k.number DESC LIMIT 1)`
	revocationOf = `(SELECT r.seq FROM revocations r WHERE r.serial = c.serial)`
)

// gravestMismatch is the mismatch of a certificate c, the gravest where there are
// several.
const gravestMismatch = `(SELECT m.change FROM marks m WHERE m.serial = c.serial ORDER BY CASE m.change
		WHEN 'gone' THEN 1 WHEN 'disabled' THEN 2 WHEN 'expired' THEN 3 WHEN 'protected' THEN 4 WHEN 'sid' THEN 5 WHEN 'upn' THEN 6
		ELSE 7 END LIMIT 1)`

// newestCertificate selects the certificate that a device d shows: the newest that
// is not revoked, superseded ones last; else the newest revoked one; else the
// pending one. A failed attempt is none of these, and neither a pending one nor a
// renewal that was never fetched hides a certificate in force.
const newestCertificate = `c.serial = (SELECT n.serial FROM certificates n
	WHERE n.device_id = d.id AND (n.der IS NOT NULL OR n.status = 'pending')
	ORDER BY CASE WHEN n.der IS NULL THEN 3 WHEN n.revoked_at IS NOT NULL THEN 2 WHEN n.ends_at IS NOT NULL THEN 1 ELSE 0 END,
		n.requested_at DESC, n.serial LIMIT 1)`

type deviceRow struct {
	device                              portal.Device
	created, removed, blocked, formerly sql.NullInt64
	profile                             sql.NullString
	outdated                            bool
}

func (r *deviceRow) fields() []any {
	return []any{&r.device.ID, &r.device.Person, &r.device.Name, &r.device.Platform,
		&r.created, &r.removed, &r.blocked, &r.profile, &r.formerly, &r.outdated}
}

func (r *deviceRow) value() portal.Device {
	d := r.device
	d.Created, d.Removed = sqldb.TimeOf(r.created), sqldb.TimeOf(r.removed)
	d.Profile, d.Blocked = r.profile.String, sqldb.TimeOf(r.blocked)
	d.FormerEnds, d.FormerOutdated = sqldb.TimeOf(r.formerly), r.outdated
	return d
}

// certificateRow may be all NULL, where a device has no certificate.
type certificateRow struct {
	serial, status, kind, upn, sid, cause, changed, next                   sql.NullString
	notBefore, notAfter, requested, delivered, revokedMoment, listed, ends sql.NullInt64
	unlisted, works, void, confirmed, named, absent, absentUntil           sql.NullInt64
	authority                                                              sql.NullString
	waits                                                                  sql.NullBool
	der                                                                    []byte
}

func (r *certificateRow) fields() []any {
	return []any{&r.serial, &r.status, &r.kind, &r.upn, &r.sid, &r.notBefore, &r.notAfter, &r.requested,
		&r.delivered, &r.revokedMoment, &r.cause, &r.listed, &r.unlisted, &r.ends, &r.next, &r.changed, &r.works, &r.void,
		&r.authority, &r.waits, &r.confirmed, &r.named, &r.absent, &r.absentUntil, &r.der}
}

func (r *certificateRow) value() (portal.Certificate, error) {
	if !r.serial.Valid {
		return portal.Certificate{}, nil
	}
	serial, err := serialOf(r.serial.String)
	if err != nil {
		return portal.Certificate{}, err
	}
	var next ca.Serial
	if r.next.Valid {
		if next, err = serialOf(r.next.String); err != nil {
			return portal.Certificate{}, err
		}
	}
	upstream := r.authority.String
	if !isUpstream(upstream) {
		upstream = ""
	}
	return portal.Certificate{
		Upstream: upstream, Waits: r.waits.Bool, Confirmed: sqldb.TimeOf(r.confirmed),
		Named: sqldb.TimeOf(r.named), Absent: sqldb.TimeOf(r.absent), AbsentUntil: sqldb.TimeOf(r.absentUntil),
		Serial:     serial,
		Status:     portal.Status(r.status.String),
		Kind:       portal.Kind(r.kind.String),
		UPN:        r.upn.String,
		SID:        r.sid.String,
		NotBefore:  sqldb.TimeOf(r.notBefore),
		NotAfter:   sqldb.TimeOf(r.notAfter),
		Requested:  sqldb.TimeOf(r.requested),
		Delivered:  sqldb.TimeOf(r.delivered),
		Works:      sqldb.TimeOf(r.works),
		RevokedAt:  sqldb.TimeOf(r.revokedMoment),
		Cause:      portal.Cause(r.cause.String),
		Listed:     r.listed.Int64,
		ListsUntil: sqldb.TimeOf(r.unlisted),
		Ends:       sqldb.TimeOf(r.ends),
		Next:       next,
		Void:       sqldb.TimeOf(r.void),
		Changed:    portal.Change(r.changed.String),
		DER:        r.der,
	}, nil
}

// Devices lists a person's devices, newest first, without removed ones and those
// that never got a certificate and do not wait for one.
func (db Enrolments) Devices(ctx context.Context, person portal.PersonID) ([]portal.Device, error) {
	if !sqldb.Storable(string(person)) {
		return nil, nil
	}
	var devices []portal.Device
	err := db.All(ctx, `SELECT `+deviceColumns+`, `+certificateColumns+`
		FROM devices d JOIN certificates c ON `+newestCertificate+`
		WHERE d.person = $1 AND d.removed_at IS NULL AND (c.der IS NOT NULL OR `+waitsUpstream+`)
		ORDER BY d.created_at DESC, d.id`, []any{string(person)},
		func(rows *sql.Rows) error {
			var d deviceRow
			var c certificateRow
			if err := rows.Scan(append(d.fields(), c.fields()...)...); err != nil {
				return err
			}
			device := d.value()
			var err error
			device.Certificate, err = c.value()
			devices = append(devices, device)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("listing devices of %q: %w", person, err)
	}
	return devices, nil
}

// deviceQuery finds one device by its id ($1) and person ($2).
const deviceQuery = `SELECT ` + deviceColumns + `, ` + certificateColumns + `
	FROM devices d LEFT JOIN certificates c ON ` + newestCertificate + `
	WHERE d.id = $1 AND d.person = $2`

// Device finds a device of the person, removed or not. The error wraps
// portal.ErrNotFound when there is none or it is another person's.
func (db Enrolments) Device(ctx context.Context, person portal.PersonID, id portal.DeviceID) (portal.Device, error) {
	if !sqldb.Storable(string(person)) || !sqldb.Storable(string(id)) {
		return portal.Device{}, fmt.Errorf("finding device %q: %w", id, portal.ErrNotFound)
	}
	device, err := scanDevice(func(into ...any) error {
		return db.One(ctx, deviceQuery, []any{string(id), string(person)}, into...)
	})
	if err != nil {
		return portal.Device{}, fmt.Errorf("finding device %q: %w", id, err)
	}
	return device, nil
}

// device is [Enrolments.Device] inside a transaction.
func (t *tx) device(ctx context.Context, person portal.PersonID, id portal.DeviceID) (portal.Device, error) {
	return scanDevice(func(into ...any) error {
		return t.One(ctx, deviceQuery, []any{string(id), string(person)}, into...)
	})
}

func scanDevice(one func(into ...any) error) (portal.Device, error) {
	var d deviceRow
	var c certificateRow
	if err := one(append(d.fields(), c.fields()...)...); err != nil {
		return portal.Device{}, err
	}
	device := d.value()
	var err error
	device.Certificate, err = c.value()
	return device, err
}
