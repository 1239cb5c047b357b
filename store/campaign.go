package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/notify"
	"certportal/internal/portal"
	"certportal/internal/succession"
	"certportal/store/sqldb"
)

// toReplace is the condition that a certificate c of the CA $1 is in use at the time $2, and
// must be replaced as the CA was revoked.
const toReplace = signerOf + " = $1 AND c.status = 'issued' AND c.person IS NOT NULL AND c.not_after > $2"

// beginCampaign records how many certificates of a revoked CA must be replaced.
func beginCampaign(ctx context.Context, t *tx, r succession.Revocation) error {
	_, err := t.Exec(ctx, `INSERT INTO campaigns (authority, started_at, devices, next_at)
		SELECT $1, $2, count(*), $2 FROM certificates c WHERE `+toReplace+` HAVING count(*) > 0`, r.Name, r.At.UnixMilli())
	if err != nil {
		return fmt.Errorf("beginning the campaign of %s: %w", r.Name, err)
	}
	return nil
}

// RecallWaves returns the next wave of each campaign that is due, of so many people. None is
// due while no CA issues or issuing is stopped.
func (db Outbox) RecallWaves(ctx context.Context, now time.Time, people int) ([]notify.Wave, error) {
	var due []notify.Wave
	err := db.All(ctx, `SELECT p.authority, p.asked_to FROM campaigns p WHERE p.ended_at IS NULL AND p.next_at <= $1
		AND EXISTS (SELECT 1 FROM authorities WHERE state = 'active') AND (SELECT reason FROM halt WHERE id = 1) = ''`,
		[]any{now.UnixMilli()}, func(rows *sql.Rows) error {
			var w notify.Wave
			err := rows.Scan(&w.Authority, &w.From)
			due = append(due, w)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("looking for campaigns: %w", err)
	}
	var waves []notify.Wave
	for _, w := range due {
		if err := db.readWave(ctx, &w, now, people); err != nil {
			return nil, fmt.Errorf("reading the next people with certificates of %s: %w", w.Authority, err)
		}
		if w.To != "" { // also without devices: the campaign moves on
			waves = append(waves, w)
		}
	}
	return waves, nil
}

// readWave reads the devices of the next people.
func (db Outbox) readWave(ctx context.Context, w *notify.Wave, now time.Time, people int) error {
	var to sql.NullString
	err := db.One(ctx, `SELECT max(n.person) FROM (SELECT DISTINCT c.person FROM certificates c WHERE `+toReplace+` AND c.person > $3
		ORDER BY c.person LIMIT $4) n`, []any{w.Authority, now.UnixMilli(), string(w.From), people}, &to)
	if err != nil || !to.Valid {
		return err
	}
	w.To = portal.PersonID(to.String)
	return db.All(ctx, `SELECT c.person, COALESCE(g.language, ''), d.id, d.name FROM certificates c JOIN devices d ON d.id = c.device_id
		LEFT JOIN languages g ON g.person = c.person WHERE `+toReplace+` AND c.person > $3 AND c.person <= $4 ORDER BY c.person, d.id`,
		[]any{w.Authority, now.UnixMilli(), string(w.From), string(w.To)}, func(rows *sql.Rows) error {
			var d notify.RecalledDevice
			err := rows.Scan(&d.Person, &d.Language, &d.Device, &d.Name)
			w.Devices = append(w.Devices, d)
			return err
		})
}

// EnqueueWave adds the messages of a wave and moves the campaign behind it. portal.ErrConflict
// says that it is not at its start any more; then nothing was done.
func (db Outbox) EnqueueWave(ctx context.Context, w notify.Wave, msgs []notify.Message, next time.Time) error {
	return db.writeWithin(ctx, workWithin, "enqueueing a wave", func(ctx context.Context, t *tx) error {
		moved, err := t.Exec(ctx, `UPDATE campaigns SET asked_to = $3, mailed = mailed + $4, next_at = $5
			WHERE authority = $1 AND asked_to = $2 AND ended_at IS NULL`,
			w.Authority, string(w.From), string(w.To), len(msgs), next.UnixMilli())
		if err != nil {
			return fmt.Errorf("moving the campaign of %s: %w", w.Authority, err)
		}
		if moved == 0 {
			return fmt.Errorf("the campaign of %s is elsewhere: %w", w.Authority, portal.ErrConflict)
		}
		return t.insertMessages(ctx, msgs)
	})
}

// EndCampaigns ends those with no certificate left to replace, and returns how many.
func (db Outbox) EndCampaigns(ctx context.Context, now time.Time) (int, error) {
	var over []string
	err := db.All(ctx, `SELECT p.authority FROM campaigns p WHERE p.ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM certificates c
		WHERE `+strings.NewReplacer("$1", "p.authority", "$2", "$1").Replace(toReplace)+`)`, []any{now.UnixMilli()},
		func(rows *sql.Rows) error {
			var name string
			err := rows.Scan(&name)
			over = append(over, name)
			return err
		})
	ended := 0
	for _, name := range over {
		if err != nil {
			break
		}
		err = db.write(ctx, "ending the campaign of "+name, func(ctx context.Context, t *tx) error {
			touched, err := t.Exec(ctx, "UPDATE campaigns SET ended_at = $2 WHERE authority = $1 AND ended_at IS NULL", name, now.UnixMilli())
			if err != nil || touched == 0 {
				return err
			}
			ended++
			return t.append(ctx, audit.Entry{At: now, Action: audit.CampaignEnded, Actor: "system", Role: "system", Object: name})
		})
	}
	if err != nil {
		return ended, fmt.Errorf("ending campaigns: %w", err)
	}
	return ended, nil
}

// Campaigns returns the campaigns that run, and those that ended since a time, the newest
// first.
func (db Outbox) Campaigns(ctx context.Context, now, since time.Time) ([]admin.Campaign, error) {
	var all []admin.Campaign
	asked := map[string]string{}
	err := db.All(ctx, `SELECT authority, started_at, devices, asked_to, mailed, ended_at FROM campaigns
		WHERE ended_at IS NULL OR ended_at > $1 ORDER BY started_at DESC, authority`, []any{since.UnixMilli()}, func(rows *sql.Rows) error {
		var c admin.Campaign
		var began, ended sql.NullInt64
		var to string
		err := rows.Scan(&c.Authority, &began, &c.Devices, &to, &c.Mailed, &ended)
		c.Began, c.Ended, asked[c.Authority] = sqldb.TimeOf(began), sqldb.TimeOf(ended), to
		all = append(all, c)
		return err
	})
	for i := range all {
		if c := &all[i]; err == nil && c.Ended.IsZero() {
			err = db.One(ctx, `SELECT count(*), count(DISTINCT CASE WHEN c.person > $3 THEN c.person END) FROM certificates c WHERE `+toReplace,
				[]any{c.Authority, now.UnixMilli(), asked[c.Authority]}, &c.Left, &c.ToGo)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reading campaigns: %w", err)
	}
	return all, nil
}
