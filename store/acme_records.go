package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"certportal/internal/audit"
	"certportal/internal/autotls"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// ACMERecord reads what the replicas share of a certificate by ACME; the zero Record before
// the first order.
func (db ACMERecords) ACMERecord(ctx context.Context, id string) (r autotls.Record, err error) {
	var since, again sql.NullInt64
	err = db.One(ctx, "SELECT chain, sealed_key, failing_since, failure, tries, again_at FROM acme_certificates WHERE id = $1",
		[]any{id}, &r.Chain, &r.Key, &since, &r.Text, &r.Tries, &again)
	if errors.Is(err, portal.ErrNotFound) {
		return autotls.Record{}, nil
	}
	if err != nil {
		return autotls.Record{}, fmt.Errorf("reading the certificate by ACME: %w", err)
	}
	r.Since = sqldb.TimeOf(since)
	if again.Int64 != 0 {
		r.Again = sqldb.TimeOf(again)
	}
	return r, nil
}

// LeaseACME lets a replica order until the lease ends. autotls.ErrBusy says that another one
// orders, or that none must yet. A lease, or a pause, far beyond what this clock would set is
// one of a wrong clock, and does not count.
func (db ACMERecords) LeaseACME(ctx context.Context, id, holder string, now, until time.Time) error {
	return db.write(ctx, "taking the lease of the certificate by ACME", func(ctx context.Context, t *tx) error {
		touched, err := t.Exec(ctx, `INSERT INTO acme_certificates (id, holder, lease_until) VALUES ($1, $2, $3)
			ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, lease_until = excluded.lease_until
			WHERE (acme_certificates.holder = '' OR acme_certificates.lease_until <= $4 OR acme_certificates.lease_until > $5)
				AND (acme_certificates.again_at <= $4 OR acme_certificates.again_at > $6)`,
			id, holder, until.UnixMilli(), now.UnixMilli(), until.Add(maxLeaseSkew).UnixMilli(), now.Add(autotls.LongestWait).UnixMilli())
		if err == nil && touched == 0 {
			return autotls.ErrBusy
		}
		return err
	})
}

// KeepACME records a new certificate and ends the lease. Rows of earlier settings stay: going
// back to them needs no order.
func (db ACMERecords) KeepACME(ctx context.Context, id, holder string, c autotls.Sealed, entry audit.Entry) error {
	return db.write(ctx, "recording the certificate by ACME", func(ctx context.Context, t *tx) error {
		touched, err := t.Exec(ctx, `UPDATE acme_certificates SET chain = $2, sealed_key = $3, failing_since = NULL, failure = '', tries = 0,
			again_at = 0, holder = '', lease_until = 0 WHERE id = $1 AND holder = $4`, id, c.Chain, c.Key, holder)
		if err != nil {
			return err
		}
		if touched == 0 {
			return fmt.Errorf("the lease went to another replica: %w", portal.ErrConflict)
		}
		return t.append(ctx, entry)
	})
}

// FailACME records a failure and ends the lease.
func (db ACMERecords) FailACME(ctx context.Context, id, holder string, f autotls.Failure) error {
	return db.write(ctx, "recording why there is no certificate by ACME", func(ctx context.Context, t *tx) error {
		since, again := sql.NullInt64{Int64: f.Since.UnixMilli(), Valid: !f.Since.IsZero()}, int64(0)
		if !f.Again.IsZero() {
			again = f.Again.UnixMilli()
		}
		_, err := t.Exec(ctx, `UPDATE acme_certificates SET failing_since = $2, failure = $3, tries = $4, again_at = $5, holder = '', lease_until = 0
			WHERE id = $1 AND holder = $6`, id, since, sqldb.Cleaned(f.Text), f.Tries, again, holder)
		return err
	})
}

// AddHTTPChallenge lets all replicas answer a token until it expires, and drops those that
// have expired.
func (db ACMERecords) AddHTTPChallenge(ctx context.Context, token, answer string, expires time.Time) error {
	return db.write(ctx, "recording an answer to an ACME server", func(ctx context.Context, t *tx) error {
		if _, err := t.Exec(ctx, "DELETE FROM acme_challenges WHERE expires_at <= $1 OR token = $2", expires.Add(-time.Hour).UnixMilli(), token); err != nil {
			return err
		}
		mac := acmeChallengeMAC(db.secret, token, answer, expires)
		_, err := t.Exec(ctx, "INSERT INTO acme_challenges (token, answer, expires_at, mac) VALUES ($1, $2, $3, $4)",
			token, answer, expires.UnixMilli(), mac[:])
		return err
	})
}

// EndHTTPChallenge forgets a token.
func (db ACMERecords) EndHTTPChallenge(ctx context.Context, token string) error {
	_, err := db.prune(ctx, answerWithin, "removing an answer to an ACME server", "DELETE FROM acme_challenges WHERE token = $1", token)
	return err
}

// HTTPChallenge is the answer to a token; portal.ErrNotFound for one that is unknown, has
// expired, or was not recorded by this portal.
func (db ACMERecords) HTTPChallenge(ctx context.Context, token string, now time.Time) (string, error) {
	if !autotls.ValidToken(token) {
		return "", fmt.Errorf("finding an ACME token: %w", portal.ErrNotFound)
	}
	var answer string
	var expires sql.NullInt64
	var mac []byte
	err := db.One(ctx, "SELECT answer, expires_at, mac FROM acme_challenges WHERE token = $1 AND expires_at > $2",
		[]any{token, now.UnixMilli()}, &answer, &expires, &mac)
	if err != nil {
		return "", fmt.Errorf("finding an ACME token: %w", err)
	}
	if !proves(mac, acmeChallengeMAC(db.secret, token, answer, sqldb.TimeOf(expires))) {
		db.Log().Warn("an answer to an ACME server was not recorded by this portal, or changed in the database: it is not given")
		return "", fmt.Errorf("authenticating an ACME token: %w", portal.ErrNotFound)
	}
	return answer, nil
}

func acmeChallengeMAC(s portal.Secret, token, answer string, expires time.Time) [32]byte {
	return s.MAC("certportal ACME challenge row", token, answer, milli(expires))
}
