package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"certportal/ca"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

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
	if err := t.copyReservation(ctx, c); err != nil {
		return err
	}
	number, serial := c.Number.String(), c.Serial.String()
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

// copyReservation makes the row with the serial. The old one gives its key and its form to it,
// which are unique.
func (t upstreamTx) copyReservation(ctx context.Context, c enroll.Completion) error {
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
	return nil
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
