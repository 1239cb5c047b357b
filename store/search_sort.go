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
	if f.Sort == admin.SortEnd || f.Sort == admin.SortEndLast {
		x = indexByEnd(f, now)
	} else if x.keys[0] != "requested_at" {
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
		x.open = func(c *condition) { c.and("c.status = 'issued' AND c.not_after > " + c.arg(now.UnixMilli())) }
	case admin.Expiring:
		x.open = func(c *condition) {
			c.and("c.status = 'issued'")
			endsWithin(c, f, now)
		}
	case admin.Expired:
		x.open = func(c *condition) { c.and(stillValid + " AND c.not_after <= " + c.arg(now.UnixMilli())) }
	default:
		x.covers, x.open = covered{state: f.State == ""}, func(*condition) {}
	}
	return x
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
