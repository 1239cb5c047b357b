package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"certportal/internal/admin"
	"certportal/internal/portal"
)

// deviceBound is how many devices one page looks at: finding the certificate that
// each uses costs more than looking at one.
const deviceBound = 250

// SearchDevices lists devices the filter means, as [DB.Certificates] does; the state
// is that of the certificate a device uses, and the days are those it was made on.
func (db Search) SearchDevices(ctx context.Context, f admin.Filter, from admin.Place, limit int, now time.Time) (admin.Found[admin.Device], error) {
	if !searchable(f, from) {
		return admin.Found[admin.Device]{}, nil
	}
	s := deviceSearch{db: db, f: f, now: now, limit: limit}
	found, err := s.run(ctx, from)
	if err != nil {
		return admin.Found[admin.Device]{}, fmt.Errorf("searching devices: %w", err)
	}
	return found, nil
}

type deviceSearch struct {
	db    Search
	f     admin.Filter
	now   time.Time
	limit int
}

func (s deviceSearch) run(ctx context.Context, from admin.Place) (admin.Found[admin.Device], error) {
	if s.f.Person != "" && s.f.PersonID == "" && s.f.DeviceID == "" {
		return inGroups(ctx, s.db.peopleCalled(s.f.PersonWords()), s.ofPeople, from, s.limit)
	}
	return s.along(ctx, s.lead(), from)
}

// lead chooses the index.
func (s deviceSearch) lead() lead {
	f := s.f
	byCreation := [2]string{"created_at", "id"}
	switch {
	case f.DeviceID != "":
		return lead{keys: byCreation, down: true, met: met{device: true},
			open: func(c *condition) { c.and("d.id = " + c.arg(string(f.DeviceID))) }}
	case f.PersonID != "":
		return lead{keys: byCreation, down: true, met: met{person: true},
			open: func(c *condition) { c.and("d.person = " + c.arg(string(f.PersonID))) }}
	case f.Device != "":
		return lead{keys: [2]string{"name_key", "id"}, met: met{device: true},
			open: func(c *condition) { c.between("d.name_key", NameKey(f.Device)) }}
	}
	return lead{keys: byCreation, down: true, met: met{dates: true},
		open: func(c *condition) { within(c, "d.created_at", f) }}
}

// rest adds what of the filter the lead has not met, of devices d and certificates c.
func (s deviceSearch) rest(c *condition, met met) {
	f := s.f
	if f.PersonID != "" && !met.person {
		c.and("d.person = " + c.arg(string(f.PersonID)))
	}
	if f.Person != "" && (!met.person || f.PersonID != "") {
		named(c, "d.person", f.PersonWords())
	}
	if f.Device != "" && (!met.device || f.DeviceID != "") {
		c.between("d.name_key", NameKey(f.Device))
	}
	if f.Serial != "" {
		held := condition{args: c.args}
		held.and("h.device_id = d.id")
		serialBegins(&held, "h.serial", f.Serial)
		c.args = held.args
		c.and("EXISTS (SELECT 1 FROM certificates h WHERE " + held.where() + ")")
	}
	inState(c, f, s.now)
	if !met.dates {
		within(c, "d.created_at", f)
	}
}

// deviceFields is what of devices d the search looks at before it reads the rest.
const deviceFields = `d.id, d.person, d.name, d.name_key, d.platform, d.created_at, d.removed_at, d.blocked_at`

// sought is what a search for devices reads, of devices d. A device that never got a
// certificate has no c.
const sought = deviceColumns + `, d.name_key, ` + certificateColumns + `, p.name, p.upn`

const soughtJoins = ` LEFT JOIN people p ON p.id = d.person LEFT JOIN certificates c ON ` + newestCertificate + ` `

func (s deviceSearch) scan(rows *sql.Rows, first ...any) (admin.Device, admin.Place, error) {
	var d deviceRow
	var c certificateRow
	var key string
	var name, upn sql.NullString
	fields := append(append(first, d.fields()...), &key)
	fields = append(append(fields, c.fields()...), &name, &upn)
	if err := rows.Scan(fields...); err != nil {
		return admin.Device{}, admin.Place{}, err
	}
	found := admin.Device{Device: d.value(), PersonName: name.String, UPN: upn.String}
	var err error
	if found.Certificate, err = c.value(); err != nil {
		return found, admin.Place{}, err
	}
	if held := found.Certificate; held.Status != "" {
		found.State = stateOf(held.Status, held.NotAfter, s.now)
	}
	return found, admin.Place{Group: key, At: d.created.Int64, Last: string(found.ID)}, nil
}

