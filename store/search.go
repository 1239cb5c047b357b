package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"certportal/internal/admin"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// scanBound is how many rows one page of a search looks at before it shows what it
// found and offers to go on.
const scanBound = 2000

// listedColumns is what of certificates c a search reads: not the DER, which is
// longer than all the rest.
const listedColumns = `c.serial, c.kind, c.status, c.upn, c.person, c.device_id, c.not_before, c.not_after,
	c.requested_at, c.revoked_at, c.cause`

// rowColumns is what [listedRow] scans, of tables c, p and d.
const rowColumns = listedColumns + `, p.name, d.name, d.platform`

// listedJoins finds person and device of a certificate c.
const listedJoins = ` LEFT JOIN people p ON p.id = c.person LEFT JOIN devices d ON d.id = c.device_id `

type listedRow struct {
	kind, status                                      string
	serial, upn                                       string
	person, device, cause, name, deviceName, platform sql.NullString
	notBefore, notAfter, requested, revoked           sql.NullInt64
}

func (r *listedRow) fields() []any {
	return []any{&r.serial, &r.kind, &r.status, &r.upn, &r.person, &r.device, &r.notBefore, &r.notAfter,
		&r.requested, &r.revoked, &r.cause, &r.name, &r.deviceName, &r.platform}
}

func (r *listedRow) value(now time.Time) (admin.Certificate, error) {
	serial, err := serialOf(r.serial)
	return admin.Certificate{
		Serial: serial, Kind: portal.Kind(r.kind), State: stateOf(portal.Status(r.status), sqldb.TimeOf(r.notAfter), now),
		UPN: r.upn, Person: portal.PersonID(r.person.String), PersonName: r.name.String,
		Device: portal.DeviceID(r.device.String), DeviceName: r.deviceName.String,
		Platform:  portal.Platform(r.platform.String),
		NotBefore: sqldb.TimeOf(r.notBefore), NotAfter: sqldb.TimeOf(r.notAfter), Requested: sqldb.TimeOf(r.requested),
		RevokedAt: sqldb.TimeOf(r.revoked), Cause: portal.Cause(r.cause.String),
	}, err
}

// place is where a search along the lead goes on behind the row.
func (r *listedRow) place(l lead) admin.Place {
	p := admin.Place{Last: r.serial}
	switch l.keys[0] {
	case "requested_at":
		p.At = r.requested.Int64
	case "not_after":
		p.At = r.notAfter.Int64
	case "revoked_at":
		p.At = r.revoked.Int64
	}
	return p
}

// stateOf is where a certificate stands at the moment.
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

// Certificates lists those the filter means, at most limit, from the place on. It
// walks along one index, looks at a bounded number of rows, and says where it
// stopped. What is added meanwhile moves nothing between pages.
func (db Search) Certificates(ctx context.Context, f admin.Filter, from admin.Place, limit int, now time.Time) (admin.Found[admin.Certificate], error) {
	if !searchable(f, from) {
		return admin.Found[admin.Certificate]{}, nil
	}
	s := certificateSearch{db: db, f: f, now: now, limit: limit}
	found, err := s.run(ctx, from)
	if err != nil {
		return admin.Found[admin.Certificate]{}, fmt.Errorf("searching certificates: %w", err)
	}
	return found, nil
}

// searchable reports whether every text can stand in a database at all; what cannot
// was never stored.
func searchable(f admin.Filter, from admin.Place) bool {
	return sqldb.Storable(f.Person) && sqldb.Storable(string(f.PersonID)) && sqldb.Storable(f.Device) && sqldb.Storable(string(f.DeviceID)) &&
		sqldb.Storable(f.Serial) && sqldb.Storable(from.Group) && sqldb.Storable(from.ID) && sqldb.Storable(from.Last)
}

type certificateSearch struct {
	db    Search
	f     admin.Filter
	now   time.Time
	limit int
}

func (s certificateSearch) run(ctx context.Context, from admin.Place) (admin.Found[admin.Certificate], error) {
	switch {
	case s.f.Serial != "" || s.f.PersonID != "" || s.f.DeviceID != "":
	case s.f.Person != "":
		return inGroups(ctx, s.db.peopleCalled(s.f.PersonWords()), s.ofGroups("c.person", met{person: true}), from, s.limit)
	case s.f.Device != "":
		return inGroups(ctx, s.db.devicesCalled(s.f.Device), s.ofGroups("c.device_id", met{device: true}), from, s.limit)
	}
	return s.along(ctx, certificateLead(s.f, s.now), from)
}

