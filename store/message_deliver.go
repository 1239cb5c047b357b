package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"certportal/internal/audit"
	"certportal/internal/notify"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// pruneBatch bounds one transaction that removes old messages.
const pruneBatch = 1000

// ClaimMessages takes messages that are due, the longest waiting first, at most
// limit. Until the time given no other sender gets them. Each claim has a name of its own.
func (db Outbox) ClaimMessages(ctx context.Context, now, until time.Time, limit int) ([]notify.Message, error) {
	due, err := db.count(ctx, "looking for messages", `SELECT count(*) FROM (SELECT 1 FROM letters WHERE closed_at IS NULL
		AND next_at <= $1 AND (claimed_until IS NULL OR claimed_until <= $1) LIMIT 1) AS due`, now.UnixMilli())
	if err != nil || due == 0 {
		return nil, err // mostly none is due, which needs no write lock
	}
	var claimed []notify.Message
	claim := rand.Text()
	err = db.writeWithin(ctx, workWithin, "claiming messages", func(ctx context.Context, t *tx) error {
		claimed = nil
		// The condition is repeated: PostgreSQL checks a row again that another
		// transaction held, but only with the outer one.
		return t.All(ctx, `UPDATE letters SET claimed_until = $2, claimed_by = $4 WHERE closed_at IS NULL
			AND (claimed_until IS NULL OR claimed_until <= $1) AND id IN (
				SELECT id FROM letters WHERE closed_at IS NULL AND next_at <= $1
				AND (claimed_until IS NULL OR claimed_until <= $1) ORDER BY next_at, id LIMIT $3)
			RETURNING id, about, kind, person, recipient, language, facts, made_at, tries`,
			[]any{now.UnixMilli(), until.UnixMilli(), limit, claim},
			func(rows *sql.Rows) error {
				l, err := scanMessage(rows)
				l.Claim = claim
				claimed = append(claimed, l)
				return err
			})
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

func scanMessage(rows *sql.Rows) (notify.Message, error) {
	var l notify.Message
	var facts string
	var made sql.NullInt64
	err := rows.Scan(&l.ID, &l.Key, &l.Kind, &l.Person, &l.To, &l.Language, &facts, &made, &l.Tries)
	if err != nil {
		return l, err
	}
	l.Made = sqldb.TimeOf(made)
	if err := json.Unmarshal([]byte(facts), &l.Params); err != nil {
		return l, fmt.Errorf("reading parameters of message %s: %w", l.ID, err)
	}
	return l, nil
}

// claimedAs is the condition that a message $1 is open and under the claim $2.
const claimedAs = "id = $1 AND closed_at IS NULL AND claimed_until IS NOT NULL AND claimed_by = $2"

// ExtendClaims lets the claims on messages last until a time, and returns the ids of those
// that still have them. Messages that are closed, postponed or released stay so, and those
// that another sender claimed since are that sender's.
func (db Outbox) ExtendClaims(ctx context.Context, messages []notify.Message, until time.Time) (held []string, err error) {
	err = db.writeWithin(ctx, workWithin, "extending claims on messages", func(ctx context.Context, t *tx) error {
		held = nil
		for _, l := range messages {
			touched, err := t.Exec(ctx, "UPDATE letters SET claimed_until = $3 WHERE "+claimedAs, l.ID, l.Claim, until.UnixMilli())
			if err != nil {
				return fmt.Errorf("extending claim on message %s: %w", l.ID, err)
			}
			if touched == 1 {
				held = append(held, l.ID)
			}
		}
		return nil
	})
	return held, err
}

// ReleaseMessages gives claimed messages back unchanged, unless another sender has claimed
// them since.
func (db Outbox) ReleaseMessages(ctx context.Context, messages []notify.Message) error {
	return db.writeWithin(ctx, workWithin, "releasing messages", func(ctx context.Context, t *tx) error {
		for _, l := range messages {
			_, err := t.Exec(ctx, "UPDATE letters SET claimed_until = NULL WHERE "+claimedAs, l.ID, l.Claim)
			if err != nil {
				return fmt.Errorf("releasing message %s: %w", l.ID, err)
			}
		}
		return nil
	})
}

// MarkSent closes a message, deletes its recipient and parameters, and records when
// mail last worked.
func (db Outbox) MarkSent(ctx context.Context, l notify.Message, at time.Time) error {
	return db.writeWithin(ctx, workWithin, "closing message "+l.ID, func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, `UPDATE letters SET closed_at = $2, recipient = NULL, facts = NULL, claimed_until = NULL, failure = NULL
			WHERE id = $1 AND closed_at IS NULL`, l.ID, at.UnixMilli())
		if err != nil {
			return err
		}
		_, err = t.Exec(ctx, "UPDATE outbox SET sent_at = $1 WHERE id = 1", at.UnixMilli())
		return err
	})
}

// Postpone counts an attempt and lets the message wait until next, unless another sender has
// claimed it since.
func (db Outbox) Postpone(ctx context.Context, l notify.Message, next time.Time, why string) error {
	return db.writeWithin(ctx, workWithin, "postponing message "+l.ID, func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, "UPDATE letters SET tries = tries + 1, next_at = $3, failure = $4, claimed_until = NULL WHERE "+claimedAs,
			l.ID, l.Claim, next.UnixMilli(), sqldb.Optional(sqldb.Cleaned(why)))
		return err
	})
}

