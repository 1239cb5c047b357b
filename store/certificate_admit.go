package store

import (
	"context"
	"database/sql"

	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// querier reads rows, in a transaction or outside one.
type querier interface {
	One(ctx context.Context, query string, args []any, into ...any) error
	All(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error
}

// Admit refuses what Reserve would refuse now, so that nothing is spent on it. Nothing
// is locked: Reserve decides again.
func (db Enrolments) Admit(ctx context.Context, r enroll.Reservation) error {
	h, err := db.Halted(ctx)
	if err != nil {
		return err
	}
	if h.Reason != "" {
		return &portal.Refusal{Reason: portal.Halted, Value: h.Reason}
	}
	if err := checkIssues(ctx, db); err != nil {
		return err
	}
	if err := checkPlace(ctx, db, r, r.Device); err != nil {
		return err
	}
	return checkInvitation(ctx, db, db.secret, r.Person, r.Invitation, r.Requested)
}
