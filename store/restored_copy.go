package store

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/signin"
	"certportal/store/sqldb"
)

// EndRestored ends, in one transaction, every right that an older copy of the database
// brings back: sessions, hand-offs, pickup codes, challenges and files that wait. Some of
// them were ended or used after the copy was made, and the copy does not know which. The
// code of a reservation that was open then does not come back with its end. It
// stops issuing until an administrator resumes it. Every call does all of it again.
func (db RevocationLists) EndRestored(ctx context.Context, now time.Time) error {
	return db.writeWithin(ctx, workWithin, "ending what a restored copy brings back", func(ctx context.Context, t *tx) error {
		entry, err := endRights(now, func(statement string, args ...any) (int, error) { return t.Exec(ctx, statement, args...) })
		if err != nil {
			return err
		}
		return t.append(ctx, entry)
	})
}

// EndLoaded is [RevocationLists.EndRestored] in what was loaded, before any portal can see
// it. The caller notes the entry after the commit.
func EndLoaded(ctx context.Context, l *sqldb.Load, now time.Time) (audit.Entry, error) {
	return endRights(now, func(statement string, args ...any) (int, error) { return l.Exec(ctx, statement, args...) })
}

// endRights ends all of it in a transaction, and returns the entry for it.
func endRights(now time.Time, exec func(statement string, args ...any) (int, error)) (audit.Entry, error) {
	detail := map[string]string{"reason": admin.RestoredCopy}
	for _, end := range []struct {
		what, statement string
		args            []any
	}{
		{"sessions", "UPDATE sessions SET ended = $1, data = NULL WHERE NOT ended", []any{true}},
		{"hand-offs", "UPDATE handoffs SET state = $1, closed_at = $2 WHERE closed_at IS NULL",
			[]any{string(signin.HandoffEnded), now.UnixMilli()}},
		{"codes", "UPDATE invitations SET state = $1, closed_at = $2 WHERE closed_at IS NULL",
			[]any{string(signin.InvitationEnded), now.UnixMilli()}},
		// Else the sweep that ends a reservation of the copy would give its used code back.
		{"codes used", `UPDATE invitations SET state = $1, serial = NULL WHERE state = 'redeemed'
			AND serial IN (SELECT serial FROM certificates WHERE status = 'pending')`, []any{string(signin.InvitationEnded)}},
		{"challenges", "DELETE FROM challenges WHERE used_at IS NULL", nil},
		{"keys that wait", "UPDATE upstream_requests SET sealed_key = NULL WHERE sealed_key IS NOT NULL", nil},
		{"pickups", "UPDATE pickups SET sealed_key = NULL, sealed_password = NULL WHERE sealed_key IS NOT NULL OR sealed_password IS NOT NULL", nil},
	} {
		touched, err := exec(end.statement, end.args...)
		if err != nil {
			return audit.Entry{}, fmt.Errorf("ending %s: %w", end.what, err)
		}
		detail[end.what] = strconv.Itoa(touched)
	}
	_, err := exec("UPDATE halt SET reason = $1, actor = $2, since = $3 WHERE id = 1", admin.RestoredCopy, "system", sqldb.Moment(now))
	if err != nil {
		return audit.Entry{}, fmt.Errorf("stopping issuing: %w", err)
	}
	return audit.Entry{At: now, Action: audit.IssuingHalted, Actor: "system", Role: "system", Detail: detail}, nil
}
