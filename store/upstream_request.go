package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
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
	return nil
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
	return t.insertRevocationOf(ctx, serial.String(), q.Authority, end.Stray.Raw, strayReason, end.Why, end.At.UnixMilli())
}

// rename gives a reservation the serial of its certificate, in a new row: other tables
// refer to the old one meanwhile. The error wraps portal.ErrConflict when another certificate
// has the serial, or the reservation or its device ended.
func (t upstreamTx) rename(ctx context.Context, c enroll.Completion) error {
	if c.Number == (ca.Serial{}) {
		return nil
	}
	if err := t.lockOwners(ctx, []ca.Serial{c.Number}); err != nil {
		return err
	}
	if err := t.checkOpen(ctx, c.Number); err != nil {
		return err
	}
	number, serial := c.Number.String(), c.Serial.String()
	known, err := anyRow(ctx, t.tx, `SELECT 1 FROM certificates WHERE serial = $1 UNION ALL SELECT 1 FROM revocations WHERE serial = $1`, serial)
	switch {
	case err != nil:
		return fmt.Errorf("looking for serial %s: %w", serial, err)
	case known:
		return fmt.Errorf("serial %s belongs to another certificate already: %w", serial, portal.ErrConflict)
	}
	var key, form []byte
	err = t.One(ctx, "SELECT key_hash, form_hash FROM certificates WHERE serial = $1 AND status = 'pending'", []any{number}, &key, &form)
	if errors.Is(err, portal.ErrNotFound) {
		return portal.ErrConflict
	}
	if err != nil {
		return fmt.Errorf("finding reservation: %w", err)
	}
	placeholder := sha256.Sum256([]byte("certportal request " + number))
	if _, err := t.Exec(ctx, "UPDATE certificates SET key_hash = $2, form_hash = NULL WHERE serial = $1", number, placeholder[:]); err != nil {
		return fmt.Errorf("making room for serial %s: %w", serial, err)
	}
	_, err = t.Exec(ctx, `INSERT INTO certificates
		(serial, issuer, kind, profile, status, person, device_id, upn, sid, mail, key_hash, form_hash,
		not_before, not_after, requested_at, upn_key, authority)
		SELECT $2, issuer, kind, profile, status, person, device_id, upn, sid, mail, $3, $4, $5, $6, requested_at, upn_key, authority
		FROM certificates WHERE serial = $1`,
		number, serial, key, form, c.Certificate.NotBefore.UnixMilli(), c.Certificate.NotAfter.UnixMilli())
	if err != nil {
		return fmt.Errorf("recording serial %s: %w", serial, err)
	}
	if _, err := t.Exec(ctx, "UPDATE invitations SET serial = $2 WHERE serial = $1", number, serial); err != nil {
		return fmt.Errorf("moving invitation to serial %s: %w", serial, err)
	}
	if err := t.moveItems(ctx, c); err != nil {
		return err
	}
	if _, err := t.Exec(ctx, "DELETE FROM certificates WHERE serial = $1", number); err != nil {
		return fmt.Errorf("dropping reservation of serial %s: %w", serial, err)
	}
	return t.issued(ctx, c)
}

// moveItems lets bulk revocations that hold a request mean its certificate.
func (t upstreamTx) moveItems(ctx context.Context, c enroll.Completion) error {
	places := make(map[string]int)
	err := t.All(ctx, "SELECT order_id, place FROM order_items WHERE serial = $1", []any{c.Number.String()}, func(rows *sql.Rows) error {
		var order string
		var place int
		err := rows.Scan(&order, &place)
		places[order] = place
		return err
	})
	if err != nil {
		return fmt.Errorf("finding bulk revocations of %s: %w", c.Number, err)
	}
	for order, place := range places {
		mac := bulkItemMAC(t.secret, order, place, c.Serial)
		_, err := t.Exec(ctx, "UPDATE order_items SET serial = $3, mac = $4 WHERE order_id = $1 AND serial = $2",
			order, c.Number.String(), c.Serial.String(), mac[:])
		if err != nil {
			return fmt.Errorf("moving bulk revocation %s to serial %s: %w", order, c.Serial, err)
		}
	}
	return nil
}

// lockCurrent locks the owners of certificates and gives the serials under which they are
// recorded now: one that was listed by the number of its request may have its serial since.
func (t upstreamTx) lockCurrent(ctx context.Context, serials []ca.Serial) ([]ca.Serial, error) {
	for {
		if err := t.lockOwners(ctx, serials); err != nil {
			return nil, err
		}
		now, changed := make([]ca.Serial, len(serials)), false
		for i, serial := range serials {
			now[i] = serial
			err := t.All(ctx, "SELECT serial FROM upstream_requests WHERE number = $1 AND serial IS NOT NULL", []any{serial.String()},
				func(rows *sql.Rows) error {
					var text string
					err := rows.Scan(&text)
					if err == nil {
						now[i], err = serialOf(text)
					}
					changed = true
					return err
				})
			if err != nil {
				return nil, fmt.Errorf("finding the serial of request %s: %w", serial, err)
			}
		}
		if !changed {
			return serials, nil
		}
		serials = now
	}
}

// checkOpen refuses a device that is blocked or removed.
func (t upstreamTx) checkOpen(ctx context.Context, serial ca.Serial) error {
	closed, err := anyRow(ctx, t.tx, `SELECT 1 FROM certificates c JOIN devices d ON d.id = c.device_id
		WHERE c.serial = $1 AND (d.removed_at IS NOT NULL OR d.blocked_at IS NOT NULL)`, serial.String())
	if err != nil {
		return err
	}
	if closed {
		return fmt.Errorf("the device of %s is blocked or removed: %w", serial, portal.ErrConflict)
	}
	return nil
}

// keyWaits is how long the key of a certificate waits that is not fetched.
const keyWaits = 14 * 24 * time.Hour

// issued closes the request of a certificate. Its key waits on where the certificate
// gets no pickup now.
func (t upstreamTx) issued(ctx context.Context, c enroll.Completion) error {
	waits := sql.NullInt64{}
	if c.Pickup == nil {
		waits = sqldb.Moment(c.At.Add(keyWaits))
	}
	touched, err := t.Exec(ctx, `UPDATE upstream_requests SET state = 'issued', serial = $2, closed_at = $3, next_at = $4,
		sealed_key = CASE WHEN $5 THEN sealed_key END, detail = '' WHERE number = $1 AND `+openUpstream,
		c.Number.String(), c.Serial.String(), c.At.UnixMilli(), waits, c.Pickup == nil)
	if err != nil {
		return fmt.Errorf("closing request %s: %w", c.Number, err)
	}
	if touched == 0 {
		return portal.ErrConflict
	}
	return nil
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
	err := t.One(ctx, "SELECT person, upn, sid, mail, status FROM certificates WHERE serial = $1", []any{serial.String()},
		&q.Person, &q.Subject.UPN, &q.Subject.SID, &q.Subject.Mail, &status)
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
