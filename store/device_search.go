package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"certportal/internal/admin"
)

// deviceBound is how many devices one page looks at: finding the certificate that
// each uses costs more than looking at one.
const deviceBound = 250

// SearchDevices lists devices the filter means, as [Search.Certificates] does; the
// state is that of the certificate a device uses, and the days are those it was made
// on.
func (db Search) SearchDevices(ctx context.Context, f admin.Filter, from admin.Cursor, limit int, now time.Time) (admin.Found[admin.Device], error) {
	if !searchable(f, from) {
		return admin.Found[admin.Device]{}, nil
	}
	found, err := db.devices(ctx, deviceFilter{f, now}, from, limit)
	if err != nil {
		return admin.Found[admin.Device]{}, fmt.Errorf("searching devices: %w", err)
	}
	return found, nil
}

func (db Search) devices(ctx context.Context, f deviceFilter, from admin.Cursor, limit int) (admin.Found[admin.Device], error) {
	s := scan[admin.Device]{
		db: db, limit: limit, bound: deviceBound,
		from: "devices d", alias: "d", newest: [2]string{"created_at", "id"},
		inner: deviceFields, columns: foundColumns, joins: foundJoins,
		filter: f.rest, read: f.read,
	}
	switch {
	case f.Person != "" && f.PersonID == "" && f.DeviceID == "":
		return inGroups(ctx, db.peopleNamed(f.PersonWords()), s.ofGroups("d.person", covered{person: true}), from, limit)
	case f.Sort == admin.SortPerson && f.PersonID == "" && f.DeviceID == "" && f.Device == "":
		return inGroups(ctx, db.peopleByName, s.ofGroups("d.person", covered{}), from, limit)
	}
	return s.page(ctx, f.index(), from)
}

// deviceFilter is a filter at a moment.
type deviceFilter struct {
	admin.Filter
	now time.Time
}

// index chooses the index.
func (f deviceFilter) index() index {
	byCreation := [2]string{"created_at", "id"}
	switch {
	case f.DeviceID != "":
		return index{keys: byCreation, down: true, covers: covered{device: true},
			open: func(c *condition) { c.and("d.id = " + c.arg(string(f.DeviceID))) }}
	case f.PersonID != "":
		return index{keys: byCreation, down: f.Sort != admin.SortOldest, covers: covered{person: true},
			open: func(c *condition) { c.and("d.person = " + c.arg(string(f.PersonID))) }}
	case f.Device != "" || f.Sort == admin.SortDevice || f.Sort == admin.SortDeviceUp:
		return index{keys: [2]string{"name_key", "id"}, down: f.Sort == admin.SortDeviceUp, covers: covered{device: true},
			open: func(c *condition) {
				if f.Device != "" {
					c.between("d.name_key", NameKey(f.Device))
				}
			}}
	}
	return index{keys: byCreation, down: f.Sort != admin.SortOldest, covers: covered{dates: true},
		open: func(c *condition) { within(c, "d.created_at", f.Filter) }}
}

// rest adds the conditions that the index does not cover, of devices d and certificates c.
func (f deviceFilter) rest(c *condition, covers covered) {
	if f.PersonID != "" && !covers.person {
		c.and("d.person = " + c.arg(string(f.PersonID)))
	}
	if f.Person != "" && (!covers.person || f.PersonID != "") {
		named(c, "d.person", f.PersonWords())
	}
	if f.Device != "" && (!covers.device || f.DeviceID != "") {
		c.between("d.name_key", NameKey(f.Device))
	}
	if f.Serial != "" {
		held := condition{args: c.args}
		held.and("h.device_id = d.id")
		serialBegins(&held, "h.serial", f.Serial)
		c.args = held.args
		c.and("EXISTS (SELECT 1 FROM certificates h WHERE " + held.where() + ")")
	}
	if f.Picked != "" {
		held := condition{args: c.args}
		held.and("c.device_id = d.id")
		picked(&held, f.PickedSerials())
		c.args = held.args
		c.and("EXISTS (SELECT 1 FROM certificates c WHERE " + held.where() + ")")
	}
	if f.Issuer != "" {
		c.and(signerOf + " = " + c.arg(f.Issuer))
	}
	inState(c, f.Filter, f.now)
	revokedSince(c, f.Filter)
	if !covers.dates {
		within(c, "d.created_at", f.Filter)
	}
}

// deviceFields is what of devices d the search looks at before it reads the rest.
const deviceFields = `d.id, d.person, d.name, d.name_key, d.platform, d.created_at, d.removed_at, d.blocked_at, d.profile`

// foundColumns is what a search for devices reads. A device that never got a
// certificate has no c.
const foundColumns = deviceColumns + `, d.name_key, ` + certificateColumns + `, p.name, p.upn`

const foundJoins = ` LEFT JOIN people p ON p.id = d.person LEFT JOIN certificates c ON ` + newestCertificate + ` `

func (f deviceFilter) read(rows *sql.Rows, _ index, before ...any) (admin.Device, admin.Cursor, error) {
	var d deviceRow
	var c certificateRow
	var key string
	var name, upn sql.NullString
	fields := append(append(before, d.fields()...), &key)
	fields = append(append(fields, c.fields()...), &name, &upn)
	if err := rows.Scan(fields...); err != nil {
		return admin.Device{}, admin.Cursor{}, err
	}
	found := admin.Device{Device: d.value(), PersonName: name.String, UPN: upn.String}
	var err error
	if found.Certificate, err = c.value(); err != nil {
		return found, admin.Cursor{}, err
	}
	if held := found.Certificate; held.Status != "" {
		found.State, found.Shown = stateOf(held.Status, held.NotAfter, f.now), found.Device.State(f.now)
	}
	return found, admin.Cursor{Group: key, At: d.created.Int64, Last: string(found.ID)}, nil
}
