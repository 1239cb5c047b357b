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

// DriftState returns the state that all drift watches over the database share.
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

// StopDrift records why the drift watch does nothing, and reports whether the reason
// is new. If it is not, there is no entry, and the stop keeps its beginning.
func (db DriftRecords) StopDrift(ctx context.Context, reason drift.StopReason, at time.Time, entry audit.Entry) (bool, error) {
	return db.changeDriftState(ctx, "stopping the drift watch", entry, `UPDATE watch SET reason = $1, stopped_at = COALESCE(stopped_at, $2)
		WHERE id = 1 AND reason <> $1`, string(reason), at.UnixMilli())
}

// AllowDrift records that an administrator allowed more changes than the limit, and
// ends the stop. The entry is always written.
func (db DriftRecords) AllowDrift(ctx context.Context, at time.Time, entry audit.Entry) error {
	_, err := db.changeDriftState(ctx, "letting the watch go on", entry,
		"UPDATE watch SET reason = '', stopped_at = NULL, allowed_at = $1 WHERE id = 1", at.UnixMilli())
	return err
}

// ResumeDrift ends the stop, and reports whether there was one. Without one there is
// no entry.
func (db DriftRecords) ResumeDrift(ctx context.Context, entry audit.Entry) (bool, error) {
	return db.changeDriftState(ctx, "resuming the watch", entry,
		"UPDATE watch SET reason = '', stopped_at = NULL WHERE id = 1 AND reason <> ''")
}

// changeDriftState changes the state and reports whether it did; only then the entry
// is written.
func (db DriftRecords) changeDriftState(ctx context.Context, doing string, entry audit.Entry, query string, args ...any) (bool, error) {
	moved := false
	err := db.writeHeld(ctx, workWithin, doing, func(ctx context.Context, t *tx) error {
		touched, err := t.Exec(ctx, query, args...)
		moved = touched == 1
		if err != nil || !moved {
			return err
		}
		return t.append(ctx, entry)
	})
	return moved && err == nil, err
}

// RecordDriftPass records that a pass of the drift watch over a directory was
// completed, and drops the mismatches of expired certificates.
func (db DriftRecords) RecordDriftPass(ctx context.Context, at time.Time, source string) error {
	return db.writeHeld(ctx, workWithin, "noting the pass of the watch", func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, `DELETE FROM marks WHERE EXISTS (
			SELECT 1 FROM certificates c WHERE c.serial = marks.serial AND c.not_after <= $1)`, at.UnixMilli())
		if err != nil {
			return fmt.Errorf("dropping mismatches: %w", err)
		}
		_, err = t.Exec(ctx, "UPDATE watch SET passed_at = $1, source = $2 WHERE id = 1", at.UnixMilli(), source)
		return err
	})
}
