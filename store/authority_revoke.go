package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/succession"
	"certportal/store/sqldb"
)

// RevokeAuthority marks a CA as revoked and records its certificate among the revocations
// of its root, in one transaction; if it was the active one, none is. The error is
// succession.ErrState for one that is revoked.
func (db Succession) RevokeAuthority(ctx context.Context, r succession.Revocation, entry audit.Entry) error {
	issuer := root
	if r.Company {
		issuer = company
	}
	err := db.write(ctx, "revoking "+r.Name, func(ctx context.Context, t *tx) error {
		changed, err := t.Exec(ctx, `UPDATE authorities SET state = 'revoked', activate_at = NULL, left_at = COALESCE(left_at, $2),
			activated_at = COALESCE(activated_at, $2), revoked_at = $2, reason_code = $3 WHERE name = $1 AND state <> 'revoked'`,
			r.Name, r.At.UnixMilli(), r.Reason)
		if err != nil {
			return err
		}
		if changed != 1 {
			return succession.ErrState
		}
		if err := beginCampaign(ctx, t, r); err != nil {
			return err
		}
		// After a restore the journal may have brought it back already.
		known, err := anyRow(ctx, t, "SELECT 1 FROM revocations WHERE serial = $1", r.Serial.String())
		if err != nil {
			return err
		}
		if known {
			return t.append(ctx, entry)
		}
		return t.appendRecords(ctx, t.revoke(entry, revocation{r.Serial.String(), issuer, r.At.UnixMilli(), r.Reason, r.NotAfter.UnixMilli()}))
	})
	return stateError(err)
}

// RevokedAuthorities returns the CA certificates that are recorded as revoked.
func (db Succession) RevokedAuthorities(ctx context.Context) ([]succession.Listed, error) {
	var all []succession.Listed
	err := db.All(ctx, "SELECT serial, not_after, revoked_at, reason_code FROM revocations WHERE COALESCE(authority, issuer) IN ($1, $2)",
		[]any{root, company}, func(rows *sql.Rows) error {
			var l succession.Listed
			var serial string
			var at, end sql.NullInt64
			err := rows.Scan(&serial, &end, &at, &l.Reason)
			if err == nil {
				l.Serial, err = serialOf(serial)
			}
			l.At, l.NotAfter = sqldb.TimeOf(at), sqldb.TimeOf(end)
			all = append(all, l)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("reading revoked CA certificates: %w", err)
	}
	return all, nil
}

// checkNotRevoked refuses to complete a person's certificate of a CA that was revoked after
// the reservation. It comes after the audit entry: the revocation needs the head of the
// audit log too, so it is either seen here, or comes after the certificate is recorded.
func checkNotRevoked(ctx context.Context, t *tx, serial ca.Serial) error {
	revoked, err := anyRow(ctx, t, `SELECT 1 FROM certificates c JOIN authorities a ON a.name = COALESCE(c.authority, c.issuer)
		WHERE c.serial = $1 AND c.kind = 'user' AND a.state = 'revoked'`, serial.String())
	if err == nil && revoked {
		err = succession.ErrState
	}
	return err
}

// checkIssues refuses people while no CA issues because the last one was revoked. Without
// any record the first CA issues.
func checkIssues(ctx context.Context, q querier) error {
	stopped, err := anyRow(ctx, q, `SELECT 1 FROM authorities WHERE state = 'revoked'
		AND NOT EXISTS (SELECT 1 FROM authorities WHERE state = 'active')`)
	if err == nil && stopped {
		err = &portal.Refusal{Reason: portal.NoAuthority}
	}
	return err
}

// checkAuthority refuses a reservation under a CA that does not issue any more: the
// process did not hear of the change yet. It takes no lock, on which all enrolments would
// wait for one another: a certificate that is reserved at the moment of a change is
// issued by the CA from before. Where no CA is recorded the first one issues.
func checkAuthority(ctx context.Context, t *tx, name string) error {
	var active string
	err := t.One(ctx, "SELECT name FROM authorities WHERE state = 'active'", nil, &active)
	if errors.Is(err, portal.ErrNotFound) {
		var known bool
		err = t.One(ctx, "SELECT EXISTS (SELECT 1 FROM authorities)", nil, &known)
		if err == nil && !known {
			active = issuing
		}
	}
	if err != nil {
		return fmt.Errorf("reading which CA issues: %w", err)
	}
	if active != cmp.Or(name, issuing) {
		return fmt.Errorf("%s: %w", name, succession.ErrState)
	}
	return nil
}
