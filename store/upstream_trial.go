package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"certportal/ca"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// trialTx is a transaction about a test of a CA that the portal does not run.
type trialTx struct{ *tx }

// insert records that a request is a test.
func (t trialTx) insert(ctx context.Context, q *enroll.UpstreamRequest) error {
	if q.Trial == "" {
		return nil
	}
	_, err := t.Exec(ctx, "INSERT INTO upstream_trials (number, authority, kind, person, asked_at) VALUES ($1, $2, $3, $4, $5)",
		q.Number.String(), q.Authority, string(q.Trial), string(q.Person), q.Sent.UnixMilli())
	if err != nil {
		return fmt.Errorf("recording test of %s: %w", q.Authority, err)
	}
	return nil
}

// check refuses a test beside another one of the same CA, and too many of them. It comes after
// the audit entry of the reservation, as checkHalt does, so that of two one sees the other.
func (t trialTx) check(ctx context.Context, q *enroll.UpstreamRequest) error {
	if q == nil || q.Trial == "" {
		return nil
	}
	runs, err := anyRow(ctx, t.tx, `SELECT 1 FROM upstream_trials t JOIN upstream_requests q ON q.number = t.number
		WHERE t.authority = $1 AND t.number <> $2 AND q.state = 'sent' AND q.sent_at > $3`,
		q.Authority, q.Number.String(), q.Sent.Add(-enroll.TrialHold).UnixMilli())
	if err != nil {
		return fmt.Errorf("looking for a test that runs: %w", err)
	}
	if runs {
		return enroll.ErrTrialRuns
	}
	var n int
	var first sql.NullInt64
	err = t.One(ctx, "SELECT count(*), min(asked_at) FROM upstream_trials WHERE authority = $1 AND asked_at > $2",
		[]any{q.Authority, q.Sent.Add(-time.Hour).UnixMilli()}, &n, &first)
	if err != nil {
		return fmt.Errorf("counting tests of %s: %w", q.Authority, err)
	}
	if n > enroll.MaxTrials {
		return &portal.Refusal{Reason: portal.TooOften, Limit: enroll.MaxTrials, Until: sqldb.TimeOf(first).Add(time.Hour)}
	}
	return nil
}

// end records why a test was denied, and which certificate of it must be revoked.
func (t trialTx) end(ctx context.Context, q enroll.UpstreamRequest, end enroll.UpstreamEnd) error {
	if q.Trial == "" {
		return nil
	}
	var stray ca.Serial
	if end.Stray != nil {
		stray, _ = ca.SerialOf(end.Stray.SerialNumber) // zero: insertStray recorded none
	}
	_, err := t.Exec(ctx, `UPDATE upstream_trials SET denied_as = $2, serial = COALESCE(serial, (
		SELECT serial FROM upstream_revocations WHERE serial = $3 AND authority = $4)) WHERE number = $1`,
		q.Number.String(), string(end.DeniedAs), stray.String(), q.Authority)
	if err != nil {
		return fmt.Errorf("recording the end of test %s: %w", q.Number, err)
	}
	return nil
}

// UpstreamTrials returns the newest test of each kind of each CA.
func (db Enrolments) UpstreamTrials(ctx context.Context) ([]enroll.Trial, error) {
	var list []enroll.Trial
	err := db.All(ctx, `SELECT t.number, t.authority, t.kind, t.person, c.upn, t.asked_at, q.state, t.denied_as, q.remote_id, q.detail,
		t.serial, v.done_at, v.next_at, v.detail
		FROM upstream_trials t JOIN upstream_requests q ON q.number = t.number JOIN certificates c ON c.serial = t.number
		LEFT JOIN upstream_revocations v ON v.serial = t.serial AND v.authority = t.authority
		WHERE t.asked_at = (SELECT max(o.asked_at) FROM upstream_trials o WHERE o.authority = t.authority AND o.kind = t.kind)
		ORDER BY t.authority, t.kind`, nil, func(rows *sql.Rows) error {
		trial, err := scanTrial(rows)
		list = append(list, trial)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing tests of other CAs: %w", err)
	}
	return list, nil
}

func scanTrial(rows *sql.Rows) (t enroll.Trial, err error) {
	var number string
	var asked int64
	var serial, answer sql.NullString
	var done, next sql.NullInt64
	err = rows.Scan(&number, &t.Authority, &t.Kind, &t.Person, &t.UPN, &asked, &t.State, &t.DeniedAs, &t.ID, &t.Detail,
		&serial, &done, &next, &answer)
	if err != nil {
		return t, err
	}
	t.Asked, t.Revoked, t.Answer = time.UnixMilli(asked).UTC(), sqldb.TimeOf(done), answer.String
	if t.Number, err = serialOf(number); err != nil || !serial.Valid {
		return t, err
	}
	t.ByHand = !done.Valid && !next.Valid
	t.Serial, err = serialOf(serial.String)
	return t, err
}
