package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"certportal/ca"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// bulkColumns are the columns that [bulkRow] scans.
const bulkColumns = `id, state, filter, place, maker, maker_name, role, address, request, made_at, expires_at,
	cause, comment, approver, approver_name, approved_at, closed_at, items, finished, ended, mac`

type bulkRow struct {
	order                           admin.BulkRevocation
	place                           string
	mac                             []byte
	made, expires, approved, closed sql.NullInt64
}

func (r *bulkRow) fields() []any {
	o := &r.order
	return []any{&o.ID, &o.State, &o.Filter, &r.place, &o.Maker, &o.MakerName, &o.Role, &o.Address, &o.Request,
		&r.made, &r.expires, &o.Cause, &o.Comment, &o.Approver, &o.ApproverName, &r.approved, &r.closed,
		&o.Items, &o.Finished, &o.Revoked, &r.mac}
}

// value is the bulk revocation. One that is open and was not recorded so by this portal
// is unproven.
func (r *bulkRow) value(secret portal.Secret) (admin.BulkRevocation, error) {
	o := r.order
	o.Made, o.Expires = sqldb.TimeOf(r.made), sqldb.TimeOf(r.expires)
	o.Approved, o.Closed = sqldb.TimeOf(r.approved), sqldb.TimeOf(r.closed)
	// The state decides, as it does in every check: closed_at can be changed in SQL.
	over := slices.Contains([]admin.BulkState{admin.Done, admin.Dropped, admin.Lapsed}, o.State)
	o.Unproven = !over && !proves(r.mac, bulkMAC(secret, o))
	if o.Unproven {
		return o, nil
	}
	var err error
	o.Cursor, err = admin.ParseCursor(r.place)
	return o, err
}

// AddBulk records a new bulk revocation.
func (db BulkRevocations) AddBulk(ctx context.Context, o admin.BulkRevocation, entry audit.Entry) error {
	return db.write(ctx, "recording bulk revocation", func(ctx context.Context, t *tx) error {
		o.Filter, o.MakerName = sqldb.Cleaned(o.Filter), sqldb.Cleaned(o.MakerName)
		o.Address, o.Request = sqldb.Cleaned(o.Address), sqldb.Cleaned(o.Request)
		mac := bulkMAC(t.secret, o)
		_, err := t.Exec(ctx, `INSERT INTO orders (`+bulkColumns+`) VALUES
			($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '', '', '', '', NULL, NULL, 0, 0, 0, $12)`,
			o.ID, string(o.State), o.Filter, o.Cursor.String(), string(o.Maker), o.MakerName, o.Role,
			o.Address, o.Request, o.Made.UnixMilli(), o.Expires.UnixMilli(), mac[:])
		if err != nil {
			return fmt.Errorf("recording bulk revocation %s: %w", o.ID, err)
		}
		return t.append(ctx, entry)
	})
}

// Bulk finds a bulk revocation. The error wraps portal.ErrNotFound when there is
// none.
func (db BulkRevocations) Bulk(ctx context.Context, id string) (admin.BulkRevocation, error) {
	if !sqldb.Storable(id) {
		return admin.BulkRevocation{}, fmt.Errorf("finding bulk revocation: %w", portal.ErrNotFound)
	}
	var r bulkRow
	err := db.One(ctx, "SELECT "+bulkColumns+" FROM orders WHERE id = $1", []any{id}, r.fields()...)
	if err != nil {
		return admin.BulkRevocation{}, fmt.Errorf("finding bulk revocation %q: %w", id, err)
	}
	return r.value(db.secret)
}

