package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"

	"certportal/internal/admin"
)

const (
	// countRows is how many rows of an index a count looks at when their other columns
	// must be read, and countGroups how many people or devices of a name.
	countRows   = 500
	countGroups = 300

	// countDevices is the same for devices, whose certificates must be found.
	countDevices = 300
)

// CountCertificates counts the certificates of a filter: up to admin.MaxCounted where an
// index covers the filter, else among the rows that a page may look at.
func (db Search) CountCertificates(ctx context.Context, f admin.Filter, now time.Time) (admin.Hits, error) {
	if !searchable(f, admin.Cursor{}) {
		return admin.Hits{}, nil
	}
	f.Sort = ""
	c := certificateFilter{f, now}
	s := scan[admin.Certificate]{db: db, from: "certificates c", alias: "c", inner: listedColumns, joins: listedJoins, filter: c.rest}
	x := certificateIndex(f, now)
	var hits admin.Hits
	var err error
	switch {
	case f.Serial != "" || f.Picked != "" || f.PersonID != "" || f.DeviceID != "":
		hits, err = s.count(ctx, x)
	case f.Person != "":
		hits, err = s.countGroups(ctx, db.peopleNamed(f.PersonWords()), "c.person", covered{person: true})
	case f.Device != "":
		hits, err = s.countGroups(ctx, db.devicesNamed(f.Device), "c.device_id", covered{device: true})
	case f.Issuer != "":
		hits, err = s.count(ctx, x)
	case f.State == admin.Working || f.State == admin.Void || f.State == admin.Expiring:
		hits, err = s.count(ctx, indexByEnd(f, now))
	default:
		hits, err = s.count(ctx, x)
	}
	if err != nil {
		return admin.Hits{}, fmt.Errorf("counting certificates: %w", err)
	}
	return hits, nil
}

// CountDevices counts the devices of a filter as [Search.CountCertificates] does.
func (db Search) CountDevices(ctx context.Context, f admin.Filter, now time.Time) (admin.Hits, error) {
	if !searchable(f, admin.Cursor{}) {
		return admin.Hits{}, nil
	}
	f.Sort = ""
	d := deviceFilter{f, now}
	s := scan[admin.Device]{db: db, from: "devices d", alias: "d", inner: deviceFields, joins: foundJoins, filter: d.rest, bound: countDevices}
	var hits admin.Hits
	var err error
	if f.Person != "" && f.PersonID == "" && f.DeviceID == "" {
		hits, err = s.countGroups(ctx, db.peopleNamed(f.PersonWords()), "d.person", covered{person: true})
	} else {
		hits, err = s.count(ctx, d.index())
	}
	if err != nil {
		return admin.Hits{}, fmt.Errorf("counting devices: %w", err)
	}
	return hits, nil
}

// count counts the rows of an index that the filter means.
func (s scan[T]) count(ctx context.Context, x index) (admin.Hits, error) {
	var inner, rest condition
	x.open(&inner)
	s.filter(&rest, x.covers)
	bound := admin.MaxCounted
	query := `SELECT count(*), count(*) FROM (SELECT 1 FROM ` + s.from + ` WHERE ` + inner.where() + ` LIMIT ` + strconv.Itoa(bound+1) + `) n`
	if len(rest.parts) > 0 {
		bound = countRows
		if s.bound > 0 {
			bound = s.bound
		}
		outer := condition{args: inner.args}
		s.filter(&outer, x.covers)
		query = `SELECT count(*), count(CASE WHEN ` + outer.where() + ` THEN 1 END) FROM (SELECT ` + s.inner + ` FROM ` + s.from +
			` WHERE ` + inner.where() + ` ORDER BY ` + x.orderBy(s.alias) + ` LIMIT ` + strconv.Itoa(bound+1) + `) ` + s.alias + s.joins
		inner.args = outer.args
	}
	var looked, found int
	err := s.db.All(ctx, query, inner.args, func(rows *sql.Rows) error { return rows.Scan(&looked, &found) })
	return admin.Hits{Number: min(found, admin.MaxCounted), More: looked > bound}, err
}

// countGroups counts the rows of the people or devices of a name.
func (s scan[T]) countGroups(ctx context.Context, find findGroups, column string, covers covered) (admin.Hits, error) {
	var hits admin.Hits
	groups, err := find(ctx, admin.Cursor{}, countGroups+1)
	if err != nil {
		return hits, err
	}
	if hits.More = len(groups) > countGroups; hits.More {
		groups = groups[:countGroups]
	}
	for share := range matchingGroups(groups) {
		var list condition
		values := groupValues(&list, share)
		s.filter(&list, covers)
		n := 0
		err := s.db.All(ctx, `SELECT count(*) FROM (VALUES `+values+`) g JOIN `+s.from+` ON `+column+` = g.column2`+s.joins+
			`WHERE `+list.where(), list.args, func(rows *sql.Rows) error { return rows.Scan(&n) })
		if err != nil {
			return hits, err
		}
		hits.Number += n
	}
	hits.More = hits.More || hits.Number > admin.MaxCounted
	hits.Number = min(hits.Number, admin.MaxCounted)
	return hits, nil
}

// Known reports whether there is anything under the one name or serial of a filter.
func (db Search) Known(ctx context.Context, f admin.Filter) (bool, error) {
	if !searchable(f, admin.Cursor{}) {
		return false, nil
	}
	find := db.devicesNamed(f.Device)
	switch {
	case f.Serial != "":
		found, err := db.Certificates(ctx, admin.Filter{Serial: f.Serial}, admin.Cursor{}, 1, time.Time{})
		return len(found.Rows) > 0, err
	case f.Person != "":
		find = db.peopleNamed(f.PersonWords())
	}
	groups, err := find(ctx, admin.Cursor{}, groupBatch)
	if err != nil {
		return false, fmt.Errorf("recognizing a name: %w", err)
	}
	for _, g := range groups {
		if g.fits {
			return true, nil
		}
	}
	return len(groups) == groupBatch, nil // too many to say, which is an answer too
}
