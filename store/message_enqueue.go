package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"certportal/internal/notify"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// MailEvents reads the audit log behind the entry up to which messages are written:
// at most limit entries, in order, and the number of that entry. What the store
// knows of the certificate of an entry is included.
func (db Outbox) MailEvents(ctx context.Context, limit int) (after int64, found []notify.Event, err error) {
	if err := db.One(ctx, "SELECT seq FROM outbox WHERE id = 1", nil, &after); err != nil {
		return 0, nil, fmt.Errorf("reading place of the clerk: %w", err)
	}
	err = db.AllWithin(ctx, workWithin, `SELECT l.seq, l.at, l.action, l.actor, l.role, l.person, l.object, l.request, l.detail,
		COALESCE(g.language, ''), COALESCE(d.id, ''), COALESCE(d.name, ''), c.not_after,
		EXISTS (SELECT 1 FROM certificates o WHERE o.superseded_by = c.serial)
		FROM ledger l LEFT JOIN certificates c ON c.serial = l.object
		LEFT JOIN devices d ON d.id = c.device_id LEFT JOIN languages g ON g.person = l.person
		WHERE l.seq > $1 ORDER BY l.seq LIMIT $2`, []any{after, limit},
		func(rows *sql.Rows) error {
			h, err := scanEvent(rows)
			found = append(found, h)
			return err
		})
	if err != nil {
		return 0, nil, fmt.Errorf("reading what happened after %d: %w", after, err)
	}
	return after, found, nil
}

func scanEvent(rows *sql.Rows) (notify.Event, error) {
	var h notify.Event
	var at, end sql.NullInt64
	var detail string
	err := rows.Scan(&h.Seq, &at, &h.Action, &h.Actor, &h.Role, &h.Person, &h.Object, &h.Request, &detail,
		&h.Language, &h.Device, &h.DeviceName, &end, &h.Renewal)
	if err != nil {
		return h, err
	}
	h.At, h.NotAfter = sqldb.TimeOf(at), sqldb.TimeOf(end)
	// A damaged entry must not stop all later messages, least of all the one that
	// reports the damage: what can be read of it is enough.
	if json.Unmarshal([]byte(detail), &h.Detail) != nil {
		h.Detail = nil
	}
	return h, nil
}

// EnqueueFrom adds messages and advances the position in the audit log from one
// entry to another. portal.ErrConflict says that another collector advanced it
// first; then nothing was done. A message whose key exists is left out.
func (db Outbox) EnqueueFrom(ctx context.Context, from, to int64, messages []notify.Message) error {
	return db.writeWithin(ctx, workWithin, "enqueueing messages", func(ctx context.Context, t *tx) error {
		touched, err := t.Exec(ctx, "UPDATE outbox SET seq = $2 WHERE id = 1 AND seq = $1", from, to)
		if err != nil {
			return fmt.Errorf("moving the clerk to entry %d: %w", to, err)
		}
		if touched == 0 {
			return fmt.Errorf("the clerk is not at entry %d any more: %w", from, portal.ErrConflict)
		}
		return t.insertMessages(ctx, messages)
	})
}

// Enqueue adds messages whose key does not exist. One without an address only takes
// its key.
func (db Outbox) Enqueue(ctx context.Context, messages []notify.Message) error {
	return db.writeWithin(ctx, workWithin, "posting reminders", func(ctx context.Context, t *tx) error {
		return t.insertMessages(ctx, messages)
	})
}

func (t *tx) insertMessages(ctx context.Context, messages []notify.Message) error {
	for _, l := range messages {
		facts, err := paramsOf(l)
		if err != nil {
			return err
		}
		var closed time.Time
		if l.To == "" {
			closed = l.Made
		}
		_, err = t.Exec(ctx, `INSERT INTO letters
			(id, about, kind, person, recipient, language, facts, made_at, tries, next_at, closed_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $8, $9) ON CONFLICT (about) DO NOTHING`,
			l.ID, sqldb.Cleaned(l.Key), string(l.Kind), sqldb.Cleaned(string(l.Person)), sqldb.Optional(sqldb.Cleaned(l.To)), l.Language,
			facts, l.Made.UnixMilli(), sqldb.Moment(closed))
		if err != nil {
			return fmt.Errorf("recording message about %s: %w", l.Key, err)
		}
	}
	return nil
}

