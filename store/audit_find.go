package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

const (
	// findBound bounds the entries that one part of a search looks at. Only one of
	// several conditions can use an index: a search for what never happened together
	// would read the whole log.
	findBound = 1000

	// clockSkew is how far times may run against the numbers: replicas have clocks
	// of their own.
	clockSkew = 10 * time.Minute

	// indexedLength is how many characters of a text its index holds.
	indexedLength = 64
)

// errStop ends reading rows early.
var errStop = errors.New("enough was read")

// Find looks for entries with a number below before, newest first, and returns at
// most limit of them; math.MaxInt64 begins at the end.
func (db AuditLog) Find(ctx context.Context, q audit.Query, before int64, limit int) (audit.Found, error) {
	found, err := db.find(ctx, q, before, limit)
	if err != nil {
		return audit.Found{}, fmt.Errorf("searching the audit log: %w", err)
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
		[]any{value, before, lowest, findBound}, func(rows *sql.Rows) error {
			e, err := scanEntry(rows)
			var broken *audit.Break
			if err != nil && !errors.As(err, &broken) {
				return err
			}
			looked++
			matches := q.Matches(e)
			if matches && len(found.Entries) == limit {
				found.Next = found.Entries[limit-1].Seq
				return errStop
			}
			if matches {
				found.Entries = append(found.Entries, e)
			}
			if looked == findBound {
				found.Next = e.Seq
			}
			return nil
		})
	if errors.Is(err, errStop) {
		err = nil
	}
	return found, err
}

// leading chooses the condition whose index is used: the one that leaves the fewest
// entries. The others are checked entry by entry.
func leading(q audit.Query) (condition, value string) {
	beginning := func(s string) string {
		for n := range s {
			if utf8.RuneCountInString(s[:n]) == indexedLength {
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

// numbersOf narrows the numbers that the times of a query may have: no entry in the
// period comes before an entry that is older than From by more than the clock skew,
// nor behind one that is younger than Until by as much.
func (db AuditLog) numbersOf(ctx context.Context, q audit.Query, before int64) (lowest, narrowed int64, err error) {
	beside := func(query string, at time.Time) (seq int64, found bool, err error) {
		err = db.One(ctx, query, []any{at.UnixMilli()}, &seq)
		if errors.Is(err, portal.ErrNotFound) {
			return 0, false, nil
		}
		return seq, err == nil, err
	}
	if !q.Until.IsZero() {
		seq, found, err := beside("SELECT seq FROM ledger WHERE at >= $1 ORDER BY at, seq LIMIT 1", q.Until.Add(clockSkew))
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
	lowest, _, err = beside("SELECT seq FROM ledger WHERE at < $1 ORDER BY at DESC, seq DESC LIMIT 1", q.From.Add(-clockSkew))
	return lowest, before, err
}

// EntriesAbout returns the newest audit entries about a person, newest first: of all
// actions, or of the named ones.
func (db AuditLog) EntriesAbout(ctx context.Context, person portal.PersonID, limit int, named ...audit.Action) ([]audit.Entry, error) {
	if !sqldb.Storable(string(person)) {
		return nil, nil
	}
	args := []any{string(person), limit}
	among := ""
	for _, action := range named {
		args = append(args, string(action))
		among += fmt.Sprintf(", $%d", len(args))
	}
	if among != "" {
		among = " AND action IN (" + among[2:] + ")"
	}
	var entries []audit.Entry
	// The index holds the beginning of ids.
	err := db.All(ctx, `SELECT `+entryColumns+` FROM ledger
		WHERE substr(person, 1, 64) = substr($1, 1, 64) AND person = $1`+among+` ORDER BY seq DESC LIMIT $2`, args,
		func(rows *sql.Rows) error {
			e, err := scanEntry(rows)
			entries = append(entries, e)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("reading audit log about %q: %w", person, err)
	}
	return entries, nil
}
