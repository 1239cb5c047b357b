package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"time"

	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/store/sqldb"
)

// useInterval is how often the use of a session is recorded. A session may therefore
// idle out up to this much early, never late.
const useInterval = time.Minute

// timedOutKept is how long a session that timed out is kept, without opening anything: for
// a person who comes back within the day.
const timedOutKept = 8 * time.Hour

// useTimeout leaves most of the time of an answer to what the person asked for.
const useTimeout = time.Second

// Session returns the data of a session by the hash of its id, and records its use.
// The error wraps portal.ErrNotFound when there is none, when it was ended, and when
// its idle or its absolute time is over. When the use cannot be recorded, that is
// logged and the session goes on: a full disk must not sign everyone out.
func (db SignInRecords) Session(ctx context.Context, idHash [sha256.Size]byte, now time.Time) ([]byte, error) {
	var data []byte
	var touched sql.NullInt64
	err := db.One(ctx, `SELECT data, touched_at FROM sessions
		WHERE id_hash = $1 AND NOT ended AND expires_at > $2 AND touched_at + idle > $2`,
		[]any{idHash[:], now.UnixMilli()}, &data, &touched)
	if err != nil {
		return nil, fmt.Errorf("finding session: %w", err)
	}
	if now.Sub(sqldb.TimeOf(touched)) < useInterval {
		return data, nil
	}
	if err := db.recordUse(ctx, idHash, now); err != nil {
		db.Log().Warn("use of a session not recorded", "err", err)
	}
	return data, nil
}

func (db SignInRecords) recordUse(ctx context.Context, idHash [sha256.Size]byte, now time.Time) error {
	return db.writeWithin(ctx, useTimeout, "touching session", func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, "UPDATE sessions SET touched_at = $2 WHERE id_hash = $1 AND touched_at < $2",
			idHash[:], now.UnixMilli())
		return err
	})
}

// SaveSession stores the data of a session, new or known, that ends after idle
// without use and at expires at the latest. The error wraps portal.ErrConflict when
// the session was ended: a request under way does not bring it back.
func (db SignInRecords) SaveSession(ctx context.Context, idHash [sha256.Size]byte, person string, data []byte,
	idle time.Duration, expires, now time.Time) error {
	return db.write(ctx, "saving session", func(ctx context.Context, t *tx) error {
		touched, err := t.Exec(ctx, `INSERT INTO sessions (id_hash, person, data, idle, touched_at, expires_at, ended)
			VALUES ($1, $2, $3, $4, $5, $6, $7)
			ON CONFLICT (id_hash) DO UPDATE SET person = excluded.person, data = excluded.data, idle = excluded.idle,
			touched_at = excluded.touched_at, expires_at = excluded.expires_at WHERE NOT sessions.ended`,
			idHash[:], person, data, idle.Milliseconds(), now.UnixMilli(), expires.UnixMilli(), false)
		if err != nil {
			return err
		}
		if touched == 0 {
			return portal.ErrConflict
		}
		return nil
	})
}

// EndSession ends a session for good; ending a missing one is no error. The row
// stays without data until its time is over.
func (db SignInRecords) EndSession(ctx context.Context, idHash [sha256.Size]byte) error {
	return db.write(ctx, "ending session", func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, "UPDATE sessions SET ended = $2, data = NULL WHERE id_hash = $1", idHash[:], true)
		return err
	})
}

// SessionOver says how a session ended that is over. The error wraps portal.ErrNotFound
// while it is open, and when nothing is known of it any more.
func (db SignInRecords) SessionOver(ctx context.Context, idHash [sha256.Size]byte, now time.Time) (signin.SessionOver, error) {
	var over signin.SessionOver
	var ended bool
	var cause sql.NullString
	var expires sql.NullInt64
	err := db.One(ctx, `SELECT data, ended, end_cause, expires_at FROM sessions
		WHERE id_hash = $1 AND (ended OR expires_at <= $2 OR touched_at + idle <= $2)`,
		[]any{idHash[:], now.UnixMilli()}, &over.Data, &ended, &cause, &expires)
	if err != nil {
		return signin.SessionOver{}, fmt.Errorf("finding session that is over: %w", err)
	}
	over.Lost = cause.String == string(portal.Lost)
	over.Idle = !ended && now.Before(sqldb.TimeOf(expires))
	return over, nil
}

// KeepSessionOver replaces the data of a session that timed out, which stays over. It does
// nothing to any other.
func (db SignInRecords) KeepSessionOver(ctx context.Context, idHash [sha256.Size]byte, data []byte, now time.Time) error {
	return db.write(ctx, "keeping data of a session that is over", func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, `UPDATE sessions SET data = $2
			WHERE id_hash = $1 AND NOT ended AND (expires_at <= $3 OR touched_at + idle <= $3)`, idHash[:], data, now.UnixMilli())
		return err
	})
}

// EndSessions ends all sessions of a person and returns how many had not been ended.
func (db SignInRecords) EndSessions(ctx context.Context, person string) (int, error) {
	return db.prune(ctx, answerWithin, "ending sessions",
		"UPDATE sessions SET ended = $2, data = NULL WHERE person = $1 AND NOT ended", person, true)
}

// PruneSessions drops sessions that timed out some hours ago, and returns their number.
// Ended ones stay as long after their absolute time.
func (db SignInRecords) PruneSessions(ctx context.Context, now time.Time) (int, error) {
	return db.prune(ctx, workWithin, "pruning sessions",
		"DELETE FROM sessions WHERE expires_at <= $1 OR (touched_at + idle <= $1 AND NOT ended)", now.Add(-timedOutKept).UnixMilli())
}