// GiveUpMessage closes a message that cannot be delivered, with its audit entry, and
// keeps its parameters for ResendMessage. One that is closed already, or that another sender
// delivers by now, is left alone and gets no entry.
func (db Outbox) GiveUpMessage(ctx context.Context, l notify.Message, at time.Time, why string, entry audit.Entry) error {
	return db.writeWithin(ctx, workWithin, "giving up message "+l.ID, func(ctx context.Context, t *tx) error {
		touched, err := t.Exec(ctx, `UPDATE letters SET closed_at = $3, given_up = 1, tries = tries + 1, failure = $4,
			kept_facts = facts, facts = NULL, claimed_until = NULL
			WHERE id = $1 AND closed_at IS NULL AND (claimed_until IS NULL OR claimed_by IS NULL OR claimed_by = $2)`,
			l.ID, l.Claim, at.UnixMilli(), sqldb.Cleaned(why))
		if err != nil || touched == 0 {
			return err
		}
		return t.append(ctx, entry)
	})
}

// MailServerDown records that the server takes no mail at all. The time of the first
// such record since mail worked is kept.
func (db Outbox) MailServerDown(ctx context.Context, at time.Time, why string) error {
	return db.writeWithin(ctx, workWithin, "noting that mail fails", func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, `UPDATE outbox SET failing_since = COALESCE(failing_since, $1), failure = $2 WHERE id = 1`,
			at.UnixMilli(), sqldb.Cleaned(why))
		return err
	})
}

// MailServerUp ends what MailServerDown recorded.
func (db Outbox) MailServerUp(ctx context.Context) error {
	failing, err := db.count(ctx, "asking whether mail fails", "SELECT count(*) FROM outbox WHERE failing_since IS NOT NULL")
	if err != nil || failing == 0 {
		return err
	}
	return db.writeWithin(ctx, workWithin, "noting that mail works", func(ctx context.Context, t *tx) error {
		_, err := t.Exec(ctx, "UPDATE outbox SET failing_since = NULL, failure = '' WHERE id = 1")
		return err
	})
}

// FailedMessages lists messages that were given up and are not yet deleted, the
// newest first, at most limit.
func (db Outbox) FailedMessages(ctx context.Context, limit int) ([]notify.FailedMessage, error) {
	var failed []notify.FailedMessage
	err := db.All(ctx, `SELECT id, kind, person, recipient, made_at, closed_at, tries, failure,
		CASE WHEN kept_facts IS NULL THEN 0 ELSE 1 END FROM letters WHERE given_up IS NOT NULL ORDER BY closed_at DESC, id LIMIT $1`, []any{limit},
		func(rows *sql.Rows) error {
			var f notify.FailedMessage
			var again int
			var made, closed sql.NullInt64
			err := rows.Scan(&f.ID, &f.Kind, &f.Person, &f.To, &made, &closed, &f.Tries, &f.Reason, &again)
			f.Resendable = again == 1
			f.Made, f.Closed = sqldb.TimeOf(made), sqldb.TimeOf(closed)
			failed = append(failed, f)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("listing messages given up: %w", err)
	}
	return failed, nil
}

// ResendMessage opens a message that was given up, as if it were new, with its audit
// entry; to the address, or to the one before when that is empty. The error wraps
// portal.ErrNotFound when there is none, or its parameters are gone, and is
// notify.ErrStale when what it says is not true any more.
func (db Outbox) ResendMessage(ctx context.Context, id, to string, at time.Time, entry audit.Entry) error {
	return db.write(ctx, "resending message", func(ctx context.Context, t *tx) error {
		if !sqldb.Storable(id) {
			return portal.ErrNotFound
		}
		m, err := readKept(ctx, t, id)
		if err != nil {
			return err
		}
		fresh, err := m.stillTrue(ctx, t, at)
		if err != nil {
			return err
		}
		if !fresh {
			return notify.ErrStale
		}
		if m.kind == notify.Ending {
			m.params = m.params.Counted(at)
		}
		params, err := json.Marshal(m.params)
		if err != nil {
			return fmt.Errorf("writing parameters of message %s: %w", id, err)
		}
		touched, err := t.Exec(ctx, `UPDATE letters SET closed_at = NULL, given_up = NULL, facts = $4, kept_facts = NULL,
			failure = NULL, tries = 0, made_at = $2, next_at = $2, claimed_until = NULL, recipient = COALESCE($3, recipient)
			WHERE id = $1 AND given_up IS NOT NULL`, id, at.UnixMilli(), sqldb.Optional(sqldb.Cleaned(to)), string(params))
		if err == nil && touched == 0 {
			err = portal.ErrNotFound
		}
		if err != nil {
			return err
		}
		return t.append(ctx, entry)
	})
}

// PruneMessages removes messages that were closed before the time, and returns how
// many.
func (db Outbox) PruneMessages(ctx context.Context, before time.Time) (int, error) {
	forgotten := 0
	for {
		n := 0
		err := db.writeWithin(ctx, workWithin, "pruning messages", func(ctx context.Context, t *tx) (err error) {
			n, err = t.Exec(ctx, `DELETE FROM letters WHERE id IN (
				SELECT id FROM letters WHERE closed_at IS NOT NULL AND closed_at < $1 LIMIT $2)`, before.UnixMilli(), pruneBatch)
			return err
		})
		forgotten += n
		if err != nil || n < pruneBatch {
			return forgotten, err
		}
	}
}
