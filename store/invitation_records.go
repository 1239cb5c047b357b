package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/store/sqldb"
)

// invitationRetention is how long an invitation is kept after its end, so that its
// person can see when the code was used.
const invitationRetention = 90 * 24 * time.Hour

// invitationColumns are what [invitationRow] scans, of a table named i.
const invitationColumns = `i.id, i.person, i.made_by, i.made_role, i.made_at, i.checked, i.note, i.purpose, i.device_id,
	i.alone, i.state, i.expires_at, i.approver, i.closed_at, i.serial, i.code_hash, i.mac`

type invitationRow struct {
	invitation            signin.Invitation
	made, expires, closed sql.NullInt64
	approver, serial      sql.NullString
	codeHash, mac         []byte
}

func (r *invitationRow) fields() []any {
	i := &r.invitation
	return []any{&i.ID, &i.Person, &i.MadeBy, &i.MadeRole, &r.made, &i.Check, &i.Note, &i.Purpose, &i.Device,
		&i.Alone, &i.State, &r.expires, &r.approver, &r.closed, &r.serial, &r.codeHash, &r.mac}
}

// value is the invitation. One that could be used and was not recorded so by this portal
// is void.
func (r *invitationRow) value(secret portal.Secret) (signin.Invitation, error) {
	i := r.invitation
	i.Made, i.Expires, i.Closed = sqldb.TimeOf(r.made), sqldb.TimeOf(r.expires), sqldb.TimeOf(r.closed)
	i.Approver = portal.PersonID(r.approver.String)
	// The state decides, as it does in every check: closed_at can be changed in SQL.
	usable := i.State == signin.InvitationOpen || i.State == signin.InvitationWaiting
	if usable && !proves(r.mac, invitationMAC(secret, i, r.codeHash)) {
		i.State = signin.InvitationVoid
	}
	if !r.serial.Valid {
		return i, nil
	}
	var err error
	i.Serial, err = serialOf(r.serial.String)
	return i, err
}

