package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"certportal/internal/admin"
	"certportal/internal/portal"
)

// scan is a search over one table: it walks along one index, looks at a bounded
// number of rows, and says where it stopped. Rows added between two pages move none
// from one page to another.
type scan[T any] struct {
	db    Search
	limit int // rows of a page
	bound int // rows one page looks at before it shows what it found

	from   string    // the table and its alias
	alias  string    // of the table
	newest [2]string // the columns that order its rows by age, and make them unique

	inner   string // columns of the table that the bounded query reads
	columns string // what read scans
	joins   string // the tables that columns needs beside the scanned one

	// filter adds the conditions that the index does not cover.
	filter func(*condition, covered)

	// read scans a row of columns, behind other values, and gives its cursor.
	read func(rows *sql.Rows, x index, before ...any) (T, admin.Cursor, error)
}

// page reads one page along an index.
func (s scan[T]) page(ctx context.Context, x index, from admin.Cursor) (found admin.Found[T], err error) {
	var inner, rest condition
	x.open(&inner)
	if from != (admin.Cursor{}) {
		x.after(&inner, s.alias, from)
	}
	s.filter(&rest, x.covers)
	bound, stop := s.limit+1, admin.Cursor{}
	if len(rest.parts) > 0 {
		bound = s.bound
		if stop, err = s.stop(ctx, x, inner); err != nil {
			return found, err
		}
	}
	if stop != (admin.Cursor{}) {
		x.upTo(&inner, s.alias, stop)
	}
	outer := condition{args: inner.args}
	s.filter(&outer, x.covers)
	query := `SELECT ` + s.columns + ` FROM (SELECT ` + s.inner + ` FROM ` + s.from + ` WHERE ` + inner.where() +
		` ORDER BY ` + x.orderBy(s.alias) + fmt.Sprintf(` LIMIT %d) `, bound) + s.alias + s.joins + `WHERE ` + outer.where() +
		` ORDER BY ` + x.orderBy(s.alias) + fmt.Sprintf(` LIMIT %d`, s.limit+1)
	var last admin.Cursor
	err = s.db.All(ctx, query, outer.args, func(rows *sql.Rows) error {
		row, cursor, err := s.read(rows, x)
		if len(found.Rows) == s.limit {
			found.Next = last
			return err
		}
		found.Rows, last = append(found.Rows, row), x.only(cursor)
		return err
	})
	if err == nil && found.Next == (admin.Cursor{}) && stop != (admin.Cursor{}) {
		found.Next, found.Scanned = stop, s.bound
	}
	return found, err
}

// stop finds the last row that this page may look at; the zero cursor when the index
// ends before.
func (s scan[T]) stop(ctx context.Context, x index, inner condition) (admin.Cursor, error) {
	var p admin.Cursor
	err := s.db.One(ctx, `SELECT `+s.alias+`.`+x.keys[0]+`, `+s.alias+`.`+x.keys[1]+` FROM `+s.from+` WHERE `+inner.where()+
		` ORDER BY `+x.orderBy(s.alias)+fmt.Sprintf(` LIMIT 1 OFFSET %d`, s.bound-1), inner.args, x.target(&p), &p.Last)
	if errors.Is(err, portal.ErrNotFound) {
		return admin.Cursor{}, nil
	}
	return p, err
}

// ofGroups reads the rows of groups of people or devices that a column names, the
// newest of each first.
func (s scan[T]) ofGroups(column string, covers covered) readGroups[T] {
	x := index{keys: s.newest, down: true}
	return func(ctx context.Context, groups []group, from admin.Cursor, limit int) ([]grouped[T], error) {
		var list condition
		values := groupValues(&list, groups)
		if from.ID == groups[0].id {
			list.and("(g.column1 > 1 OR " + x.pair(s.alias) + " < (" + list.arg(from.At) + ", " + list.arg(from.Last) + "))")
		}
		s.filter(&list, covers)
		var found []grouped[T]
		err := s.db.All(ctx, `SELECT g.column1, `+s.columns+` FROM (VALUES `+values+`) g
			JOIN `+s.from+` ON `+column+` = g.column2`+s.joins+`WHERE `+list.where()+`
			ORDER BY g.column1, `+x.orderBy(s.alias)+fmt.Sprintf(` LIMIT %d`, limit), list.args, func(rows *sql.Rows) error {
			var n int
			row, cursor, err := s.read(rows, x, &n)
			if err != nil {
				return err
			}
			cursor.Group, cursor.ID = groups[n-1].key, groups[n-1].id
			found = append(found, grouped[T]{row, cursor})
			return nil
		})
		return found, err
	}
}
