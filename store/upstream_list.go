package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"certportal/ca"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

// How old a look at the lists of a CA may get: in general, while a revocation is in no list
// or a list cannot be used, and soon after a revocation.
const (
	lookEvery      = 30 * time.Minute
	lookWhileOpen  = 10 * time.Minute
	lookAfter      = time.Minute
	lookAfterWhile = 30 * time.Minute
)

// Bounds of what is read for one look.
const (
	watchedSamples = 200 // from each end of the certificates
	watchedRows    = 5000
	watchedListed  = 20_000
)

// forgetLists is how long an address is kept that no certificate names any more.
const forgetLists = 7 * 24 * time.Hour

// dueWatch is about the row itself in all of its parts: PostgreSQL looks at them again when
// another replica wrote the row meanwhile, but not at a subquery of the same table.
const dueWatch = `authority = $1 AND taken_until <= $2 AND (looked_at <= $3
	OR looked_at <= $4 AND (EXISTS (SELECT 1 FROM upstream_revocations WHERE authority = $1 AND listed_at IS NULL AND COALESCE(not_after, $2) >= $2)
		OR EXISTS (SELECT 1 FROM upstream_lists WHERE authority = $1 AND failing_since IS NOT NULL))
	OR looked_at <= $5 AND EXISTS (SELECT 1 FROM upstream_revocations WHERE authority = $1 AND listed_at IS NULL AND asked_at > $6))`