// along walks an index of devices.
func (s deviceSearch) along(ctx context.Context, l lead, from admin.Place) (found admin.Found[admin.Device], err error) {
	var inner condition
	l.open(&inner)
	if from != (admin.Place{}) {
		l.behind(&inner, "d", s.key(l, from), from.Last)
	}
	var rest condition
	s.rest(&rest, l.met)
	bound, stop := s.limit+1, admin.Place{}
	if len(rest.parts) > 0 {
		bound = deviceBound
		if stop, err = s.stop(ctx, l, inner); err != nil {
			return found, err
		}
	}
	if stop != (admin.Place{}) {
		l.until(&inner, "d", s.key(l, stop), stop.Last)
	}
	outer := condition{args: inner.args}
	s.rest(&outer, l.met)
	var last admin.Place
	err = s.db.All(ctx, `SELECT `+sought+` FROM (SELECT `+deviceFields+` FROM devices d WHERE `+inner.where()+
		` ORDER BY `+l.order("d")+fmt.Sprintf(` LIMIT %d) d`, bound)+soughtJoins+`WHERE `+outer.where()+
		` ORDER BY `+l.order("d")+fmt.Sprintf(` LIMIT %d`, s.limit+1), outer.args, func(rows *sql.Rows) error {
		d, place, err := s.scan(rows)
		if len(found.Rows) == s.limit {
			found.Next = last
			return err
		}
		found.Rows, last = append(found.Rows, d), l.only(place)
		return err
	})
	if err == nil && found.Next == (admin.Place{}) && stop != (admin.Place{}) {
		found.Next, found.Looked = stop, deviceBound
	}
	return found, err
}

// only keeps of a place what the lead is ordered by.
func (l lead) only(p admin.Place) admin.Place {
	if l.keys[0] == "name_key" {
		p.At = 0
		return p
	}
	p.Group = ""
	return p
}

func (s deviceSearch) key(l lead, p admin.Place) any {
	if l.keys[0] == "name_key" {
		return p.Group
	}
	return p.At
}

func (s deviceSearch) stop(ctx context.Context, l lead, inner condition) (admin.Place, error) {
	var p admin.Place
	first := any(&p.At)
	if l.keys[0] == "name_key" {
		first = &p.Group
	}
	err := s.db.One(ctx, `SELECT d.`+l.keys[0]+`, d.id FROM devices d WHERE `+inner.where()+
		` ORDER BY `+l.order("d")+fmt.Sprintf(` LIMIT 1 OFFSET %d`, deviceBound-1), inner.args, first, &p.Last)
	if errors.Is(err, portal.ErrNotFound) {
		return admin.Place{}, nil
	}
	return p, err
}

// ofPeople reads the devices of people, the newest of each first.
func (s deviceSearch) ofPeople(ctx context.Context, groups []group, from admin.Place, limit int) ([]grouped[admin.Device], error) {
	l := lead{keys: [2]string{"created_at", "id"}, down: true}
	var list condition
	values := valuesOf(&list, groups)
	if from.ID == groups[0].id {
		list.and("(g.column1 > 1 OR " + l.row("d") + " < (" + list.arg(from.At) + ", " + list.arg(from.Last) + "))")
	}
	s.rest(&list, met{person: true})
	var rows []grouped[admin.Device]
	err := s.db.All(ctx, `SELECT g.column1, `+sought+` FROM (VALUES `+values+`) g JOIN devices d ON d.person = g.column2`+
		soughtJoins+`WHERE `+list.where()+` ORDER BY g.column1, `+l.order("d")+fmt.Sprintf(` LIMIT %d`, limit), list.args,
		func(found *sql.Rows) error {
			var n int
			d, place, err := s.scan(found, &n)
			if err != nil {
				return err
			}
			place.Group, place.ID = groups[n-1].key, groups[n-1].id
			rows = append(rows, grouped[admin.Device]{d, place})
			return nil
		})
	return rows, err
}