// Bulks lists bulk revocations behind so many others, running ones first, then the
// newest; only open ones when open is set.
func (db BulkRevocations) Bulks(ctx context.Context, open bool, behind, limit int) ([]admin.BulkRevocation, error) {
	where := "TRUE"
	if open {
		where = "closed_at IS NULL"
	}
	var orders []admin.BulkRevocation
	err := db.All(ctx, "SELECT "+bulkColumns+" FROM orders WHERE "+where+`
		ORDER BY CASE WHEN state = $2 AND closed_at IS NULL THEN 0 ELSE 1 END, made_at DESC, id LIMIT $1 OFFSET $3`,
		[]any{limit, string(admin.Running), behind}, func(rows *sql.Rows) error {
			var r bulkRow
			if err := rows.Scan(r.fields()...); err != nil {
				return err
			}
			o, err := r.value(db.secret)
			orders = append(orders, o)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("listing bulk revocations: %w", err)
	}
	return orders, nil
}

// BulkItems lists certificates of a bulk revocation, in its order, behind a
// position.
func (db BulkRevocations) BulkItems(ctx context.Context, id string, after, limit int, now time.Time) ([]admin.BulkItem, error) {
	if !sqldb.Storable(id) {
		return nil, nil
	}
	var items []admin.BulkItem
	err := db.All(ctx, `SELECT `+rowColumns+`, i.outcome FROM order_items i JOIN certificates c ON c.serial = i.serial`+
		listedJoins+`WHERE i.order_id = $1 AND i.place > $2 ORDER BY i.place LIMIT $3`, []any{id, after, limit},
		func(rows *sql.Rows) error {
			var r listedRow
			var item admin.BulkItem
			if err := rows.Scan(append(r.fields(), &item.Outcome)...); err != nil {
				return err
			}
			var err error
			item.Certificate, err = r.value(now)
			items = append(items, item)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("listing certificates of bulk revocation %q: %w", id, err)
	}
	return items, nil
}

// AddBulkItems adds certificates to a bulk revocation, and what these superseded, and
// advances its cursor. The former is counted with every cause: a device that loses
// its certificate must not go on with the one before.
// portal.ErrConflict says that it gathers from another cursor by now, or not at all.
func (db BulkRevocations) AddBulkItems(ctx context.Context, id string, from admin.Cursor, serials []ca.Serial, next admin.Cursor) error {
	return db.writeWithin(ctx, workWithin, "gathering", func(ctx context.Context, t *tx) error {
		o, err := t.lockBulk(ctx, id, admin.Gathering)
		if err != nil {
			return err
		}
		if o.Cursor.String() != from.String() {
			return portal.ErrConflict
		}
		if next == (admin.Cursor{}) {
			o.State = admin.Draft
		}
		all, err := t.eachWithFormer(ctx, serials)
		if err != nil {
			return err
		}
		if o.Items, err = t.addItems(ctx, id, o.Items, all); err != nil {
			return err
		}
		mac := bulkMAC(t.secret, o)
		_, err = t.Exec(ctx, "UPDATE orders SET place = $2, state = $3, items = $4, mac = $5 WHERE id = $1",
			id, next.String(), string(o.State), o.Items, mac[:])
		if err != nil {
			return fmt.Errorf("advancing bulk revocation %s: %w", id, err)
		}
		return nil
	})
}

// lockBulk reads a bulk revocation in a state and takes its row, so that replicas wait
// for each other. It returns portal.ErrConflict when it is in another state, and
// admin.ErrUnproven when this portal did not record it so.
func (t *tx) lockBulk(ctx context.Context, id string, state admin.BulkState) (admin.BulkRevocation, error) {
	var r bulkRow
	err := t.One(ctx, "UPDATE orders SET finished = finished WHERE id = $1 AND state = $2 RETURNING "+bulkColumns,
		[]any{id, string(state)}, r.fields()...)
	if errors.Is(err, portal.ErrNotFound) {
		return admin.BulkRevocation{}, portal.ErrConflict
	}
	if err != nil {
		return admin.BulkRevocation{}, fmt.Errorf("taking bulk revocation %s: %w", id, err)
	}
	o, err := r.value(t.secret)
	if err == nil && o.Unproven {
		err = fmt.Errorf("bulk revocation %s: %w", id, admin.ErrUnproven)
	}
	return o, err
}

// addItems adds the certificates that a bulk revocation does not have yet, behind
// its first items. It returns how many it has then.
func (t *tx) addItems(ctx context.Context, id string, items int, serials []ca.Serial) (int, error) {
	for _, serial := range serials {
		mac := bulkItemMAC(t.secret, id, items+1, serial)
		touched, err := t.Exec(ctx, `INSERT INTO order_items (order_id, place, serial, outcome, mac) VALUES ($1, $2, $3, '', $4)
			ON CONFLICT (order_id, serial) DO NOTHING`, id, items+1, serial.String(), mac[:])
		if err != nil {
			return items, fmt.Errorf("adding %s to bulk revocation %s: %w", serial, id, err)
		}
		items += touched
	}
	return items, nil
}

// TransitionBulk brings a bulk revocation from one state to another.
// portal.ErrConflict says that it is not in the first state, admin.ErrUnproven that this
// portal did not record it so: such a one may be closed.
func (db BulkRevocations) TransitionBulk(ctx context.Context, m admin.BulkTransition) error {
	return db.write(ctx, "moving bulk revocation "+m.ID, func(ctx context.Context, t *tx) error {
		o, err := t.lockBulk(ctx, m.ID, m.From)
		closing := m.To == admin.Done || m.To == admin.Dropped || m.To == admin.Lapsed
		if err != nil && !(closing && errors.Is(err, admin.ErrUnproven)) {
			return err
		}
		o.State, o.Approver, o.ApproverName = m.To, m.Approver, sqldb.Cleaned(m.Name)
		if closing {
			o.Closed = m.At
		}
		if o.Approved = (time.Time{}); m.Approver != "" {
			o.Approved = m.At
		}
		if !m.Expires.IsZero() {
			o.Expires = m.Expires
		}
		if m.Grounds.Cause != "" {
			o.Cause = m.Grounds.Cause
		}
		if m.Grounds.Comment != "" {
			o.Comment = sqldb.Cleaned(m.Grounds.Comment)
		}
		if err := t.replaceBulk(ctx, o); err != nil {
			return err
		}
		if err := t.append(ctx, m.Entry); err != nil {
			return err
		}
		return t.checkAlone(ctx, m.Alone, 1)
	})
}

// replaceBulk writes what a change of state changes.
func (t *tx) replaceBulk(ctx context.Context, o admin.BulkRevocation) error {
	mac := bulkMAC(t.secret, o)
	_, err := t.Exec(ctx, `UPDATE orders SET state = $2, closed_at = $3, expires_at = $4, cause = $5, comment = $6,
		approver = $7, approver_name = $8, approved_at = $9, mac = $10 WHERE id = $1`,
		o.ID, string(o.State), sqldb.Moment(o.Closed), o.Expires.UnixMilli(), string(o.Cause), o.Comment,
		string(o.Approver), o.ApproverName, sqldb.Moment(o.Approved), mac[:])
	if err != nil {
		return fmt.Errorf("moving bulk revocation: %w", err)
	}
	return nil
}

// RevokeBulkItems revokes the next certificates of a running bulk revocation, in one
// transaction with its progress, and closes it after the last. After a crash, what
// was interrupted was either done and recorded, or is done again. admin.ErrUnproven says
// that the bulk revocation or one of these certificates is not as this portal recorded
// it; nothing is revoked then.
func (db BulkRevocations) RevokeBulkItems(ctx context.Context, id string, limit int, at time.Time) (ended int, more bool, err error) {
	err = db.writeWithin(ctx, workWithin, "revoking items of bulk revocation "+id, func(ctx context.Context, t *tx) error {
		ended, more = 0, false
		o, err := t.lockBulk(ctx, id, admin.Running)
		if errors.Is(err, portal.ErrConflict) {
			return nil // another replica closed it
		}
		if err != nil {
			return err
		}
		serials, err := t.itemsOf(ctx, o, limit)
		if err != nil {
			return err
		}
		all, err := t.endItems(ctx, o, serials, at)
		if err != nil {
			return err
		}
		ended, more = len(all), o.Finished+len(serials) < o.Items
		if !more {
			all = append(all, record{Entry: doneEntry(o, o.Revoked+ended, at)})
		}
		if err := t.noteProgress(ctx, o, len(serials), ended, more, at); err != nil {
			return err
		}
		return t.appendRecords(ctx, all...)
	})
	if err != nil {
		return 0, false, err
	}
	return ended, more, nil
}

// itemsOf lists the next certificates of a bulk revocation. It returns
// admin.ErrUnproven when one is missing or was not added by this portal.
func (t *tx) itemsOf(ctx context.Context, o admin.BulkRevocation, limit int) ([]ca.Serial, error) {
	var serials []ca.Serial
	unproven := false
	err := t.All(ctx, `SELECT serial, place, mac FROM order_items WHERE order_id = $1 AND place > $2 AND place <= $3
		ORDER BY place LIMIT $4`, []any{o.ID, o.Finished, o.Items, limit}, func(rows *sql.Rows) error {
		var text string
		var place int
		var mac []byte
		if err := rows.Scan(&text, &place, &mac); err != nil {
			return err
		}
		serial, err := serialOf(text)
		serials = append(serials, serial)
		unproven = unproven || !proves(mac, bulkItemMAC(t.secret, o.ID, place, serial))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing certificates of bulk revocation %s: %w", o.ID, err)
	}
	if unproven || len(serials) != min(limit, o.Items-o.Finished) {
		return nil, fmt.Errorf("certificates of bulk revocation %s: %w", o.ID, admin.ErrUnproven)
	}
	return serials, nil
}

// endItems revokes those that are still in force and records the outcome of each.
func (t *tx) endItems(ctx context.Context, o admin.BulkRevocation, serials []ca.Serial, at time.Time) ([]record, error) {
	serials, err := upstreamTx{t}.lockCurrent(ctx, serials)
	if err != nil {
		return nil, err
	}
	r := enroll.Revocation{Cause: o.Cause, At: at, Entry: bulkEntry(o, at)}
	r.Entry.Action = audit.CertificateRevoked
	var all []record
	for _, serial := range sortedUnique(serials) {
		about, err := t.endIfLive(ctx, serial, r)
		if err != nil {
			return nil, err
		}
		outcome := admin.ItemSkipped
		if len(about) > 0 {
			outcome = admin.ItemRevoked
		}
		all = append(all, about...)
		_, err = t.Exec(ctx, "UPDATE order_items SET outcome = $3 WHERE order_id = $1 AND serial = $2",
			o.ID, serial.String(), string(outcome))
		if err != nil {
			return nil, fmt.Errorf("noting outcome of %s: %w", serial, err)
		}
	}
	return all, nil
}

func (t *tx) noteProgress(ctx context.Context, o admin.BulkRevocation, finished, ended int, more bool, at time.Time) error {
	state, closed := admin.Running, time.Time{}
	if !more {
		state, closed = admin.Done, at
	}
	_, err := t.Exec(ctx, "UPDATE orders SET finished = $2, ended = $3, state = $4, closed_at = $5 WHERE id = $1",
		o.ID, o.Finished+finished, o.Revoked+ended, string(state), sqldb.Moment(closed))
	if err != nil {
		return fmt.Errorf("noting progress of bulk revocation %s: %w", o.ID, err)
	}
	return nil
}

// bulkEntry is an entry in the name of the person who made the bulk revocation.
func bulkEntry(o admin.BulkRevocation, at time.Time) audit.Entry {
	return audit.Entry{
		At: at, Actor: string(o.Maker), Role: o.Role, Address: o.Address, Request: o.Request,
		Detail: withDetail(nil, "order", o.ID, "comment", o.Comment, "approver", string(o.Approver)),
	}
}

func doneEntry(o admin.BulkRevocation, ended int, at time.Time) audit.Entry {
	e := bulkEntry(o, at)
	e.Action, e.Object = audit.BulkDone, o.ID
	e.Detail["certificates"], e.Detail["ended"] = fmt.Sprint(o.Items), fmt.Sprint(ended)
	return e
}
