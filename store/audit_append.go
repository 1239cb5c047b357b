package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// errNoHead is the error for a database without the head of its audit log. It is not
// portal.ErrNotFound, which would mean that what was asked for does not exist.
var errNoHead = errors.New("audit log has no head")

// Note records an entry that belongs to no other change.
func (db AuditLog) Note(ctx context.Context, e audit.Entry) error {
	if !db.floods.pass(e) {
		return nil
	}
	return db.write(ctx, "noting "+string(e.Action), func(ctx context.Context, t *tx) error { return t.append(ctx, e) })
}

// append adds entries to the audit log. It takes the lock on the head, which every
// other act needs too, so it comes last in a transaction.
func (t *tx) append(ctx context.Context, entries ...audit.Entry) error {
	_, err := t.appendNumbered(ctx, entries)
	return err
}

// appendNumbered is [tx.append], and returns the number of the first entry.
func (t *tx) appendNumbered(ctx context.Context, entries []audit.Entry) (first int64, err error) {
	if len(entries) == 0 {
		return 0, nil
	}
	head, err := t.reserveNumbers(ctx, len(entries))
	if err != nil {
		return 0, fmt.Errorf("appending to audit log: %w", err)
	}
	first = head.Seq + 1
	for _, e := range entries {
		if e.Node == "" {
			e.Node = t.node
		}
		e, head = head.Append(cleanEntry(e))
		if err := t.insertEntry(ctx, e); err != nil {
			return 0, fmt.Errorf("appending audit entry %d: %w", e.Seq, err)
		}
	}
	if _, err := t.Exec(ctx, "UPDATE ledger_head SET hash = $1 WHERE id = 1", head.Hash[:]); err != nil {
		return 0, fmt.Errorf("moving head of audit log: %w", err)
	}
	return first, nil
}

// appendAbout adds an entry about a certificate, unless it names another object.
func (t *tx) appendAbout(ctx context.Context, serial string, e audit.Entry) error {
	if e.Object == "" {
		e.Object = serial
	}
	return t.append(ctx, e)
}

// reserveNumbers locks the head, advances its number by n, and returns the head as
// it was.
func (t *tx) reserveNumbers(ctx context.Context, n int) (audit.Head, error) {
	var head audit.Head
	var hash []byte
	touched := 0
	err := t.All(ctx, "UPDATE ledger_head SET seq = seq + $1 WHERE id = 1 RETURNING seq, hash", []any{n},
		func(rows *sql.Rows) error {
			touched++
			return rows.Scan(&head.Seq, &hash)
		})
	if err != nil {
		return audit.Head{}, err
	}
	if touched != 1 {
		return audit.Head{}, errNoHead
	}
	head.Seq -= int64(n)
	head.Hash, err = sqldb.Hash32(hash)
	return head, err
}

func (t *tx) insertEntry(ctx context.Context, e audit.Entry) error {
	row, err := rowOf(e)
	if err == nil {
		_, err = t.Exec(ctx, insertEntry, row...)
	}
	return err
}

const insertEntry = `INSERT INTO ledger
	(seq, at, node, action, actor, role, person, object, address, request, detail, prev, hash)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`

// rowOf are the values for insertEntry.
func rowOf(e audit.Entry) ([]any, error) {
	detail, err := json.Marshal(e.Detail)
	return []any{
		e.Seq, e.At.UnixMilli(), e.Node, string(e.Action), e.Actor, e.Role, e.Person, e.Object, e.Address, e.Request,
		string(detail), e.Prev[:], e.Hash[:],
	}, err
}

func cleanEntry(e audit.Entry) audit.Entry {
	e.Action = audit.Action(sqldb.Cleaned(string(e.Action)))
	for _, field := range []*string{&e.Node, &e.Actor, &e.Role, &e.Person, &e.Object, &e.Address, &e.Request} {
		*field = sqldb.Cleaned(*field)
	}
	detail := make(map[string]string, len(e.Detail))
	for key, value := range e.Detail {
		detail[sqldb.Cleaned(key)] = sqldb.Cleaned(value)
	}
	e.Detail = detail
	return e
}

// entryColumns are the columns that scanEntry reads, in its order.
const entryColumns = "seq, at, node, action, actor, role, person, object, address, request, detail, prev, hash"

// Entries reads the audit log in order: at most limit entries with a number above
// after. It does not verify them; [audit.Checker] does. At a row that is not a valid
// entry it returns those before and an *audit.Break.
func (db AuditLog) Entries(ctx context.Context, after int64, limit int) ([]audit.Entry, error) {
	var entries []audit.Entry
	err := db.All(ctx, "SELECT "+entryColumns+" FROM ledger WHERE seq > $1 ORDER BY seq LIMIT $2", []any{after, limit},
		func(rows *sql.Rows) error {
			e, err := scanEntry(rows)
			if err == nil {
				entries = append(entries, e)
			}
			return err
		})
	var broken *audit.Break
	if errors.As(err, &broken) {
		return entries, broken
	}
	if err != nil {
		return nil, fmt.Errorf("reading audit log after %d: %w", after, err)
	}
	return entries, nil
}

func scanEntry(rows *sql.Rows) (audit.Entry, error) {
	var e audit.Entry
	var at int64
	var detail sql.RawBytes
	var prev, hash []byte
	err := rows.Scan(&e.Seq, &at, &e.Node, &e.Action, &e.Actor, &e.Role, &e.Person, &e.Object, &e.Address, &e.Request,
		&detail, &prev, &hash)
	if err != nil {
		return e, err
	}
	e.At = time.UnixMilli(at).UTC()
	var readable bool
	if e.Detail, readable = detailOf(detail); !readable || len(prev) != len(e.Prev) || len(hash) != len(e.Hash) {
		return e, &audit.Break{Seq: e.Seq, Fault: audit.Altered}
	}
	e.Prev, e.Hash = [sha256.Size]byte(prev), [sha256.Size]byte(hash)
	return e, nil
}

// Head returns the end of the audit log, the zero Head when it is empty.
func (db AuditLog) Head(ctx context.Context) (audit.Head, error) {
	var head audit.Head
	var hash []byte
	err := db.One(ctx, "SELECT seq, hash FROM ledger_head WHERE id = 1", nil, &head.Seq, &hash)
	if errors.Is(err, portal.ErrNotFound) {
		err = errNoHead
	}
	if err == nil {
		head.Hash, err = sqldb.Hash32(hash)
	}
	if err != nil {
		return audit.Head{}, fmt.Errorf("reading head of audit log: %w", err)
	}
	return head, nil
}
