package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"certportal/internal/admin"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// scanBound is how many rows one page of a search looks at before it shows what it
// found and offers to go on.
const scanBound = 2000

// sortBound is the same where the reader chose the order: the index of an order lies
// further from that of the rows.
const sortBound = 1000

// listedColumns is what of certificates c a search reads: not the DER, which is
// longer than all the rest.
const listedColumns = `c.serial, c.kind, c.status, c.upn, c.person, c.device_id, c.not_before, c.not_after,
	c.requested_at, c.revoked_at, c.cause, c.delivered_at, c.works_at, c.issuer, c.authority`

// rowColumns is what [listedRow] scans, of tables c, p and d.
const rowColumns = listedColumns + `, ` + voidSince + `, p.name, d.name, d.platform`

// listedJoins finds person and device of a certificate c.
const listedJoins = ` LEFT JOIN people p ON p.id = c.person LEFT JOIN devices d ON d.id = c.device_id `

type listedRow struct {
	kind, status                                      string
	serial, upn, issuer                               string
	person, device, cause, name, deviceName, platform sql.NullString
	notBefore, notAfter, requested, revoked           sql.NullInt64
	delivered, works, void                            sql.NullInt64
	authority                                         sql.NullString
}

func (r *listedRow) fields() []any {
	return []any{&r.serial, &r.kind, &r.status, &r.upn, &r.person, &r.device, &r.notBefore, &r.notAfter,
		&r.requested, &r.revoked, &r.cause, &r.delivered, &r.works, &r.issuer, &r.authority, &r.void, &r.name, &r.deviceName, &r.platform}
}

func (r *listedRow) value(now time.Time) (admin.Certificate, error) {
	serial, err := serialOf(r.serial)
	c := portal.Certificate{
		Status: portal.Status(r.status), Cause: portal.Cause(r.cause.String), NotAfter: sqldb.TimeOf(r.notAfter),
		Delivered: sqldb.TimeOf(r.delivered), Works: sqldb.TimeOf(r.works),
		Void: sqldb.TimeOf(r.void),
	}
	if r.kind != string(portal.KindUser) && r.delivered.Int64 == 0 {
		// The portal's own are used where they are made.
		c.Delivered, c.Works = sqldb.TimeOf(r.requested), sqldb.TimeOf(r.requested)
	}
	return admin.Certificate{
		Serial: serial, Kind: portal.Kind(r.kind), State: stateOf(portal.Status(r.status), sqldb.TimeOf(r.notAfter), now), Shown: c.State(now),
		UPN: r.upn, Person: portal.PersonID(r.person.String), PersonName: r.name.String,
		Device: portal.DeviceID(r.device.String), DeviceName: r.deviceName.String,
		Platform:  portal.Platform(r.platform.String),
		NotBefore: sqldb.TimeOf(r.notBefore), NotAfter: sqldb.TimeOf(r.notAfter), Requested: sqldb.TimeOf(r.requested),
		RevokedAt: sqldb.TimeOf(r.revoked), Cause: portal.Cause(r.cause.String), Issuer: cmp.Or(r.authority.String, r.issuer),
	}, err
}

// cursor is where a search along the index goes on behind the row.
func (r *listedRow) cursor(x index) admin.Cursor {
	p := admin.Cursor{Last: r.serial}
	switch x.keys[0] {
	case "requested_at":
		p.At = r.requested.Int64
	case "not_after":
		p.At = r.notAfter.Int64
	case "revoked_at":
		p.At = r.revoked.Int64
	}
	return p
}

// stateOf is the state of a certificate at the moment.
func stateOf(status portal.Status, end, now time.Time) admin.State {
	switch {
	case status == portal.Revoked:
		return admin.Revoked
	case status == portal.Pending:
		return admin.Pending
	case !now.Before(end):
		return admin.Expired
	case status == portal.Superseded:
		return admin.Superseded
	}
	return admin.Working
}

// Certificates lists those the filter means, at most limit, behind the cursor.
func (db Search) Certificates(ctx context.Context, f admin.Filter, from admin.Cursor, limit int, now time.Time) (admin.Found[admin.Certificate], error) {
	if !searchable(f, from) {
		return admin.Found[admin.Certificate]{}, nil
	}
	found, err := db.certificates(ctx, certificateFilter{f, now}, from, limit)
	if err != nil {
		return admin.Found[admin.Certificate]{}, fmt.Errorf("searching certificates: %w", err)
	}
	return found, nil
}

// searchable reports whether a database can hold every text of the filter; what it
// cannot hold was never stored.
func searchable(f admin.Filter, from admin.Cursor) bool {
	return sqldb.Storable(f.Person) && sqldb.Storable(string(f.PersonID)) && sqldb.Storable(f.Device) && sqldb.Storable(string(f.DeviceID)) &&
		sqldb.Storable(f.Serial) && sqldb.Storable(f.Picked) && sqldb.Storable(f.Issuer) && sqldb.Storable(from.Group) && sqldb.Storable(from.ID) && sqldb.Storable(from.Last)
}

