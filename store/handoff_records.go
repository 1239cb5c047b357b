package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/store/sqldb"
)

// handoffRetention is how long a hand-off is kept after its code expired, so that a
// desktop that was left open can still show its state.
const handoffRetention = time.Hour

// noChoices fills the column of the three numbers that phones chose among in earlier
// releases. A replica of such a release can read it, and its buttons show a wrong number.
const noChoices = "0 0 0"

// openHandoff is the condition of a hand-off h that can be used at $2. When the
// desktop's session is ended or idles out, the code ends too.
const openHandoff = `h.closed_at IS NULL AND h.expires_at > $2 AND EXISTS (SELECT 1 FROM sessions s
	WHERE s.id_hash = h.session AND NOT s.ended AND s.expires_at > $2 AND s.touched_at + s.idle > $2)`

// OfferHandoff records an open hand-off, under the person's lock: their earlier open
// one ends, and old ones are deleted. The error wraps portal.ErrConflict when the id
// or the code is in use.
func (db SignInRecords) OfferHandoff(ctx context.Context, o signin.HandoffOffer) error {
	return db.write(ctx, "offering hand-off", func(ctx context.Context, t *tx) error {
		if err := t.lockPerson(ctx, o.Person); err != nil {
			return err
		}
		_, err := t.Exec(ctx, "UPDATE handoffs SET state = $3, closed_at = $2 WHERE person = $1 AND closed_at IS NULL",
			string(o.Person), o.At.UnixMilli(), string(signin.HandoffEnded))
		if err != nil {
			return fmt.Errorf("ending earlier hand-off: %w", err)
		}
		_, err = t.Exec(ctx, "DELETE FROM handoffs WHERE expires_at <= $1", o.At.Add(-handoffRetention).UnixMilli())
		if err != nil {
			return fmt.Errorf("dropping old hand-offs: %w", err)
		}
		o.Masked = sqldb.Cleaned(o.Masked)
		mac := handoffMAC(t.secret, o.Handoff, o.CodeHash[:], o.Session[:])
		_, err = t.Exec(ctx, `INSERT INTO handoffs (id, code_hash, session, person, masked, number, choices, state, expires_at, mac)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, string(o.ID), o.CodeHash[:], o.Session[:], string(o.Person),
			o.Masked, o.Number, noChoices, string(signin.HandoffOpen), o.Expires.UnixMilli(), mac[:])
		if err != nil {
			return fmt.Errorf("recording hand-off: %w", err)
		}
		return t.append(ctx, o.Entry)
	})
}

// Handoff finds a hand-off of the person by its id, in any state. The error wraps
// portal.ErrNotFound when there is none or it is another person's.
func (db SignInRecords) Handoff(ctx context.Context, person portal.PersonID, id signin.HandoffID) (signin.Handoff, error) {
	if !sqldb.Storable(string(person)) || !sqldb.Storable(string(id)) {
		return signin.Handoff{}, fmt.Errorf("finding hand-off: %w", portal.ErrNotFound)
	}
	return db.handoff(ctx, "h.id = $1 AND h.person = $2", string(id), string(person))
}

// OpenHandoff finds the hand-off that a code opens now. The error wraps
// portal.ErrNotFound when it opens none.
func (db SignInRecords) OpenHandoff(ctx context.Context, codeHash [sha256.Size]byte, now time.Time) (signin.Handoff, error) {
	return db.handoff(ctx, "h.code_hash = $1 AND "+openHandoff, codeHash[:], now.UnixMilli())
}

func (db SignInRecords) handoff(ctx context.Context, where string, args ...any) (signin.Handoff, error) {
	var h signin.Handoff
	var expires sql.NullInt64
	var device sql.NullString
	var codeHash, session, mac []byte
	err := db.One(ctx, `SELECT h.id, h.person, h.masked, h.number, h.state, h.expires_at, h.device, h.code_hash, h.session, h.mac
		FROM handoffs h WHERE `+where, args, &h.ID, &h.Person, &h.Masked, &h.Number, &h.State, &expires, &device, &codeHash, &session, &mac)
	if err != nil {
		return signin.Handoff{}, fmt.Errorf("finding hand-off: %w", err)
	}
	h.Expires, h.Device = sqldb.TimeOf(expires), portal.DeviceID(device.String)
	if !proves(mac, handoffMAC(db.secret, h, codeHash, session)) {
		db.Log().Warn("a hand-off was not recorded by this portal, or changed in the database: it opens nothing", "handoff", h.ID)
		return signin.Handoff{}, fmt.Errorf("authenticating hand-off: %w", portal.ErrNotFound)
	}
	return h, nil
}

// CloseHandoff ends a hand-off with its audit entry. The error wraps
// portal.ErrNotFound when it was not open any more: of two at once, one closes it.
func (db SignInRecords) CloseHandoff(ctx context.Context, id signin.HandoffID, state signin.HandoffState, at time.Time, entry audit.Entry) error {
	return db.write(ctx, "closing hand-off", func(ctx context.Context, t *tx) error {
		touched, err := t.Exec(ctx, "UPDATE handoffs AS h SET state = $3, closed_at = $2 WHERE h.id = $1 AND "+openHandoff,
			string(id), at.UnixMilli(), string(state))
		if err != nil {
			return err
		}
		if touched == 0 {
			return portal.ErrNotFound
		}
		return t.append(ctx, entry)
	})
}

// NoteHandoffDevice records the device that the phone of a hand-off enrolled. It does
// nothing to one that has a device, or that no phone redeemed.
func (db SignInRecords) NoteHandoffDevice(ctx context.Context, id signin.HandoffID, device portal.DeviceID) error {
	return db.write(ctx, "noting device of hand-off", func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, "UPDATE handoffs SET device = $2 WHERE id = $1 AND state = $3 AND device IS NULL",
			string(id), string(device), string(signin.HandoffRedeemed))
		return err
	})
}
