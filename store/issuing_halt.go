package store

import (
	"context"
	"database/sql"
	"fmt"

	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// Halted returns the state of the switch that stops issuing.
func (db Enrolments) Halted(ctx context.Context) (admin.Halt, error) {
	var h admin.Halt
	var since sql.NullInt64
	err := db.One(ctx, "SELECT reason, actor, since FROM halt WHERE id = 1", nil, &h.Reason, &h.Actor, &since)
	if err != nil {
		return admin.Halt{}, fmt.Errorf("reading halt: %w", err)
	}
	h.Since = sqldb.TimeOf(since)
	return h, nil
}

// SetHalt turns the switch and reports whether that changed anything. An empty
// reason lets issuing go on. Once it returns, no replica reserves a certificate any
// more.
func (db Enrolments) SetHalt(ctx context.Context, h admin.Halt, entry audit.Entry) (bool, error) {
	changed := false
	err := db.write(ctx, "turning the switch", func(ctx context.Context, t *tx) error {
		touched, err := t.Exec(ctx, "UPDATE halt SET reason = $1, actor = $2, since = $3 WHERE id = 1 AND reason <> $1",
			sqldb.Cleaned(h.Reason), string(h.Actor), sqldb.Moment(h.Since))
		if err != nil {
			return fmt.Errorf("recording halt: %w", err)
		}
		if changed = touched == 1; !changed {
			return nil
		}
		return t.append(ctx, entry)
	})
	return changed, err
}

// checkHalt refuses to reserve while issuing is stopped. It comes after the audit
// entry of the reservation: turning the switch needs the head of the audit log too,
// so the switch is either seen here, or turned after the reservation is committed.
// From that moment it counts for every replica. The portal's own certificates are
// let through: without them there would be no page to show the halt.
func (t *tx) checkHalt(ctx context.Context) error {
	var reason string
	if err := t.One(ctx, "SELECT reason FROM halt WHERE id = 1", nil, &reason); err != nil {
		return fmt.Errorf("reading halt: %w", err)
	}
	if reason != "" {
		return &portal.Refusal{Reason: portal.Halted, Value: reason}
	}
	return nil
}
