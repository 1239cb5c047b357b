package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/store/sqldb"
)

// throttle is the row of a key.
type throttle struct {
	tries       int
	start       time.Time // of the window
	pausedUntil time.Time
}

// Try counts a try before it is made, under the lock of its key, so that parallel
// tries stay within the limit. Only the hash of the key is stored.
func (db SignInRecords) Try(ctx context.Context, key string, limit signin.Limit, now time.Time) (signin.Tries, error) {
	var answer signin.Tries
	err := db.write(ctx, "counting try", func(ctx context.Context, t *tx) error {
		before, err := t.lockThrottle(ctx, key)
		if err != nil {
			return err
		}
		var state throttle
		if state, answer = before.next(limit, now); state == before {
			return nil
		}
		return t.setThrottle(ctx, key, state, limit.Window)
	})
	if err != nil {
		return signin.Tries{}, err
	}
	return answer, nil
}

// next decides about a try at now.
func (s throttle) next(limit signin.Limit, now time.Time) (throttle, signin.Tries) {
	if limit.Leaking {
		return s.leak(limit, now)
	}
	if now.Before(s.pausedUntil) {
		return s, signin.Tries{Until: s.pausedUntil}
	}
	// A pause that is over has used up its window too.
	if !s.pausedUntil.IsZero() || !now.Before(s.start.Add(limit.Window)) {
		s = throttle{start: now}
	}
	return s.take(limit, now)
}

// take counts a try, or begins a pause.
func (s throttle) take(limit signin.Limit, now time.Time) (throttle, signin.Tries) {
	if s.tries >= limit.Tries {
		s.pausedUntil = now.Add(limit.Window).Truncate(time.Millisecond)
		return s, signin.Tries{Until: s.pausedUntil}
	}
	s.tries++
	if limit.Rolling && now.After(s.start) {
		s.start = now
	}
	return s, signin.Tries{Allowed: true, Left: limit.Tries - s.tries}
}

// leak decides about a try of a limit whose tries come back one by one. The window
// starts when the last of them came back.
func (s throttle) leak(limit signin.Limit, now time.Time) (throttle, signin.Tries) {
	every := limit.Window / time.Duration(limit.Tries)
	switch back := int(now.Sub(s.start) / every); {
	case back >= s.tries:
		s = throttle{start: now}
	case back > 0:
		s.tries -= back
		s.start = s.start.Add(time.Duration(back) * every)
	}
	if s.tries >= limit.Tries {
		return s, signin.Tries{Until: s.start.Add(every)}
	}
	s.tries++
	return s, signin.Tries{Allowed: true, Left: limit.Tries - s.tries}
}

// lockThrottle reads the row of a key and keeps others from reading it so until the
// transaction ends. A new key starts with an old window.
func (t *tx) lockThrottle(ctx context.Context, key string) (throttle, error) {
	var s throttle
	var start, paused sql.NullInt64
	err := t.One(ctx, `INSERT INTO attempts (key_hash, tries, window_start, paused_until, forget_at)
		VALUES ($1, 0, 0, 0, 0)
		ON CONFLICT (key_hash) DO UPDATE SET tries = attempts.tries
		RETURNING tries, window_start, paused_until`, []any{throttleKey(key)}, &s.tries, &start, &paused)
	if err != nil {
		return s, fmt.Errorf("locking throttle: %w", err)
	}
	s.setTimes(start, paused)
	return s, nil
}

// readThrottle reads the row of a key; portal.ErrNotFound when there is none.
func readThrottle(ctx context.Context, q querier, key string) (throttle, error) {
	var s throttle
	var start, paused sql.NullInt64
	err := q.One(ctx, "SELECT tries, window_start, paused_until FROM attempts WHERE key_hash = $1",
		[]any{throttleKey(key)}, &s.tries, &start, &paused)
	s.setTimes(start, paused)
	return s, err
}

// setTimes takes the times of a row. No pause is 0.
func (s *throttle) setTimes(start, paused sql.NullInt64) {
	s.start = sqldb.TimeOf(start)
	if paused.Int64 != 0 {
		s.pausedUntil = sqldb.TimeOf(paused)
	}
}

func (t *tx) setThrottle(ctx context.Context, key string, s throttle, window time.Duration) error {
	_, err := t.Exec(ctx, `UPDATE attempts SET tries = $2, window_start = $3, paused_until = $4, forget_at = $5
		WHERE key_hash = $1`, throttleKey(key), s.tries, s.start.UnixMilli(), millisOf(s.pausedUntil),
		max(s.start.Add(window).UnixMilli(), millisOf(s.pausedUntil)))
	return err
}

// PausedUntil returns when the pause of a key ends; the zero time when there is
// none.
func (db SignInRecords) PausedUntil(ctx context.Context, key string, now time.Time) (time.Time, error) {
	var until sql.NullInt64
	err := db.One(ctx, "SELECT paused_until FROM attempts WHERE key_hash = $1 AND paused_until > $2",
		[]any{throttleKey(key), now.UnixMilli()}, &until)
	if errors.Is(err, portal.ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("reading pause: %w", err)
	}
	return sqldb.TimeOf(until), nil
}

// GiveBack takes back one try that had no outcome. A pause caused by other tries
// stays.
func (db SignInRecords) GiveBack(ctx context.Context, key string) error {
	return db.write(ctx, "giving back a try", func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, "UPDATE attempts SET tries = tries - 1 WHERE key_hash = $1 AND tries > 0", throttleKey(key))
		return err
	})
}

// Forgive deletes the tries of a key, after a correct password.
func (db SignInRecords) Forgive(ctx context.Context, key string) error {
	return db.write(ctx, "forgiving tries", func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, "DELETE FROM attempts WHERE key_hash = $1", throttleKey(key))
		return err
	})
}

// PruneAttempts drops the keys whose window and pause are over, and returns
// their number. Without it, made-up names would fill the disk.
func (db SignInRecords) PruneAttempts(ctx context.Context, now time.Time) (int, error) {
	return db.prune(ctx, workWithin, "pruning tries", "DELETE FROM attempts WHERE forget_at <= $1", now.UnixMilli())
}

// prune runs one statement that deletes, and returns how many rows went.
func (db *base) prune(ctx context.Context, within time.Duration, doing, query string, args ...any) (int, error) {
	gone := 0
	err := db.writeWithin(ctx, within, doing, func(ctx context.Context, t *tx) (err error) {
		gone, err = t.Exec(ctx, query, args...)
		return err
	})
	if err != nil {
		return 0, err
	}
	return gone, nil
}

// throttleKey hashes with a label: the empty key has a hash too.
func throttleKey(key string) []byte { return sqldb.HashOf("throttle " + key) }

func millisOf(t time.Time) int64 { return sqldb.Moment(t).Int64 }