// along walks an index of certificates.
func (s certificateSearch) along(ctx context.Context, l lead, from admin.Place) (found admin.Found[admin.Certificate], err error) {
	var inner condition
	l.open(&inner)
	if from != (admin.Place{}) {
		l.behind(&inner, "c", s.key(l, from), from.Last)
	}
	rest := condition{}
	s.rest(&rest, l.met)
	bound, stop := s.limit+1, admin.Place{}
	if len(rest.parts) > 0 {
		bound = scanBound
		if stop, err = s.stop(ctx, l, inner); err != nil {
			return found, err
		}
	}
	if stop != (admin.Place{}) {
		l.until(&inner, "c", s.key(l, stop), stop.Last)
	}
	outer := condition{args: inner.args}
	s.rest(&outer, l.met)
	query := `SELECT ` + rowColumns + ` FROM (SELECT ` + listedColumns + ` FROM certificates c WHERE ` + inner.where() +
		` ORDER BY ` + l.order("c") + fmt.Sprintf(` LIMIT %d) c`, bound) + listedJoins + `WHERE ` + outer.where() +
		` ORDER BY ` + l.order("c") + fmt.Sprintf(` LIMIT %d`, s.limit+1)
	var last admin.Place
	err = s.db.All(ctx, query, outer.args, func(rows *sql.Rows) error {
		var r listedRow
		if err := rows.Scan(r.fields()...); err != nil {
			return err
		}
		if len(found.Rows) == s.limit {
			found.Next = last
			return nil
		}
		c, err := r.value(s.now)
		found.Rows, last = append(found.Rows, c), r.place(l)
		return err
	})
	if err == nil && found.Next == (admin.Place{}) && stop != (admin.Place{}) {
		found.Next, found.Looked = stop, scanBound
	}
	return found, err
}

// key is the first of a lead's keys at a place.
func (s certificateSearch) key(l lead, p admin.Place) any {
	if l.keys[0] == "serial" {
		return p.Last
	}
	return p.At
}

// stop finds the last row that this page may look at; the zero place when the index
// ends before.
func (s certificateSearch) stop(ctx context.Context, l lead, inner condition) (admin.Place, error) {
	var p admin.Place
	first := any(&p.At)
	if l.keys[0] == "serial" {
		first = new(string)
	}
	err := s.db.One(ctx, `SELECT c.`+l.keys[0]+`, c.serial FROM certificates c WHERE `+inner.where()+
		` ORDER BY `+l.order("c")+fmt.Sprintf(` LIMIT 1 OFFSET %d`, scanBound-1), inner.args, first, &p.Last)
	if errors.Is(err, portal.ErrNotFound) {
		return admin.Place{}, nil
	}
	return p, err
}

// rest adds what of the filter the lead has not met, of certificates c and devices d.
func (s certificateSearch) rest(c *condition, met met) {
	f := s.f
	if f.Serial != "" && !met.serial {
		serialBegins(c, "c.serial", f.Serial)
	}
	if f.PersonID != "" && !met.person {
		c.and("c.person = " + c.arg(string(f.PersonID)))
	}
	if f.DeviceID != "" && !met.device {
		c.and("c.device_id = " + c.arg(string(f.DeviceID)))
	}
	if f.Person != "" && (!met.person || f.PersonID != "") {
		named(c, "c.person", f.PersonWords())
	}
	if f.Device != "" && (!met.device || f.DeviceID != "") {
		c.between("d.name_key", NameKey(f.Device))
	}
	if !met.state {
		inState(c, f, s.now)
	}
	if !met.dates {
		within(c, "c.requested_at", f)
	}
}

// ofGroups reads the certificates of groups of people or devices, the newest of each
// first.
func (s certificateSearch) ofGroups(column string, met met) readGroups[admin.Certificate] {
	l := lead{keys: [2]string{"requested_at", "serial"}, down: true}
	return func(ctx context.Context, groups []group, from admin.Place, limit int) ([]grouped[admin.Certificate], error) {
		list := condition{}
		values := valuesOf(&list, groups)
		if from.ID == groups[0].id {
			list.and("(g.column1 > 1 OR " + l.row("c") + " < (" + list.arg(from.At) + ", " + list.arg(from.Last) + "))")
		}
		s.rest(&list, met)
		var rows []grouped[admin.Certificate]
		err := s.db.All(ctx, `SELECT g.column1, `+rowColumns+` FROM (VALUES `+values+`) g
			JOIN certificates c ON `+column+` = g.column2`+listedJoins+`WHERE `+list.where()+`
			ORDER BY g.column1, `+l.order("c")+fmt.Sprintf(` LIMIT %d`, limit), list.args, func(found *sql.Rows) error {
			var r listedRow
			var n int
			if err := found.Scan(append([]any{&n}, r.fields()...)...); err != nil {
				return err
			}
			c, err := r.value(s.now)
			place := r.place(l)
			place.Group, place.ID = groups[n-1].key, groups[n-1].id
			rows = append(rows, grouped[admin.Certificate]{c, place})
			return err
		})
		return rows, err
	}
}
