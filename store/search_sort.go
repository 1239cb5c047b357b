package store

import (
	"context"
	"strconv"
	"strings"
	"time"

	"certportal/internal/admin"
)

// sortedIndex is the index of a list of certificates in the order of the filter.
func sortedIndex(f admin.Filter, now time.Time) index {
	x := certificateIndex(f, now)
	down := strings.HasPrefix(string(f.Sort), "-")
	if (f.Sort == admin.SortEnd || f.Sort == admin.SortEndLast) && f.Issuer == "" {
		x = indexByEnd(f, now)
	} else if x.keys[0] != "requested_at" && f.Issuer == "" {
		f.State = ""
		x = certificateIndex(f, now)
	}
	x.down = down
	return x
}

// indexByEnd is the index of certificates by their end: that of the state where there is
// one, else that of all.
func indexByEnd(f admin.Filter, now time.Time) index {
	x := index{keys: [2]string{"not_after", "serial"}, covers: covered{state: true}}
	switch f.State {
	case admin.Working:
		x.open = func(c *condition) {
			c.and("c.status = 'issued' AND " + notVoid + " AND c.not_after > " + c.arg(now.UnixMilli()))
		}
	case admin.Void:
		x = certificateIndex(f, now)
	case admin.Expiring:
		x.open = func(c *condition) {
			c.and("c.status = 'issued' AND " + notVoid)
			endsWithin(c, f, now)
		}
	case admin.Expired:
		x.open = func(c *condition) { c.and(stillValid + " AND c.not_after <= " + c.arg(now.UnixMilli())) }
	default:
		x.covers, x.open = covered{state: f.State == ""}, func(*condition) {}
	}
	return x
}

// issuerIndex is the index of the certificates of an issuing CA by their end.
func issuerIndex(f admin.Filter, now time.Time) index {
	return index{keys: [2]string{"not_after", "serial"}, covers: covered{issuer: true}, open: func(c *condition) {
		c.and(signerOf + " = " + c.arg(f.Issuer))
		switch f.State {
		case admin.Working, admin.Void, admin.Superseded:
			c.and("c.not_after > " + c.arg(now.UnixMilli()))
		case admin.Expiring:
			endsWithin(c, f, now)
		case admin.Expired:
			c.and("c.not_after <= " + c.arg(now.UnixMilli()))
		}
	}}
}

// peopleByName lists all people in the order of their names.
func (db Search) peopleByName(ctx context.Context, from admin.Cursor, limit int) ([]group, error) {
	var c condition
	if from.ID != "" {
		c.and("(p.name, p.id) >= (" + c.arg(from.Group) + ", " + c.arg(from.ID) + ")")
	}
	return db.groups(ctx, `SELECT p.name, p.id, 1 FROM people p WHERE `+c.where()+`
		ORDER BY p.name, p.id LIMIT `+strconv.Itoa(limit), c.args)
}

// thenOwn lists certificates in the order of the names of people or devices, and behind
// them the portal's own, which have neither and an index under no person.
func (s scan[T]) thenOwn(ctx context.Context, find findGroups, column string, from admin.Cursor) (admin.Found[T], error) {
	var found admin.Found[T]
	if !from.Own {
		var err error
		found, err = inGroups(ctx, find, s.ofGroups(column, covered{}), from, s.limit)
		if err != nil || found.Next != (admin.Cursor{}) {
			return found, err
		}
		from = admin.Cursor{}
	}
	from.Own = false
	full := len(found.Rows) == s.limit
	own := s
	if own.limit -= len(found.Rows); full {
		own.limit = 1 // whether there is a next page
	}
	rest, err := own.page(ctx, index{keys: s.newest, down: true, open: func(c *condition) { c.and("c.person IS NULL") }}, from)
	switch {
	case err != nil:
		return found, err
	case full && (len(rest.Rows) > 0 || rest.Next != (admin.Cursor{})):
		found.Next.Own = true
		return found, nil
	case full:
		return found, nil
	}
	found.Rows, found.Scanned = append(found.Rows, rest.Rows...), rest.Scanned
	if found.Next = rest.Next; found.Next != (admin.Cursor{}) {
		found.Next.Own = true
	}
	return found, nil
}
