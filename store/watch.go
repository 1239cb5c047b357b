package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"certportal/internal/audit"
	"certportal/internal/drift"
	"certportal/store/sqldb"
)

// Watching gives the state that all drift watches over the database share.
func (db DriftRecords) DriftState(ctx context.Context) (drift.State, error) {
	var s drift.State
	var stopped, allowed, passed sql.NullInt64
	err := db.One(ctx, "SELECT reason, stopped_at, allowed_at, passed_at, source FROM watch WHERE id = 1", nil,
		&s.Reason, &stopped, &allowed, &passed, &s.Source)
	if err != nil {
		return drift.State{}, fmt.Errorf("reading state of the watch: %w", err)
	}
	s.Stopped, s.Allowed, s.Passed = sqldb.TimeOf(stopped), sqldb.TimeOf(allowed), sqldb.TimeOf(passed)
	return s, nil
}

// Stop records why the drift watch does nothing, and reports whether that is new.
// Without that there is no entry, and the stop keeps its beginning.
func (db DriftRecords) StopDrift(ctx context.Context, reason drift.StopReason, at time.Time, entry audit.Entry) (bool, error) {
	return db.moveWatch(ctx, "stopping the watch", entry, `UPDATE watch SET reason = $1, stopped_at = COALESCE(stopped_at, $2)
		WHERE id = 1 AND reason <> $1`, string(reason), at.UnixMilli())
}

// Allow records that an administrator let more change than the share, and ends
// the stop. The entry is always written.
func (db DriftRecords) AllowDrift(ctx context.Context, at time.Time, entry audit.Entry) error {
	_, err := db.moveWatch(ctx, "letting the watch go on", entry,
		"UPDATE watch SET reason = '', stopped_at = NULL, allowed_at = $1 WHERE id = 1", at.UnixMilli())
	return err
}

// Resume ends the stop, and reports whether there was one. Without that there is
// no entry.
func (db DriftRecords) ResumeDrift(ctx context.Context, entry audit.Entry) (bool, error) {
	return db.moveWatch(ctx, "resuming the watch", entry,
		"UPDATE watch SET reason = '', stopped_at = NULL WHERE id = 1 AND reason <> ''")
}

// moveWatch changes the state and reports whether it did; only then the entry is
// written.
func (db DriftRecords) moveWatch(ctx context.Context, doing string, entry audit.Entry, query string, args ...any) (bool, error) {
	moved := false
	err := db.writeWithin(ctx, workWithin, doing, func(ctx context.Context, t *tx) error {
		touched, err := t.Exec(ctx, query, args...)
		moved = touched == 1
		if err != nil || !moved {
			return err
		}
		return t.append(ctx, entry)
	})
	return moved && err == nil, err
}

// Pass notes that a pass of the drift watch went through over a directory, and
// drops the marks of certificates that are past their end.
func (db DriftRecords) RecordDriftPass(ctx context.Context, at time.Time, source string) error {
	return db.writeWithin(ctx, workWithin, "noting the pass of the watch", func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, `DELETE FROM marks WHERE EXISTS (
			SELECT 1 FROM certificates c WHERE c.serial = marks.serial AND c.not_after <= $1)`, at.UnixMilli())
		if err != nil {
			return fmt.Errorf("dropping marks: %w", err)
		}
		_, err = t.Exec(ctx, "UPDATE watch SET passed_at = $1, source = $2 WHERE id = 1", at.UnixMilli(), source)
		return err
	})
}
