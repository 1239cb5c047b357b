package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"certportal/internal/portal"
	"certportal/internal/signin"
)

// tally is the rows of all counters of a try, and of those that count together.
type tally struct {
	rows map[string]throttle
	sum  signin.Together
	now  time.Time
}

// TryAll counts one try under several counters before it is made, in one transaction.
// Tries of one account wait for each other at the first of the keys that count together.
func (db SignInRecords) TryAll(ctx context.Context, counters []signin.Counter, sum signin.Together, now time.Time) (signin.Tries, error) {
	var answer signin.Tries
	err := db.write(ctx, "counting try", func(ctx context.Context, t *tx) error {
		before := tally{make(map[string]throttle), sum, now}
		if err := t.lockTally(ctx, before, counters); err != nil {
			return err
		}
		var after map[string]throttle
		after, answer = before.decide(counters)
		return t.setTally(ctx, before, after, counters, answer.Allowed)
	})
	if err != nil {
		return signin.Tries{}, err
	}
	return answer, nil
}

// decide returns the rows to be recorded: all of them when every counter allows the try,
// else those that refuse it, with their pauses.
func (t tally) decide(counters []signin.Counter) (map[string]throttle, signin.Tries) {
	counted, refused := make(map[string]throttle), make(map[string]throttle)
	var least, paused signin.Tries
	for i, c := range counters {
		row, tries := t.next(c)
		if !tries.Allowed {
			refused[c.Key] = row
			if tries.Until.After(paused.Until) {
				paused = tries
			}
			continue
		}
		counted[c.Key] = row
		if i == 0 || tries.Left < least.Left {
			least = tries
		}
	}
	if len(refused) > 0 {
		return refused, paused
	}
	return counted, least
}

// lockTally reads the rows. Others that count together are only read: who would change
// them waits for the first.
func (t *tx) lockTally(ctx context.Context, all tally, counters []signin.Counter) (err error) {
	lock := make([]string, 0, 1+len(counters))
	if len(all.sum.Keys) > 0 {
		lock = append(lock, all.sum.Keys[0])
	}
	for _, c := range counters {
		lock = append(lock, c.Key)
	}
	for _, key := range lock {
		if _, done := all.rows[key]; done {
			continue
		}
		if all.rows[key], err = t.lockThrottle(ctx, key); err != nil {
			return err
		}
	}
	return all.read(ctx, t, all.sum.Keys)
}

// read reads the rows that are not there yet.
func (t tally) read(ctx context.Context, q querier, keys []string) (err error) {
	for _, key := range keys {
		if _, done := t.rows[key]; done {
			continue
		}
		if t.rows[key], err = readThrottle(ctx, q, key); err != nil && !errors.Is(err, portal.ErrNotFound) {
			return fmt.Errorf("reading throttle: %w", err)
		}
	}
	return nil
}

// TriesLeft returns how many of the next tries, up to most, would be allowed at now.
// Each takes the first of the choices whose counters allow it, as a client does that
// tries again. It counts none of them.
func (db SignInRecords) TriesLeft(ctx context.Context, choices [][]signin.Counter, sum signin.Together, now time.Time, most int) (int, error) {
	t := tally{make(map[string]throttle), sum, now}
	keys := slices.Clone(sum.Keys)
	for _, c := range slices.Concat(choices...) {
		keys = append(keys, c.Key)
	}
	if err := t.read(ctx, db, keys); err != nil {
		return 0, err
	}
	for left := range most {
		if !t.takeFirst(choices) {
			return left, nil
		}
	}
	return most, nil
}

// takeFirst counts a try in the rows under the first choice that allows it.
func (t tally) takeFirst(choices [][]signin.Counter) bool {
	for _, counters := range choices {
		if rows, tries := t.decide(counters); tries.Allowed {
			maps.Copy(t.rows, rows)
			return true
		}
	}
	return false
}

// setTally records a try that was counted, or the pauses of one that was not. Rows that
// count together are kept until the window of all ends.
func (t *tx) setTally(ctx context.Context, before tally, after map[string]throttle, counters []signin.Counter, counted bool) error {
	var window time.Duration
	for _, c := range counters {
		if before.together(c.Key) {
			window = c.Limit.Window
		}
		row, changed := after[c.Key]
		if !changed || row == before.rows[c.Key] {
			continue
		}
		if err := t.setThrottle(ctx, c.Key, row, c.Limit.Window); err != nil {
			return err
		}
	}
	for _, key := range before.sum.Keys {
		row := before.rows[key]
		if _, own := after[key]; own || !counted || row.tries == 0 {
			continue
		}
		if before.quiet(window) {
			row.tries = 0
		}
		_, err := t.Exec(ctx, "UPDATE attempts SET tries = $2, forget_at = $3 WHERE key_hash = $1", throttleKey(key), row.tries,
			max(before.now.Add(window).UnixMilli(), millisOf(row.pausedUntil)))
		if err != nil {
			return err
		}
	}
	return nil
}

// next decides about a try under one counter. Of those that count together, each goes on
// counting until none has had a try for a window.
func (t tally) next(c signin.Counter) (throttle, signin.Tries) {
	row, limit := t.rows[c.Key], c.Limit
	if !t.together(c.Key) {
		return row.next(limit, t.now)
	}
	if t.now.Before(row.pausedUntil) {
		return row, signin.Tries{Until: row.pausedUntil}
	}
	others, last := t.others(c.Key)
	if t.quiet(limit.Window) {
		row, others = throttle{start: t.now}, 0
	}
	limit.Tries = min(limit.Tries, t.sum.Tries-others)
	if row.tries >= limit.Tries && !row.pausedUntil.IsZero() {
		// Its pause is over, but others tried meanwhile.
		row.pausedUntil = last.Add(limit.Window)
		return row, signin.Tries{Until: row.pausedUntil}
	}
	return row.take(limit, t.now)
}

func (t tally) together(key string) bool {
	return slices.Contains(t.sum.Keys, key)
}

// others returns how many tries there are under the other keys that count together, and
// when the last was under any of them.
func (t tally) others(key string) (tries int, last time.Time) {
	for _, k := range t.sum.Keys {
		row := t.rows[k]
		if k != key {
			tries += row.tries
		}
		if row.tries > 0 && row.start.After(last) {
			last = row.start
		}
	}
	return tries, last
}

// quiet reports whether no key that counts together had a try in the window.
func (t tally) quiet(window time.Duration) bool {
	_, last := t.others("")
	return !t.now.Before(last.Add(window))
}