func (db Search) certificates(ctx context.Context, f certificateFilter, from admin.Cursor, limit int) (admin.Found[admin.Certificate], error) {
	s := scan[admin.Certificate]{
		db: db, limit: limit, bound: scanBound,
		from: "certificates c", alias: "c", newest: [2]string{"requested_at", "serial"},
		inner: listedColumns, columns: rowColumns, joins: listedJoins,
		filter: f.rest, read: f.read,
	}
	if f.Sort != "" {
		s.bound = sortBound
	}
	switch {
	case f.Serial != "" || f.Picked != "" || f.PersonID != "" || f.DeviceID != "":
	case f.Person != "":
		return inGroups(ctx, db.peopleNamed(f.PersonWords()), s.ofGroups("c.person", covered{person: true}), from, limit)
	case f.Device != "":
		return inGroups(ctx, db.devicesNamed(f.Device), s.ofGroups("c.device_id", covered{device: true}), from, limit)
	case f.Sort == admin.SortPerson:
		return s.thenOwn(ctx, db.peopleByName, "c.person", from)
	case f.Sort == admin.SortDevice:
		return s.thenOwn(ctx, db.devicesNamed(""), "c.device_id", from)
	}
	return s.page(ctx, f.index(), from)
}

// index is the index that a search walks.
func (f certificateFilter) index() index {
	if slices.Contains(f.CertificateSorts(), f.Sort) {
		return sortedIndex(f.Filter, f.now)
	}
	return certificateIndex(f.Filter, f.now)
}

// certificateFilter is a filter at a moment.
type certificateFilter struct {
	admin.Filter
	now time.Time
}

func (f certificateFilter) read(rows *sql.Rows, x index, before ...any) (admin.Certificate, admin.Cursor, error) {
	var r listedRow
	if err := rows.Scan(append(before, r.fields()...)...); err != nil {
		return admin.Certificate{}, admin.Cursor{}, err
	}
	c, err := r.value(f.now)
	return c, r.cursor(x), err
}

// rest adds the conditions that the index does not cover, of certificates c and devices d.
func (f certificateFilter) rest(c *condition, covers covered) {
	if f.Serial != "" && !covers.serial {
		serialBegins(c, "c.serial", f.Serial)
	}
	if f.Picked != "" && !covers.picked {
		picked(c, f.PickedSerials())
	}
	if f.PersonID != "" && !covers.person {
		c.and("c.person = " + c.arg(string(f.PersonID)))
	}
	if f.DeviceID != "" && !covers.device {
		c.and("c.device_id = " + c.arg(string(f.DeviceID)))
	}
	if f.Person != "" && (!covers.person || f.PersonID != "") {
		named(c, "c.person", f.PersonWords())
	}
	if f.Device != "" && (!covers.device || f.DeviceID != "") {
		c.between("d.name_key", NameKey(f.Device))
	}
	if f.Issuer != "" && !covers.issuer {
		c.and(signerOf + " = " + c.arg(f.Issuer))
	}
	if !covers.state {
		inState(c, f.Filter, f.now)
	}
	if !covers.dates {
		within(c, "c.requested_at", f.Filter)
	}
	if !covers.since {
		revokedSince(c, f.Filter)
	}
}

// certificateIndex chooses the index for a filter that is not by the name of a person or a
// device: the serial, the person, the state, or the time of the request.
func certificateIndex(f admin.Filter, now time.Time) index {
	byRequest := [2]string{"requested_at", "serial"}
	switch {
	case f.Serial != "":
		return index{keys: [2]string{"serial", "serial"}, covers: covered{serial: true},
			open: func(c *condition) { serialBegins(c, "c.serial", f.Serial) }}
	case f.Picked != "":
		return index{keys: [2]string{"serial", "serial"}, covers: covered{picked: true},
			open: func(c *condition) { picked(c, f.PickedSerials()) }}
	case f.DeviceID != "":
		return index{keys: byRequest, down: true, covers: covered{device: true},
			open: func(c *condition) { c.and("c.device_id = " + c.arg(string(f.DeviceID))) }}
	case f.PersonID != "":
		return index{keys: byRequest, down: true, covers: covered{person: true},
			open: func(c *condition) { c.and("c.person = " + c.arg(string(f.PersonID))) }}
	}
	if f.Issuer != "" {
		return issuerIndex(f, now)
	}
	if !f.Since.IsZero() {
		return index{keys: [2]string{"revoked_at", "serial"}, down: true, covers: covered{since: true, state: f.State == admin.Revoked},
			open: func(c *condition) {
				c.and("c.revoked_at IS NOT NULL")
				revokedSince(c, f)
			}}
	}
	byEnd := [2]string{"not_after", "serial"}
	switch f.State {
	case admin.Expiring:
		return index{keys: byEnd, open: func(c *condition) {
			c.and(stillValid)
			endsWithin(c, f, now)
		}}
	case admin.Expired:
		return index{keys: byEnd, down: true, covers: covered{state: true}, open: func(c *condition) {
			c.and(stillValid + " AND c.not_after <= " + c.arg(now.UnixMilli()))
		}}
	case admin.Revoked, admin.Blocked, admin.NeverFetched:
		return index{keys: [2]string{"revoked_at", "serial"}, down: true, covers: covered{state: f.State == admin.Revoked},
			open: func(c *condition) { c.and("c.revoked_at IS NOT NULL") }}
	case admin.Pending:
		return index{keys: byRequest, down: true, covers: covered{state: true},
			open: func(c *condition) { c.and("c.der IS NULL AND c.revoked_at IS NULL") }}
	case admin.Void:
		return index{keys: byEnd, open: func(c *condition) { c.and("c.status = 'issued' AND c.not_after > " + c.arg(now.UnixMilli())) }}
	case admin.Superseded:
		return index{keys: byRequest, down: true, open: func(c *condition) { c.and("c.status = 'superseded'") }}
	}
	return index{keys: byRequest, down: true, covers: covered{dates: true},
		open: func(c *condition) { within(c, "c.requested_at", f) }}
}
