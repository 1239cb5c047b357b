package store

import (
	"context"
	"database/sql"
	"math"
	"strconv"
	"strings"

	"certportal/internal/admin"
)

const (
	// groupBatch is how many people or devices of a name are read at once, and
	// groupBound how many one page looks at.
	groupBatch = 250
	groupBound = 2000

	// groupShare is how many of them have their rows read at once, and groupShares
	// how often that is done for one page: reading rows costs more than finding the
	// groups.
	groupShare  = 64
	groupShares = 5
)

// group is a person or a device whose name begins with the search text, under that
// name.
type group struct {
	key, id string
	fits    bool // meets the rest of what was asked of the name
}

// behind is the cursor after all rows of the group.
func (g group) behind() admin.Cursor {
	return admin.Cursor{Group: g.key, ID: g.id, At: math.MinInt64}
}

// grouped is a row with its cursor.
type grouped[T any] struct {
	row   T
	place admin.Cursor
}

// findGroups lists groups in order of their names, from the cursor on and including
// it.
type findGroups func(ctx context.Context, from admin.Cursor, limit int) ([]group, error)

// readGroups reads rows of groups in order, at most limit. Of the cursor's group it
// leaves out the rows before the cursor.
type readGroups[T any] func(ctx context.Context, groups []group, from admin.Cursor, limit int) ([]grouped[T], error)

// inGroups searches the rows of people or devices by their name. There is no index
// over both name and time, so the order is that of the names.
func inGroups[T any](ctx context.Context, find findGroups, read readGroups[T], from admin.Cursor, limit int) (admin.Found[T], error) {
	var found admin.Found[T]
	var last admin.Cursor
	shares := 0
	for looked := 0; looked < groupBound; looked += groupBatch {
		groups, err := find(ctx, from, groupBatch)
		if err != nil {
			return found, err
		}
		for share := range matchingGroups(groups) {
			rows, err := read(ctx, share, from, limit+1-len(found.Rows))
			if err != nil {
				return found, err
			}
			for _, r := range rows {
				if len(found.Rows) == limit {
					found.Next = last
					return found, nil
				}
				found.Rows, last = append(found.Rows, r.row), r.place
			}
			if shares++; shares == groupShares {
				end := share[len(share)-1]
				found.Next, found.Scanned = end.behind(), looked+groupBatch
				return found, nil
			}
		}
		if len(groups) < groupBatch {
			return found, nil
		}
		from = groups[len(groups)-1].behind()
	}
	found.Next, found.Scanned = from, groupBound
	return found, nil
}

// matchingGroups yields the groups that match, in batches.
func matchingGroups(groups []group) func(yield func([]group) bool) {
	return func(yield func([]group) bool) {
		var share []group
		for _, g := range groups {
			if !g.fits {
				continue
			}
			if share = append(share, g); len(share) < groupShare {
				continue
			}
			if !yield(share) {
				return
			}
			share = nil
		}
		if len(share) > 0 {
			yield(share)
		}
	}
}

// groupValues writes groups as rows of their number and id. The number of rows is
// always the same, the last ones with an empty id, so that few statements are
// prepared.
func groupValues(c *condition, groups []group) string {
	rows := make([]string, 0, groupShare)
	for i := range groupShare {
		id := ""
		if i < len(groups) {
			id = groups[i].id
		}
		rows = append(rows, "("+strconv.Itoa(i+1)+", "+c.arg(id)+")")
	}
	return strings.Join(rows, ", ")
}

// peopleNamed lists people one of whose words begins with the first of the words,
// under the first such word of theirs; they match when other words of theirs begin
// with the others.
func (db Search) peopleNamed(words []string) findGroups {
	return func(ctx context.Context, from admin.Cursor, limit int) ([]group, error) {
		if len(words) == 0 {
			return nil, nil
		}
		var c condition
		c.between("w.word", words[0])
		if from.ID != "" {
			c.and("(w.word, w.person) >= (" + c.arg(from.Group) + ", " + c.arg(from.ID) + ")")
		}
		where := c.where()
		fits := condition{args: c.args}
		fits.and("NOT EXISTS (SELECT 1 FROM person_words e WHERE e.person = g.person AND e.word >= $1 AND e.word < g.word)")
		named(&fits, "g.person", words[1:])
		return db.groups(ctx, `SELECT g.word, g.person, CASE WHEN `+fits.where()+` THEN 1 ELSE 0 END
			FROM (SELECT w.word, w.person FROM person_words w WHERE `+where+`
			ORDER BY w.word, w.person LIMIT `+strconv.Itoa(limit)+`) g ORDER BY g.word, g.person`, fits.args)
	}
}

// devicesNamed lists devices whose name begins with the text.
func (db Search) devicesNamed(name string) findGroups {
	return func(ctx context.Context, from admin.Cursor, limit int) ([]group, error) {
		var c condition
		c.between("d.name_key", NameKey(name))
		if from.ID != "" {
			c.and("(d.name_key, d.id) >= (" + c.arg(from.Group) + ", " + c.arg(from.ID) + ")")
		}
		return db.groups(ctx, `SELECT d.name_key, d.id, 1 FROM devices d WHERE `+c.where()+`
			ORDER BY d.name_key, d.id LIMIT `+strconv.Itoa(limit), c.args)
	}
}

func (db Search) groups(ctx context.Context, query string, args []any) ([]group, error) {
	var groups []group
	err := db.All(ctx, query, args, func(rows *sql.Rows) error {
		var g group
		var fits int
		err := rows.Scan(&g.key, &g.id, &fits)
		g.fits = fits == 1
		groups = append(groups, g)
		return err
	})
	return groups, err
}