// TakeUpstreamWatch reports whether the lists of a CA are due: until the time given no other
// replica looks at them.
func (db Enrolments) TakeUpstreamWatch(ctx context.Context, authority string, now, until time.Time) (bool, error) {
	args := []any{authority, now.UnixMilli(), now.Add(-lookEvery).UnixMilli(), now.Add(-lookWhileOpen).UnixMilli(),
		now.Add(-lookAfter).UnixMilli(), now.Add(-lookAfterWhile).UnixMilli()}
	var there, due int
	err := db.One(ctx, "SELECT count(*) FROM upstream_watches WHERE authority = $1", args[:1], &there)
	if err == nil && there > 0 {
		err = db.One(ctx, "SELECT 1 FROM upstream_watches WHERE "+dueWatch, args, &due)
	}
	switch {
	case errors.Is(err, portal.ErrNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("looking whether the lists of %s are due: %w", authority, err)
	}
	taken := false
	err = db.write(ctx, "taking the lists of "+authority, func(ctx context.Context, t *tx) error {
		if _, err := t.Exec(ctx, "INSERT INTO upstream_watches (authority, looked_at, taken_until) VALUES ($1, 0, 0) ON CONFLICT DO NOTHING", authority); err != nil {
			return err
		}
		touched, err := t.Exec(ctx, "UPDATE upstream_watches SET taken_until = $7 WHERE "+dueWatch, append(args, until.UnixMilli())...)
		taken = touched == 1
		return err
	})
	return taken, err
}

// UpstreamWatched reads what to look for in the lists of a CA.
func (db Enrolments) UpstreamWatched(ctx context.Context, authority string, now time.Time) (enroll.UpstreamWatched, error) {
	w := enroll.UpstreamWatched{InForce: make(map[ca.Serial]bool)}
	const inForce = `FROM certificates WHERE COALESCE(authority, issuer) = $1 AND not_after > $2 AND der IS NOT NULL AND revoked_at IS NULL`
	args := []any{authority, now.UnixMilli()}
	for _, query := range []string{
		"SELECT der " + inForce + " ORDER BY not_after LIMIT $3", "SELECT der " + inForce + " ORDER BY not_after DESC LIMIT $3",
		`SELECT der FROM upstream_revocations WHERE authority = $1 AND serial IN (SELECT min(serial) FROM upstream_revocations
			WHERE authority = $1 AND listed_at IS NOT NULL AND not_after > $2 GROUP BY points) LIMIT $3`,
	} {
		err := db.AllWithin(ctx, workWithin, query, append(args, watchedSamples), func(rows *sql.Rows) error {
			var der []byte
			err := rows.Scan(&der)
			w.Samples = append(w.Samples, der)
			return err
		})
		if err != nil {
			return w, fmt.Errorf("reading certificates of %s: %w", authority, err)
		}
	}
	err := db.AllWithin(ctx, workWithin, "SELECT serial "+inForce, args, func(rows *sql.Rows) error {
		var found []ca.Serial
		err := scanSerial(rows, &found)
		if err == nil {
			w.InForce[found[0]] = true
		}
		return err
	})
	if err != nil {
		return w, fmt.Errorf("listing certificates of %s: %w", authority, err)
	}
	if w.Rows, err = db.upstreamListings(ctx, authority, now); err != nil {
		return w, err
	}
	w.Lists, err = db.upstreamLists(ctx, "WHERE authority = $1", authority)
	return w, err
}

// upstreamListings reads what a CA must revoke: all that no list names, or not any more,
// and of the others which lists name them.
func (db Enrolments) upstreamListings(ctx context.Context, authority string, now time.Time) ([]enroll.UpstreamListing, error) {
	var all []enroll.UpstreamListing
	for _, q := range []struct {
		der, where string
		limit      int
	}{
		{"der", "(listed_at IS NULL OR absent_update IS NOT NULL)", watchedRows},
		{"NULL", "listed_at IS NOT NULL AND absent_update IS NULL", watchedListed},
	} {
		err := db.AllWithin(ctx, workWithin, "SELECT serial, authority, "+q.der+`, points, done_at, done_by, listed_at, listed_in, listed_number, listed_update,
			listed_online, absent_update, absent_until FROM upstream_revocations
			WHERE authority = $1 AND (not_after IS NULL OR not_after > $2) AND `+q.where+` ORDER BY asked_at DESC LIMIT $3`,
			[]any{authority, now.UnixMilli(), q.limit}, func(rows *sql.Rows) error {
				v, err := scanUpstreamListing(rows)
				all = append(all, v)
				return err
			})
		if err != nil {
			return nil, fmt.Errorf("reading what %s must revoke: %w", authority, err)
		}
	}
	return all, nil
}

func scanUpstreamListing(rows *sql.Rows) (v enroll.UpstreamListing, err error) {
	var serial string
	var done, listed, update, absent, until sql.NullInt64
	err = rows.Scan(&serial, &v.Authority, &v.DER, &v.Points, &done, &v.DoneBy, &listed, &v.Listed.In, &v.Listed.Number, &update, &v.Listed.Online, &absent, &until)
	if err != nil {
		return v, err
	}
	v.Done, v.Listed.At, v.Listed.Update = sqldb.TimeOf(done), sqldb.TimeOf(listed), sqldb.TimeOf(update)
	v.Absent, v.Until = sqldb.TimeOf(absent), sqldb.TimeOf(until)
	v.Serial, err = serialOf(serial)
	return v, err
}

// CertificateOf gives the certificate with a serial of a CA.
func (db Enrolments) CertificateOf(ctx context.Context, authority string, serial ca.Serial) ([]byte, error) {
	var der []byte
	err := db.One(ctx, "SELECT der FROM certificates WHERE serial = $1 AND authority = $2 AND der IS NOT NULL", []any{serial.String(), authority}, &der)
	if err != nil {
		return nil, fmt.Errorf("reading certificate %s: %w", serial, err)
	}
	return der, nil
}

// RecordUpstreamLists records the lists of a CA, and that they were looked at.
func (db Enrolments) RecordUpstreamLists(ctx context.Context, authority string, now time.Time, lists []enroll.UpstreamList) error {
	return db.write(ctx, "recording the lists of "+authority, func(ctx context.Context, t *tx) error {
		for _, l := range lists {
			_, err := t.Exec(ctx, `INSERT INTO upstream_lists (authority, address, number, delta, this_update, next_update, size, checked_at,
				failing_since, problem, needed, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
				ON CONFLICT (authority, address) DO UPDATE SET number = excluded.number, delta = excluded.delta, this_update = excluded.this_update,
				next_update = excluded.next_update, size = excluded.size, checked_at = excluded.checked_at, failing_since = excluded.failing_since,
				problem = excluded.problem, needed = excluded.needed, detail = excluded.detail`,
				authority, sqldb.Cleaned(l.Address), l.Number, l.Delta, sqldb.Moment(l.ThisUpdate), sqldb.Moment(l.NextUpdate), l.Size, l.Checked.UnixMilli(),
				sqldb.Moment(l.Failing), l.Problem, l.Needed, sqldb.Cleaned(l.Detail))
			if err != nil {
				return err
			}
		}
		if _, err := t.Exec(ctx, "DELETE FROM upstream_lists WHERE authority = $1 AND checked_at < $2", authority, now.Add(-forgetLists).UnixMilli()); err != nil {
			return err
		}
		_, err := t.Exec(ctx, "UPDATE upstream_watches SET looked_at = $2, taken_until = 0 WHERE authority = $1", authority, now.UnixMilli())
		return err
	})
}

// NoteUpstreamListings records what lists say about certificates, and settles revocations
// that the CA did not confirm otherwise.
func (db Enrolments) NoteUpstreamListings(ctx context.Context, listings []enroll.UpstreamListing) error {
	return db.writeWithin(ctx, workWithin, "recording what lists say", func(ctx context.Context, t *tx) error {
		var settled []record
		for _, v := range listings {
			_, err := t.Exec(ctx, `UPDATE upstream_revocations SET points = $3, listed_at = $4, listed_in = $5, listed_number = $6, listed_update = $7,
				listed_online = $8, absent_update = $9, absent_until = $10 WHERE serial = $1 AND authority = $2`,
				v.Serial.String(), v.Authority, v.Points, sqldb.Moment(v.Listed.At), sqldb.Cleaned(v.Listed.In), v.Listed.Number, sqldb.Moment(v.Listed.Update),
				v.Listed.Online, sqldb.Moment(v.Absent), sqldb.Moment(v.Until))
			if err != nil {
				return err
			}
			if v.Reopen {
				again, err := upstreamTx{t}.reopen(ctx, v)
				if err != nil {
					return err
				}
				settled = append(settled, again...)
			}
			if !v.Settle {
				continue
			}
			touched, err := t.Exec(ctx, `UPDATE upstream_revocations SET done_at = $3, done_by = $4, next_at = NULL, detail = ''
				WHERE serial = $1 AND authority = $2 AND done_at IS NULL`, v.Serial.String(), v.Authority, sqldb.Moment(v.Done), enroll.ByCA)
			if err != nil {
				return err
			}
			if touched == 1 {
				settled = append(settled, records(v.Entry)...)
			}
		}
		if len(settled) == 0 {
			return nil
		}
		return t.appendRecords(ctx, settled...)
	})
}

// reopen has the host of a CA revoke a certificate again, unless that was reported anew.
func (t upstreamTx) reopen(ctx context.Context, v enroll.UpstreamListing) ([]record, error) {
	touched, err := t.Exec(ctx, `UPDATE upstream_revocations SET done_at = NULL, done_by = '', detail = $4
		WHERE serial = $1 AND authority = $2 AND done_at = $3 AND done_by = $5`,
		v.Serial.String(), v.Authority, v.Done.UnixMilli(), v.Entry.Detail["answer"], enroll.ByRevoker)
	if err != nil || touched == 0 {
		return nil, err
	}
	return records(v.Entry), nil
}

// UpstreamLists gives the state of the lists of all CAs elsewhere.
func (db Enrolments) UpstreamLists(ctx context.Context) ([]enroll.UpstreamList, error) {
	return db.upstreamLists(ctx, "")
}

func (db Enrolments) upstreamLists(ctx context.Context, where string, args ...any) ([]enroll.UpstreamList, error) {
	var all []enroll.UpstreamList
	err := db.All(ctx, `SELECT authority, address, number, delta, this_update, next_update, size, checked_at, failing_since, problem, needed, detail
		FROM upstream_lists `+where+` ORDER BY authority, delta, address`, args, func(rows *sql.Rows) error {
		var l enroll.UpstreamList
		var this, next, checked, failing sql.NullInt64
		err := rows.Scan(&l.Authority, &l.Address, &l.Number, &l.Delta, &this, &next, &l.Size, &checked, &failing, &l.Problem, &l.Needed, &l.Detail)
		l.ThisUpdate, l.NextUpdate, l.Checked, l.Failing = sqldb.TimeOf(this), sqldb.TimeOf(next), sqldb.TimeOf(checked), sqldb.TimeOf(failing)
		all = append(all, l)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading lists of other CAs: %w", err)
	}
	return all, nil
}
