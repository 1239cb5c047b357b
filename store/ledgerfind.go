package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

const (
	// lookAt bounds the entries that are looked at for one part of a search.
	// Several conditions are answered by the index of one: whoever asks for what
	// never happened at the same time would read the whole ledger.
	lookAt = 1000

	// disorder is how far times may run against the numbers: replicas have clocks
	// of their own.
	disorder = 10 * time.Minute

	// indexed is how many characters of a text its index holds.
	indexed = 64
)

// errEnough ends reading rows.
var errEnough = errors.New("enough was read")

// Find looks for entries with a number below before, newest first, and gives at
// most limit of them; math.MaxInt64 begins at the end.
func (db AuditLog) Find(ctx context.Context, q audit.Query, before int64, limit int) (audit.Found, error) {
	found, err := db.find(ctx, q, before, limit)
	if err != nil {
		return audit.Found{}, fmt.Errorf("searching the ledger: %w", err)
	}
	return found, nil
}

func (db AuditLog) find(ctx context.Context, q audit.Query, before int64, limit int) (audit.Found, error) {
	condition, value := leading(q)
	if limit < 1 || !sqldb.Storable(value) {
		return audit.Found{}, nil
	}
	lowest, before, err := db.numbersOf(ctx, q, before)
	if err != nil {
		return audit.Found{}, err
	}
	var found audit.Found
	looked := 0
	err = db.All(ctx, "SELECT "+entryColumns+" FROM ledger WHERE "+condition+" AND seq < $2 AND seq >= $3 ORDER BY seq DESC LIMIT $4",
		[]any{value, before, lowest, lookAt}, func(rows *sql.Rows) error {
			e, err := scanEntry(rows)
			var broken *audit.Break
			if err != nil && !errors.As(err, &broken) {
				return err
			}
			looked++
			matches := q.Matches(e)
			if matches && len(found.Entries) == limit {
				found.Next = found.Entries[limit-1].Seq
				return errEnough
			}
			if matches {
				found.Entries = append(found.Entries, e)
			}
			if looked == lookAt {
				found.Next = e.Seq
			}
			return nil
		})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return found, err
}

// PersonNamed finds somebody by their user principal name, or by any name that signs
// in to the built-in directory. enroll.ErrNotFound says that nobody is known by it,
// or more than one.
func (db Search) PersonNamed(ctx context.Context, name string) (portal.PersonID, error) {
	id, err := db.PersonCalled(ctx, name)
	if err == nil || !errors.Is(err, portal.ErrNotFound) && !errors.Is(err, portal.ErrConflict) {
		return id, err
	}
	if !sqldb.Storable(name) {
		return "", fmt.Errorf("finding person: %w", portal.ErrNotFound)
	}
	err = db.One(ctx, "SELECT account FROM account_names WHERE name_key = $1", []any{strings.ToLower(name)}, &id)
	if err != nil {
		return "", fmt.Errorf("finding person: %w", err)
	}
	return id, nil
}

// PersonNames gives the names of those people whose names are remembered: of who
// ever got a certificate, and of the accounts of the built-in directory.
func (db Search) PersonNames(ctx context.Context, ids []portal.PersonID) (map[portal.PersonID]string, error) {
	names := make(map[portal.PersonID]string)
	for _, id := range ids {
		if !sqldb.Storable(string(id)) {
			continue
		}
		var name string
		err := db.One(ctx, `SELECT name FROM (SELECT 1 AS place, name FROM accounts WHERE id = $1
			UNION ALL SELECT 2, CASE WHEN name = '' THEN upn ELSE name END FROM people WHERE id = $1) AS n
			WHERE name <> '' ORDER BY place LIMIT 1`, []any{string(id)}, &name)
		if errors.Is(err, portal.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("finding name of %q: %w", id, err)
		}
		names[id] = name
	}
	return names, nil
}

// leading is the condition whose index is used: the one that leaves the fewest.
// The others are compared with what it gives.
func leading(q audit.Query) (condition, value string) {
	beginning := func(s string) string {
		for n := range s {
			if utf8.RuneCountInString(s[:n]) == indexed {
				return s[:n]
			}
		}
		return s
	}
	switch {
	case q.Request != "":
		return "substr(request, 1, 64) = $1", beginning(q.Request)
	case q.Object != "":
		return "substr(object, 1, 64) = $1", beginning(q.Object)
	case q.Person != "":
		return "substr(person, 1, 64) = $1", beginning(q.Person)
	case q.Actor != "":
		return "substr(actor, 1, 64) = $1", beginning(q.Actor)
	case q.Action != "":
		return "action = $1", string(q.Action)
	}
	return "$1 = ''", ""
}

// numbersOf narrows the numbers that the times of a query may have: an entry that is
// older than From by more than the disorder has none of them before it, and one that
// is younger than Until by as much has none behind it.
func (db AuditLog) numbersOf(ctx context.Context, q audit.Query, before int64) (lowest, narrowed int64, err error) {
	beside := func(query string, at time.Time) (seq int64, found bool, err error) {
		err = db.One(ctx, query, []any{at.UnixMilli()}, &seq)
		if errors.Is(err, portal.ErrNotFound) {
			return 0, false, nil
		}
		return seq, err == nil, err
	}
	if !q.Until.IsZero() {
		seq, found, err := beside("SELECT seq FROM ledger WHERE at >= $1 ORDER BY at, seq LIMIT 1", q.Until.Add(disorder))
		if err != nil {
			return 0, 0, err
		}
		if found {
			before = min(before, seq)
		}
	}
	if q.From.IsZero() {
		return 0, before, nil
	}
	lowest, _, err = beside("SELECT seq FROM ledger WHERE at < $1 ORDER BY at DESC, seq DESC LIMIT 1", q.From.Add(-disorder))
	return lowest, before, err
}
