package store_test

import (
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/drift"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// fillFirstSchema writes, in the first of the ten steps, what a portal in use has:
// certificates in every status, a pickup, a session, an account, a CRL, and an audit
// log whose chain must hold.
func fillFirstSchema(t *testing.T, db *sql.DB, all map[portal.Status]fixture.Enrolment) []audit.Entry {
	t.Helper()
	do := func(query string, args ...any) {
		t.Helper()
		if _, err := db.Exec(query, args...); err != nil {
			t.Fatal(err)
		}
	}
	do("INSERT INTO people (id, changes) VALUES ('anna', 7)")
	var head audit.Head
	var log []audit.Entry
	for status, e := range all {
		r := e.Reservation
		do(`INSERT INTO devices (id, person, name, name_key, platform, created_at) VALUES ($1, 'anna', $2, $2, 'ios', $3)`,
			string(r.Device.ID), r.Device.Name, testkit.Noon.UnixMilli())
		do(`INSERT INTO certificates (serial, issuer, kind, profile, status, person, device_id, upn, sid, mail, key_hash,
			not_before, not_after, requested_at) VALUES ($1, 'issuing', 'user', 'User', 'pending', 'anna', $2, $3, $4, $5, $6, $7, $8, $9)`,
			r.Serial.String(), string(r.Device.ID), r.Subject.UPN, r.Subject.SID, r.Subject.Mail, r.PublicKey[:],
			r.NotBefore.UnixMilli(), r.NotAfter.UnixMilli(), testkit.Noon.UnixMilli())
		switch status {
		case portal.Issued, portal.Superseded:
			do("UPDATE certificates SET status = $2, der = $3 WHERE serial = $1", r.Serial.String(), string(status), e.Completion.Certificate.Raw)
			do(`INSERT INTO pickups (token_hash, serial, sealed_key, expires_at, password_until, claims, reads)
				VALUES ($1, $2, $3, $4, $4, 0, 0)`, e.TokenHash[:], r.Serial.String(), []byte("sealed"), testkit.Noon.UnixMilli())
		case portal.Revoked:
			do(`UPDATE certificates SET status = 'revoked', revoked_at = $2, cause = 'removed', reason_code = 5, listed_in = 7
				WHERE serial = $1`, r.Serial.String(), testkit.Noon.UnixMilli())
		}
		var next audit.Entry
		next, head = head.Append(fixture.NewEntry(testkit.Noon, audit.CertificateReserved, anna))
		log = append(log, next)
		detail, err := json.Marshal(next.Detail)
		if err != nil {
			t.Fatal(err)
		}
		do(`INSERT INTO ledger (seq, at, action, actor, role, person, object, address, request, detail, prev, hash)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`, next.Seq, next.At.UnixMilli(), string(next.Action),
			next.Actor, next.Role, next.Person, next.Object, next.Address, next.Request, string(detail), next.Prev[:], next.Hash[:])
	}
	do("UPDATE ledger_head SET seq = $1, hash = $2 WHERE id = 1", head.Seq, head.Hash[:])
	do("INSERT INTO crl_numbers (issuer, number) VALUES ('issuing', 7)")
	do("INSERT INTO crls (issuer, number, this_update, next_update, entries, der) VALUES ('issuing', 7, 1, 2, 1, $1)", []byte("list"))
	session := sha256.Sum256([]byte{1})
	do(`INSERT INTO sessions (id_hash, person, data, idle, touched_at, expires_at, ended) VALUES ($1, 'anna', $2, $3, $4, $5, $6)`,
		session[:], []byte("sealed"), idle.Milliseconds(), testkit.Noon.UnixMilli(), testkit.Noon.Add(absolute).UnixMilli(), false)
	return log
}

// A database that began with the first step keeps all its records, and the drift
// watch finds its holders in it.
func TestF18_AFilledDatabaseOfTheFirstSchemaIsMigrated(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			ctx := t.Context()
			address := engine.empty(t)
			plain := connect(t, engine.driver, address)
			steps := tenSteps(t, engine.dialect, plain)
			testkit.Must(steps.UpTo(ctx, 1))(t)
			all := map[portal.Status]fixture.Enrolment{
				portal.Pending: fixture.NewEnrolment(t, anna, "pending"), portal.Issued: fixture.NewEnrolment(t, anna, "issued"),
				portal.Superseded: fixture.NewEnrolment(t, anna, "superseded"), portal.Revoked: fixture.NewEnrolment(t, anna, "revoked"),
			}
			written := fillFirstSchema(t, plain, all)
			testkit.Must(steps.Up(ctx))(t)
			db := &database{DB: opened(t, address), plain: plain, address: address, dialect: engine.dialect}

			testkit.Equal(t, "entries", len(fixture.Entries(t, db)), len(written))
			for status, e := range all {
				c := testkit.Must(db.Certificate(ctx, e.Serial()))(t)
				testkit.Equal(t, "status", c.Status, status)
				testkit.Equal(t, "mark", c.Changed, "")
				testkit.Equal(t, "upn", c.UPN, "anna@corp.example")
			}
			if _, err := db.Session(ctx, sha256.Sum256([]byte{1}), testkit.Noon); err != nil {
				t.Errorf("session: %v", err)
			}
			list, found, err := db.Latest(ctx, "issuing", false, 0)
			if err != nil || !found || list.Number != 7 {
				t.Errorf("list: got %d, %v, %v, want number 7", list.Number, found, err)
			}
			if _, err := plain.Exec("UPDATE certificates SET status = 'issued', revoked_at = NULL, cause = NULL, reason_code = NULL"); err == nil {
				t.Error("revocation can be undone after the migration")
			}

			holders := testkit.Must(db.Holders(ctx, testkit.Noon, "", 10))(t)
			testkit.Equal(t, "holders", len(holders), 1)
			testkit.Equal(t, "working certificates", len(holders[0].Certificates), 2)
			testkit.Equal(t, "state", testkit.Must(db.DriftState(ctx))(t), drift.State{Source: "builtin"})
			updateMismatches(t, db, mismatchUpdate(testkit.Noon, changes(portal.AccountGone), all[portal.Issued], all[portal.Superseded]), 2, 0)
			revokeLeaver(t, db, leaverAt(testkit.Noon.Add(time.Hour)), 3)
			testkit.Equal(t, "entries after", len(fixture.Entries(t, db)), len(written)+2+3)
		})
	}
}
