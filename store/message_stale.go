package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"certportal/internal/notify"
	"certportal/internal/portal"
)

// keptMessage is a message that was given up, as far as sending it again depends on it.
type keptMessage struct {
	kind   notify.Kind
	key    string
	person string
	params notify.Params
}

// readKept finds a message that can be sent again. The error wraps portal.ErrNotFound
// when there is none, or its parameters are gone.
func readKept(ctx context.Context, q querier, id string) (keptMessage, error) {
	var m keptMessage
	var kind, params string
	err := q.One(ctx, `SELECT kind, about, person, kept_facts FROM letters
		WHERE id = $1 AND given_up IS NOT NULL AND kept_facts IS NOT NULL AND recipient IS NOT NULL`, []any{id},
		&kind, &m.key, &m.person, &params)
	if err != nil {
		return m, fmt.Errorf("finding message %s: %w", id, err)
	}
	m.kind = notify.Kind(kind)
	if err := json.Unmarshal([]byte(params), &m.params); err != nil {
		return m, fmt.Errorf("reading parameters of message %s: %w", id, err)
	}
	return m, nil
}

// stillTrue reports whether what the message says is so at the time. A message about
// something that happened, such as a block, stays true.
func (m keptMessage) stillTrue(ctx context.Context, q querier, at time.Time) (bool, error) {
	if until := m.params.Until; !until.IsZero() && !until.After(at) {
		return false, nil
	}
	switch m.kind {
	case notify.Ending:
		serial := m.key[strings.LastIndexByte(m.key, ':')+1:]
		return anyRow(ctx, q, `SELECT 1 FROM certificates c JOIN devices d ON d.id = c.device_id
			WHERE c.serial = $1 AND c.status = 'issued' AND c.not_after > $2 AND d.removed_at IS NULL
			AND NOT EXISTS (SELECT 1 FROM certificates n WHERE n.device_id = c.device_id
				AND n.status = 'issued' AND n.requested_at > c.requested_at)`, serial, at.UnixMilli())
	case notify.Issued, notify.Renewed:
		return m.anyOfEntry(ctx, q, `SELECT 1 FROM certificates WHERE serial = $1 AND status IN ('issued', 'superseded')
			AND COALESCE(ends_at, not_after) > $2`, at.UnixMilli())
	case notify.Invited:
		return m.anyOfEntry(ctx, q, "SELECT 1 FROM invitations WHERE id = $1 AND state IN ('waiting', 'open') AND expires_at > $2", at.UnixMilli())
	case notify.Changed:
		return anyRow(ctx, q, marked+"('upn', 'sid')", m.person, at.UnixMilli())
	case notify.Privileged:
		return anyRow(ctx, q, marked+"('protected')", m.person, at.UnixMilli())
	case notify.Recalled:
		of, _, _ := strings.Cut(strings.TrimPrefix(m.key, "recalled:"), ":")
		return anyRow(ctx, q, "SELECT 1 FROM certificates c WHERE "+toReplace+" AND c.person = $3", of, at.UnixMilli(), m.person)
	case notify.Halted:
		return anyRow(ctx, q, "SELECT 1 FROM halt WHERE id = 1 AND reason <> ''")
	case notify.Stopped:
		return anyRow(ctx, q, "SELECT 1 FROM watch WHERE id = 1 AND reason <> ''")
	}
	return true, nil
}

// marked asks for a valid certificate of a person with one of the changes that follow.
const marked = `SELECT 1 FROM certificates c JOIN marks k ON k.serial = c.serial WHERE c.person = $1
	AND c.status IN ('issued', 'superseded') AND COALESCE(c.ends_at, c.not_after) > $2 AND k.change IN `

// anyOfEntry is [anyRow] about the object of the audit entry that the message is about, as
// first parameter.
func (m keptMessage) anyOfEntry(ctx context.Context, q querier, query string, args ...any) (bool, error) {
	number, isEntry := strings.CutPrefix(m.key, "entry:")
	seq, err := strconv.ParseInt(number, 10, 64)
	if !isEntry || err != nil {
		return true, nil // of no entry: only its time can say that it is over
	}
	var object string
	err = q.One(ctx, "SELECT object FROM ledger WHERE seq = $1", []any{seq}, &object)
	if errors.Is(err, portal.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("finding audit entry of message: %w", err)
	}
	return anyRow(ctx, q, query, append([]any{object}, args...)...)
}

// anyRow reports whether a query finds a row.
func anyRow(ctx context.Context, q querier, query string, args ...any) (bool, error) {
	found := false
	err := q.All(ctx, query+" LIMIT 1", args, func(*sql.Rows) error {
		found = true
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("looking for a row: %w", err)
	}
	return found, nil
}