// Invite records an invitation, under the person's lock: their open one ends, with
// an entry of its own, and old ones are deleted. The error wraps portal.ErrConflict
// when the id or the code is in use.
func (db SignInRecords) Invite(ctx context.Context, o signin.InvitationOffer) error {
	return db.write(ctx, "recording invitation", func(ctx context.Context, t *tx) error {
		if err := t.lockPerson(ctx, o.Person); err != nil {
			return err
		}
		ending := o.Entry
		ending.Action, ending.Detail = audit.InvitationEnded, map[string]string{"by-invitation": string(o.ID)}
		entries, err := t.endInvitations(ctx, o.Person, o.Made, ending)
		if err != nil {
			return err
		}
		_, err = t.Exec(ctx, "DELETE FROM invitations WHERE expires_at <= $1", o.Made.Add(-invitationRetention).UnixMilli())
		if err != nil {
			return fmt.Errorf("dropping old invitations: %w", err)
		}
		o.Note = sqldb.Cleaned(o.Note)
		mac := invitationMAC(t.secret, o.Invitation, o.CodeHash[:])
		_, err = t.Exec(ctx, `INSERT INTO invitations (id, code_hash, person, made_by, made_role, made_at, checked, note,
			purpose, device_id, alone, state, expires_at, mac) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
			string(o.ID), o.CodeHash[:], string(o.Person), string(o.MadeBy), string(o.MadeRole), o.Made.UnixMilli(),
			string(o.Check), o.Note, string(o.Purpose), string(o.Device), o.Alone, string(o.State), o.Expires.UnixMilli(), mac[:])
		if err != nil {
			return fmt.Errorf("recording invitation: %w", err)
		}
		return t.append(ctx, append(entries, o.Entry)...)
	})
}

// endInvitations ends the invitation of a person that is not closed. The entries are
// made from base.
func (t *tx) endInvitations(ctx context.Context, person portal.PersonID, at time.Time, base audit.Entry) ([]audit.Entry, error) {
	var entries []audit.Entry
	err := t.All(ctx, `UPDATE invitations SET state = $3, closed_at = $2 WHERE person = $1 AND closed_at IS NULL
		RETURNING id`, []any{string(person), at.UnixMilli(), string(signin.InvitationEnded)},
		func(rows *sql.Rows) error {
			entry := base
			err := rows.Scan(&entry.Object)
			entries = append(entries, entry)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("ending earlier invitation: %w", err)
	}
	return entries, nil
}

// Invitation finds an invitation by its id. The error wraps portal.ErrNotFound when
// there is none.
func (db SignInRecords) Invitation(ctx context.Context, id signin.InvitationID) (signin.Invitation, error) {
	if !sqldb.Storable(string(id)) {
		return signin.Invitation{}, fmt.Errorf("finding invitation: %w", portal.ErrNotFound)
	}
	return db.invitation(ctx, "i.id = $1", string(id))
}

// InvitationByCode finds an invitation by the hash of its code, in any state. The
// error wraps portal.ErrNotFound when there is none.
func (db SignInRecords) InvitationByCode(ctx context.Context, codeHash [sha256.Size]byte) (signin.Invitation, error) {
	return db.invitation(ctx, "i.code_hash = $1", codeHash[:])
}

// Invited finds the invitation of a person that is open or waiting. The error wraps
// portal.ErrNotFound when there is none, or it is void.
func (db SignInRecords) Invited(ctx context.Context, person portal.PersonID) (signin.Invitation, error) {
	if !sqldb.Storable(string(person)) {
		return signin.Invitation{}, fmt.Errorf("finding invitation: %w", portal.ErrNotFound)
	}
	i, err := db.invitation(ctx, "i.person = $1 AND i.closed_at IS NULL", string(person))
	if err == nil && i.State == signin.InvitationVoid {
		return signin.Invitation{}, fmt.Errorf("finding invitation: %w", portal.ErrNotFound)
	}
	return i, err
}

func (db SignInRecords) invitation(ctx context.Context, where string, args ...any) (signin.Invitation, error) {
	var r invitationRow
	err := db.One(ctx, "SELECT "+invitationColumns+" FROM invitations i WHERE "+where, args, r.fields()...)
	if err != nil {
		return signin.Invitation{}, fmt.Errorf("finding invitation: %w", err)
	}
	return r.value(db.secret)
}

// WaitingInvitations lists invitations that wait for approval, oldest first, without
// void ones.
func (db SignInRecords) WaitingInvitations(ctx context.Context, now time.Time, limit int) ([]signin.Invitation, error) {
	var waiting []signin.Invitation
	err := db.All(ctx, "SELECT "+invitationColumns+` FROM invitations i
		WHERE i.closed_at IS NULL AND i.state = 'waiting' AND i.expires_at > $1 ORDER BY i.made_at, i.id LIMIT $2`,
		[]any{now.UnixMilli(), limit}, func(rows *sql.Rows) error {
			var r invitationRow
			if err := rows.Scan(r.fields()...); err != nil {
				return err
			}
			i, err := r.value(db.secret)
			if i.State == signin.InvitationWaiting {
				waiting = append(waiting, i)
			}
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("listing waiting invitations: %w", err)
	}
	return waiting, nil
}

// ApproveInvitation lets a waiting code work. The error wraps portal.ErrConflict
// when it does not wait any more, and when the approver made it or is to use it.
func (db SignInRecords) ApproveInvitation(ctx context.Context, id signin.InvitationID, approver portal.PersonID, at time.Time, entry audit.Entry) error {
	if !sqldb.Storable(string(id)) {
		return fmt.Errorf("approving invitation: %w", portal.ErrConflict)
	}
	return db.write(ctx, "approving invitation", func(ctx context.Context, t *tx) error {
		waiting, codeHash, err := invitationIn(ctx, t, t.secret, id)
		if err != nil && !errors.Is(err, portal.ErrNotFound) {
			return err
		}
		if err != nil || waiting.State != signin.InvitationWaiting {
			return portal.ErrConflict
		}
		waiting.State, waiting.Approver = signin.InvitationOpen, approver
		mac := invitationMAC(t.secret, waiting, codeHash)
		touched, err := t.Exec(ctx, `UPDATE invitations SET state = 'open', approver = $2, mac = $4
			WHERE id = $1 AND state = 'waiting' AND expires_at > $3 AND made_by <> $2 AND person <> $2`,
			string(id), string(approver), at.UnixMilli(), mac[:])
		if err != nil {
			return err
		}
		if touched == 0 {
			return portal.ErrConflict
		}
		return t.append(ctx, entry)
	})
}

// invitationIn reads an invitation with the hash of its code.
func invitationIn(ctx context.Context, q querier, secret portal.Secret, id signin.InvitationID) (signin.Invitation, []byte, error) {
	var r invitationRow
	err := q.One(ctx, "SELECT "+invitationColumns+" FROM invitations i WHERE i.id = $1", []any{string(id)}, r.fields()...)
	if err != nil {
		return signin.Invitation{}, nil, fmt.Errorf("finding invitation: %w", err)
	}
	i, err := r.value(secret)
	return i, r.codeHash, err
}

// checkInvitation refuses an invitation that is not open for the person.
func checkInvitation(ctx context.Context, q querier, secret portal.Secret, person portal.PersonID, id signin.InvitationID, now time.Time) error {
	if id == "" {
		return nil
	}
	i, _, err := invitationIn(ctx, q, secret, id)
	if err != nil && !errors.Is(err, portal.ErrNotFound) {
		return err
	}
	if err != nil || i.Person != person || i.At(now) != signin.InvitationOpen {
		return &portal.Refusal{Reason: portal.CodeOver}
	}
	return nil
}

// useInvitation closes the invitation of a reservation, and returns the entry of
// that. A *portal.Refusal says that it is not open any more.
func (t *tx) useInvitation(ctx context.Context, r enroll.Reservation) ([]audit.Entry, error) {
	if r.Invitation == "" {
		return nil, nil
	}
	if err := checkInvitation(ctx, t, t.secret, r.Person, r.Invitation, r.Requested); err != nil {
		return nil, err
	}
	entry, by := r.Entry, ""
	err := t.All(ctx, `UPDATE invitations SET state = 'redeemed', closed_at = $2, serial = $3
		WHERE id = $1 AND person = $4 AND state = 'open' AND expires_at > $2 RETURNING made_by`,
		[]any{string(r.Invitation), r.Requested.UnixMilli(), r.Serial.String(), string(r.Person)},
		func(rows *sql.Rows) error { return rows.Scan(&by) })
	if err != nil {
		return nil, fmt.Errorf("using invitation: %w", err)
	}
	if by == "" {
		return nil, &portal.Refusal{Reason: portal.CodeOver}
	}
	entry.Action, entry.Object = audit.InvitationRedeemed, string(r.Invitation)
	entry.Detail = withDetail(nil, "serial", r.Serial.String(), "device", string(r.Device.ID), "name", r.Device.Name, "by", by)
	return []audit.Entry{entry}, nil
}

// reopenInvitation reopens the invitation of a certificate that the portal failed to
// make, unless a newer one replaced it. It returns its id.
func (t *tx) reopenInvitation(ctx context.Context, serial string) (string, error) {
	var id string
	err := t.All(ctx, `UPDATE invitations SET state = 'open', closed_at = NULL, serial = NULL WHERE serial = $1
		AND NOT EXISTS (SELECT 1 FROM invitations o WHERE o.person = invitations.person AND o.closed_at IS NULL)
		RETURNING id`, []any{serial}, func(rows *sql.Rows) error { return rows.Scan(&id) })
	if err != nil {
		return "", fmt.Errorf("reopening invitation of %s: %w", serial, err)
	}
	return id, nil
}
