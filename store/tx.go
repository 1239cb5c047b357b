package store

import (
	"context"
	"errors"
	"time"

	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// errMismatch says that a caller's data contradict what was recorded.
var errMismatch = errors.New("does not match the reservation")

const (
	answerWithin = sqldb.AnswerTimeout
	workWithin   = sqldb.WorkTimeout
)

// tx is a transaction that writes. Each act takes the row locks it needs in one
// order: first people, then what it changes, and the head of the audit log last.
type tx struct {
	*sqldb.Tx
	node   string
	secret portal.Secret
	ended  map[string]bool // serials ended without a revocation row so far
}

// write runs act in a transaction and commits it, within the time of an answer, as
// [sqldb.DB.Write] does.
func (db *base) write(ctx context.Context, doing string, act func(context.Context, *tx) error) error {
	return db.writeWithin(ctx, answerWithin, doing, act)
}

// writeWithin is [DB.write] with another bound.
func (db *base) writeWithin(ctx context.Context, within time.Duration, doing string, act func(context.Context, *tx) error) error {
	return db.Write(ctx, within, doing, func(ctx context.Context, inner *sqldb.Tx) error {
		t := &tx{Tx: inner, node: db.node, secret: db.secret}
		if err := act(ctx, t); err != nil {
			return err
		}
		if len(t.ended) > 0 {
			return errNoAuditEntry
		}
		return nil
	})
}