// paramsOf is the stored form of the parameters of a message; NULL for one that only
// takes its key.
func paramsOf(l notify.Message) (sql.NullString, error) {
	if l.To == "" {
		return sql.NullString{}, nil
	}
	text, err := json.Marshal(l.Params)
	if err != nil {
		return sql.NullString{}, fmt.Errorf("writing parameters of message about %s: %w", l.Key, err)
	}
	// NUL is escaped in JSON, and PostgreSQL keeps the text as it is.
	return sqldb.Optional(string(text)), nil
}

// ExpiringCertificates lists certificates that end after the first time and at the
// second or before, without those that have a message under key and their serial.
// Only the newest certificate of a device in use counts, and only one with at least
// the given lifetime.
func (db Outbox) ExpiringCertificates(ctx context.Context, key string, after, until time.Time, life time.Duration, limit int) ([]notify.ExpiringCertificate, error) {
	var found []notify.ExpiringCertificate
	err := db.AllWithin(ctx, workWithin, `SELECT c.serial, c.person, COALESCE(g.language, ''), d.id, d.name, c.not_after
		FROM certificates c JOIN devices d ON d.id = c.device_id LEFT JOIN languages g ON g.person = c.person
		WHERE c.der IS NOT NULL AND c.revoked_at IS NULL AND c.not_after > $2 AND c.not_after <= $3
		AND c.not_after - c.not_before >= $4 AND c.status = 'issued' AND d.removed_at IS NULL
		AND NOT EXISTS (SELECT 1 FROM letters l WHERE l.about = $1 || c.serial)
		AND NOT EXISTS (SELECT 1 FROM certificates n WHERE n.device_id = c.device_id
			AND n.status = 'issued' AND n.requested_at > c.requested_at)
		ORDER BY c.not_after, c.serial LIMIT $5`,
		[]any{key, after.UnixMilli(), until.UnixMilli(), life.Milliseconds(), limit},
		func(rows *sql.Rows) error {
			var r notify.ExpiringCertificate
			var end sql.NullInt64
			err := rows.Scan(&r.Serial, &r.Person, &r.Language, &r.Device, &r.DeviceName, &end)
			r.NotAfter = sqldb.TimeOf(end)
			found = append(found, r)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("listing certificates that end: %w", err)
	}
	return found, nil
}

// MailState returns how mail is doing, counting waiting messages up to bound.
func (db Outbox) MailState(ctx context.Context, bound int) (notify.State, error) {
	var s notify.State
	var sent, failing, oldest sql.NullInt64
	err := db.One(ctx, `SELECT o.sent_at, o.failing_since, o.failure, h.seq - o.seq,
		(SELECT count(*) FROM (SELECT 1 FROM letters WHERE closed_at IS NULL LIMIT $1) AS waiting),
		(SELECT min(made_at) FROM letters WHERE closed_at IS NULL),
		(SELECT count(*) FROM letters WHERE given_up IS NOT NULL)
		FROM outbox o JOIN ledger_head h ON h.id = o.id WHERE o.id = 1`, []any{bound},
		&sent, &failing, &s.Reason, &s.Behind, &s.Waiting, &oldest, &s.Failed)
	if err != nil {
		return notify.State{}, fmt.Errorf("reading state of the mail: %w", err)
	}
	s.Sent, s.Failing, s.Oldest = sqldb.TimeOf(sent), sqldb.TimeOf(failing), sqldb.TimeOf(oldest)
	return s, nil
}

// SetLanguage records the language in which a person reads. It writes only changes,
// as it is called with every sign-in.
func (db Outbox) SetLanguage(ctx context.Context, person portal.PersonID, language string) error {
	known, err := db.Language(ctx, person)
	if known == language && err == nil {
		return nil
	}
	if err != nil && !errors.Is(err, portal.ErrNotFound) {
		return err
	}
	return db.write(ctx, "noting language of "+string(person), func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, `INSERT INTO languages (person, language) VALUES ($1, $2)
			ON CONFLICT (person) DO UPDATE SET language = excluded.language`, string(person), language)
		return err
	})
}

// Language returns the language in which a person last read, or portal.ErrNotFound.
func (db Outbox) Language(ctx context.Context, person portal.PersonID) (string, error) {
	var language string
	err := db.One(ctx, "SELECT language FROM languages WHERE person = $1", []any{string(person)}, &language)
	if err != nil {
		return "", fmt.Errorf("reading language of %s: %w", person, err)
	}
	return language, nil
}
