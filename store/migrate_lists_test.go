package store_test

import (
	"crypto/sha256"
	"database/sql"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/test/testkit"
)

// fillNinthSchema writes revocations with the number of the CRL each was listed in,
// or none. It returns their serials.
func fillNinthSchema(t *testing.T, db *sql.DB, listedIn map[string]any) map[string]ca.Serial {
	t.Helper()
	do := func(query string, args ...any) {
		t.Helper()
		if _, err := db.Exec(query, args...); err != nil {
			t.Fatal(err)
		}
	}
	serials := make(map[string]ca.Serial)
	do("INSERT INTO people (id, changes) VALUES ('anna', 1)")
	do("INSERT INTO devices (id, person, name, name_key, platform, created_at) VALUES ('d', 'anna', 'd', 'd', 'ios', 1)")
	for name, number := range listedIn {
		serials[name] = testkit.Must(ca.NewSerial(nil))(t)
		key := sha256.Sum256([]byte(name))
		do(`INSERT INTO certificates (serial, issuer, kind, profile, status, person, device_id, upn, sid, mail, key_hash,
			not_before, not_after, requested_at, revoked_at, cause, reason_code, listed_in)
			VALUES ($1, 'issuing', 'user', 'User', 'revoked', 'anna', 'd', '', '', '', $2, $3, $4, $3, $5, 'lost', 1, $6)`,
			serials[name].String(), key[:], testkit.Noon.Add(-time.Hour).UnixMilli(), testkit.Noon.Add(365*24*time.Hour).UnixMilli(), testkit.Noon.UnixMilli(), number)
	}
	for number := range int64(4) {
		this := testkit.Noon.Add(time.Duration(number) * time.Hour)
		do("INSERT INTO crls (issuer, number, this_update, next_update, entries) VALUES ('issuing', $1, $2, $3, 0)",
			10+number, this.UnixMilli(), this.Add(life).UnixMilli())
	}
	do("INSERT INTO crls (issuer, number, this_update, next_update, entries, der) VALUES ('root', 11, 1, 2, 0, $1)", []byte("root"))
	do("UPDATE crls SET der = $1 WHERE issuer = 'issuing' AND number = 13", []byte("newest"))
	do("INSERT INTO crl_numbers (issuer, number) VALUES ('issuing', 13)")
	return serials
}

// Which CRL named a certificate is still known for CRLs from before revocations had
// numbers, and revocations that were in none are in the next.
func TestF18_OldListsKeepTheirReach(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			ctx := t.Context()
			address := engine.empty(t)
			plain := connect(t, engine.driver, address)
			steps := tenSteps(t, engine.dialect, plain)
			testkit.Must(steps.UpTo(ctx, 9))(t)
			serials := fillNinthSchema(t, plain, map[string]any{"a": 11, "b": 11, "c": 13, "unlisted": nil})
			testkit.Must(steps.Up(ctx))(t)
			db := &database{DB: opened(t, address), plain: plain, address: address, dialect: engine.dialect}
			for name, want := range map[string]int64{"a": 11, "b": 11, "c": 13, "unlisted": 0} {
				d := testkit.Must(db.CertificateDetail(ctx, serials[name], testkit.Noon))(t)
				testkit.Equal(t, name+": listed in", d.ListedIn, want)
				lacking := map[int64]time.Duration{11: 0, 13: 2, 0: 3}[want] * time.Hour
				testkit.Equal(t, name+": lists without it", d.ListsUntil, testkit.Noon.Add(lacking+life))
				if want > 0 {
					testkit.Equal(t, name+": listed at", d.ListedAt, testkit.Noon.Add(time.Duration(want-10)*time.Hour+5*time.Minute))
				}
			}
			newest := latest(t, db, false, 0)
			testkit.Equal(t, "newest", newest.Number, 13)
			sameBytes(t, "DER", newest.DER, []byte("newest"))
			testkit.Equal(t, "unlisted", testkit.Must(db.Unlisted(ctx, "issuing", false))(t), true)
			added := revokedBetween(t, db, newest.Through, testkit.Must(db.Head(ctx))(t).Seq, testkit.Noon)
			testkit.Equal(t, "for a delta list", len(added), 1)
			testkit.Equal(t, "serial", added[0].Serial, serials["unlisted"])
			testkit.Equal(t, "root's list", testkit.Must(db.Unlisted(ctx, "root", false))(t), false)
			_, revoked := publish(t, db, testkit.Noon.Add(4*time.Hour))
			testkit.Equal(t, "in the next", len(revoked), 4)
			testkit.Equal(t, "listed then", testkit.Must(db.Unlisted(ctx, "issuing", false))(t), false)
		})
	}
}
