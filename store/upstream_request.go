package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// isUpstream reports whether an authority is a CA that the portal does not run.
func isUpstream(authority string) bool { return strings.HasPrefix(authority, enroll.UpstreamPrefix) }

// openUpstream is the condition of a request that is open.
const openUpstream = "state IN ('sent', 'pending', 'unknown')"

// upstreamTx is a transaction about CAs that the portal does not run.
type upstreamTx struct{ *tx }

// insert records the request of a reservation, if it has one.
func (t upstreamTx) insert(ctx context.Context, q *enroll.UpstreamRequest) error {
	if q == nil {
		return nil
	}
	_, err := t.Exec(ctx, `INSERT INTO upstream_requests
		(number, authority, csr, state, token_hash, sealed_key, overlap, ends, sent_at, next_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		q.Number.String(), q.Authority, q.CSR, string(q.State), q.TokenHash[:], q.SealedKey, q.Overlap, optionalSerial(q.Ends),
		q.Sent.UnixMilli(), sqldb.Moment(q.Next))
	if err != nil {
		return fmt.Errorf("recording request to %s: %w", q.Authority, err)
	}
	return trialTx(t).insert(ctx, q)
}

// NoteUpstream records what is known of an open request. portal.ErrConflict says that it is
// closed.
func (db Enrolments) NoteUpstream(ctx context.Context, q enroll.UpstreamRequest, entry audit.Entry) error {
	return db.write(ctx, "recording request "+q.Number.String(), func(ctx context.Context, t *tx) error {
		touched, err := t.Exec(ctx, `UPDATE upstream_requests SET state = $2, remote_id = $3, next_at = $4, tries = $5, detail = $6
			WHERE number = $1 AND `+openUpstream,
			q.Number.String(), string(q.State), sqldb.Cleaned(q.ID), sqldb.Moment(q.Next), q.Tries, sqldb.Cleaned(q.Detail))
		switch {
		case err != nil:
			return err
		case touched == 0:
			return portal.ErrConflict
		case entry.Action == "":
			return nil
		}
		return t.append(ctx, entry)
	})
}

// EndUpstream closes a request without a certificate and revokes its reservation. A
// certificate that came all the same is recorded, to be revoked by its CA, also where the
// request was closed before.
func (db Enrolments) EndUpstream(ctx context.Context, q enroll.UpstreamRequest, end enroll.UpstreamEnd) error {
	return db.write(ctx, "closing request "+q.Number.String(), func(ctx context.Context, t *tx) error {
		if err := t.lockOwners(ctx, []ca.Serial{q.Number}); err != nil {
			return err
		}
		touched, err := t.Exec(ctx, `UPDATE upstream_requests SET state = $2, remote_id = $3, detail = $4, closed_at = $5,
			sealed_key = NULL, next_at = NULL WHERE number = $1 AND `+openUpstream,
			q.Number.String(), string(q.State), sqldb.Cleaned(q.ID), sqldb.Cleaned(q.Detail), end.At.UnixMilli())
		if err != nil {
			return err
		}
		if err := (upstreamTx{t}).insertStray(ctx, q, end); err != nil {
			return err
		}
		if err := (trialTx{t}).end(ctx, q, end); err != nil {
			return err
		}
		if touched == 0 { // it was closed before; what came of it is to be revoked all the same
			return t.append(ctx, end.Entry)
		}
		base := portal.Actor{}.Entry(end.At, audit.CertificateRevoked)
		base.Detail = map[string]string{"request": string(q.State)}
		ended, err := t.endIfLive(ctx, q.Number, enroll.Revocation{Cause: portal.Abandoned, At: end.At, Entry: base})
		if err != nil {
			return err
		}
		return t.appendRecords(ctx, append(records(end.Entry), ended...)...)
	})
}

// strayReason is cessationOfOperation (RFC 5280 section 5.3.1): a stray certificate was never
// handed out.
const strayReason = 5

// insertStray has a CA revoke a certificate that is not handed out. One that is recorded, of
// another request, is not touched.
func (t upstreamTx) insertStray(ctx context.Context, q enroll.UpstreamRequest, end enroll.UpstreamEnd) error {
	if end.Stray == nil {
		return nil
	}
	serial, err := ca.SerialOf(end.Stray.SerialNumber)
	if err != nil {
		return nil // no CA can list it (RFC 5280 section 4.1.2.2)
	}
	known, err := anyRow(ctx, t.tx, "SELECT 1 FROM certificates WHERE serial = $1", serial.String())
	if err != nil || known {
		return err
	}
	return t.insertRevocationOf(ctx, upstreamDuty{
		serial.String(), q.Authority, end.Stray.Raw, strayReason, end.Why, end.At.UnixMilli(), end.Stray.NotAfter.UnixMilli(),
	})
}

const upstreamColumns = `number, serial, authority, csr, state, remote_id, token_hash, sealed_key, overlap, ends,
	sent_at, next_at, tries, detail`

func scanUpstream(rows *sql.Rows) (q enroll.UpstreamRequest, err error) {
	var number, state string
	var serial, ends sql.NullString
	var token []byte
	var sent int64
	var next sql.NullInt64
	err = rows.Scan(&number, &serial, &q.Authority, &q.CSR, &state, &q.ID, &token, &q.SealedKey, &q.Overlap, &ends,
		&sent, &next, &q.Tries, &q.Detail)
	if err != nil {
		return q, err
	}
	q.State, q.Sent, q.Next = enroll.UpstreamState(state), time.UnixMilli(sent).UTC(), sqldb.TimeOf(next)
	if q.TokenHash, err = sqldb.Hash32(token); err != nil {
		return q, err
	}
	for _, column := range []struct {
		text sql.NullString
		into *ca.Serial
	}{{sql.NullString{String: number, Valid: true}, &q.Number}, {serial, &q.Serial}, {ends, &q.Ends}} {
		if !column.text.Valid {
			continue
		}
		if *column.into, err = serialOf(column.text.String); err != nil {
			return q, err
		}
	}
	return q, nil
}

// DueUpstream takes requests to a CA that are due: until the time given no other replica gets
// them. While issuing is halted there are none: an answer would be a certificate.
func (db Enrolments) DueUpstream(ctx context.Context, authority string, now, until time.Time, limit int) ([]enroll.UpstreamRequest, error) {
	var due []enroll.UpstreamRequest
	err := db.write(ctx, "taking requests", func(ctx context.Context, t *tx) error {
		due = nil
		err := t.All(ctx, `UPDATE upstream_requests AS q SET next_at = $2
			WHERE number IN (SELECT number FROM upstream_requests WHERE next_at <= $1 AND authority = $4 ORDER BY next_at LIMIT $3) AND next_at <= $1
			AND NOT EXISTS (SELECT 1 FROM halt WHERE reason <> '') RETURNING `+upstreamColumns,
			[]any{now.UnixMilli(), until.UnixMilli(), limit, authority}, func(rows *sql.Rows) error {
				q, err := scanUpstream(rows)
				due = append(due, q)
				return err
			})
		if err != nil {
			return err
		}
		for i := range due {
			if err := (upstreamTx{t}).addSubject(ctx, &due[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return due, nil
}

// addSubject adds to a request whose it is, and the names that were asked for.
func (t upstreamTx) addSubject(ctx context.Context, q *enroll.UpstreamRequest) error {
	serial := q.Serial
	if serial == (ca.Serial{}) {
		serial = q.Number
	}
	var status portal.Status
	err := t.One(ctx, `SELECT COALESCE(c.person, r.person, ''), COALESCE(r.kind, ''), c.upn, c.sid, c.mail, c.status
		FROM certificates c LEFT JOIN upstream_trials r ON r.number = c.serial WHERE c.serial = $1`, []any{serial.String()},
		&q.Person, &q.Trial, &q.Subject.UPN, &q.Subject.SID, &q.Subject.Mail, &status)
	if err != nil {
		return fmt.Errorf("reading reservation of request %s: %w", q.Number, err)
	}
	q.Ended = status == portal.Revoked
	return nil
}

// WaitingKey finds the request of a certificate whose key waits.
func (db Enrolments) WaitingKey(ctx context.Context, serial ca.Serial) (enroll.UpstreamRequest, error) {
	var found []enroll.UpstreamRequest
	err := db.All(ctx, "SELECT "+upstreamColumns+" FROM upstream_requests WHERE serial = $1 AND sealed_key IS NOT NULL",
		[]any{serial.String()}, func(rows *sql.Rows) error {
			q, err := scanUpstream(rows)
			found = append(found, q)
			return err
		})
	switch {
	case err != nil:
		return enroll.UpstreamRequest{}, fmt.Errorf("finding key of %s: %w", serial, err)
	case len(found) == 0:
		return enroll.UpstreamRequest{}, portal.ErrNotFound
	}
	return found[0], nil
}

// GivePickup puts a pickup in the place of a key that waits. portal.ErrConflict says that
// there is none, or that the certificate ended.
func (db Enrolments) GivePickup(ctx context.Context, number ca.Serial, p enroll.EncryptedPickup, entry audit.Entry) error {
	return db.write(ctx, "moving the key of "+p.Serial.String(), func(ctx context.Context, t *tx) error {
		if err := t.lockOwners(ctx, []ca.Serial{p.Serial}); err != nil {
			return err
		}
		if err := (upstreamTx{t}).checkOpen(ctx, p.Serial); err != nil {
			return err
		}
		if err := t.checkHalt(ctx); err != nil {
			return err
		}
		touched, err := t.Exec(ctx, `UPDATE upstream_requests SET sealed_key = NULL, next_at = NULL
			WHERE number = $1 AND serial = $2 AND sealed_key IS NOT NULL
			AND EXISTS (SELECT 1 FROM certificates c WHERE c.serial = $2 AND c.status = 'issued')`, number.String(), p.Serial.String())
		if err != nil {
			return err
		}
		if touched == 0 {
			return portal.ErrConflict
		}
		if err := t.insertPickup(ctx, enroll.Completion{Serial: p.Serial, Pickup: &p}); err != nil {
			return err
		}
		return t.append(ctx, entry)
	})
}
