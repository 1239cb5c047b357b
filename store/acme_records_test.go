package store_test

import (
	"errors"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/autotls"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// TestACMERecord goes through the orders of two replicas.
func TestACMERecord(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx, now := t.Context(), testkit.Noon
		lease := func(holder string, at time.Time) error {
			return db.LeaseACME(ctx, "id", holder, at, at.Add(6*time.Minute))
		}
		record := func() autotls.Record { return testkit.Must(db.ACMERecord(ctx, "id"))(t) }
		testkit.Equal(t, "before the first order", record().Tries, 0)
		testkit.NoError(t, lease("a", now))
		wantError(t, "while another replica orders", lease("b", now.Add(time.Minute)), autotls.ErrBusy)
		wantError(t, "again", lease("a", now.Add(time.Minute)), autotls.ErrBusy)
		testkit.NoError(t, lease("b", now.Add(6*time.Minute))) // a was killed

		failed := autotls.Failure{Since: now, Text: "server\x00 away", Tries: 3, Again: now.Add(time.Hour)}
		testkit.NoError(t, db.FailACME(ctx, "id", "a", autotls.Failure{Text: "late"}))
		testkit.Equal(t, "a failure of the former holder", record().Text, "")
		testkit.NoError(t, db.FailACME(ctx, "id", "b", failed))
		failed.Text = "server\uFFFD away"
		testkit.Equal(t, "failure", record().Failure, failed)
		wantError(t, "too early", lease("a", now.Add(59*time.Minute)), autotls.ErrBusy)
		testkit.NoError(t, lease("a", now.Add(time.Hour)))

		entry := fixture.NewEntry(now, audit.TLSOrdered, "")
		wantError(t, "without the lease", db.KeepACME(ctx, "id", "b", autotls.Sealed{Chain: []byte("x"), Key: []byte("y")}, entry), portal.ErrConflict)
		testkit.NoError(t, db.KeepACME(ctx, "id", "a", autotls.Sealed{Chain: []byte("chain"), Key: []byte("key")}, entry))
		got := record()
		testkit.Equal(t, "certificate", string(got.Chain)+string(got.Key), "chainkey")
		testkit.Equal(t, "failure afterwards", got.Failure, autotls.Failure{})
		testkit.Equal(t, "audit log", actions(fixture.Entries(t, db)), "[tls.ordered]")
		testkit.NoError(t, lease("b", now.Add(time.Hour)))
		testkit.Equal(t, "other settings", testkit.Must(db.ACMERecord(ctx, "other"))(t).Chain == nil, true)
	})
}

// TestACMEClocks: a lease and a pause from a clock a year ahead do not last a year.
func TestACMEClocks(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx, now := t.Context(), testkit.Noon
		ahead := now.AddDate(1, 0, 0)
		testkit.NoError(t, db.LeaseACME(ctx, "id", "a", ahead, ahead.Add(6*time.Minute)))
		testkit.NoError(t, db.LeaseACME(ctx, "id", "b", now, now.Add(6*time.Minute)))
		testkit.NoError(t, db.FailACME(ctx, "id", "b", autotls.Failure{Since: ahead, Text: "x", Tries: 1, Again: ahead}))
		testkit.NoError(t, db.LeaseACME(ctx, "id", "a", now, now.Add(6*time.Minute)))
	})
}

// TestHTTPChallenge: who can write rows must not get a certificate for the portal's name.
func TestHTTPChallenge(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx, now := t.Context(), testkit.Noon
		ends := now.Add(5 * time.Minute)
		testkit.NoError(t, db.AddHTTPChallenge(ctx, "token", "token.thumb", ends))
		testkit.NoError(t, db.AddHTTPChallenge(ctx, "token", "token.print", ends))
		testkit.Equal(t, "answer", testkit.Must(db.HTTPChallenge(ctx, "token", now))(t), "token.print")
		for what, token := range map[string]string{"unknown": "other", "empty": "", "no token": "a/b", "unstorable": "a\x00", "long": string(make([]byte, 300))} {
			_, err := db.HTTPChallenge(ctx, token, now)
			wantError(t, what, err, portal.ErrNotFound)
		}
		_, err := db.HTTPChallenge(ctx, "token", ends)
		wantError(t, "expired", err, portal.ErrNotFound)

		for what, change := range map[string]string{
			"planted": "INSERT INTO acme_challenges SELECT 'planted', 'planted.thumb', expires_at, mac FROM acme_challenges WHERE token = 'token'",
			"changed": "UPDATE acme_challenges SET answer = 'token.attacker' WHERE token = 'token'",
		} {
			if _, err := db.plain.Exec(change); err != nil {
				t.Fatal(err)
			}
			token := map[string]string{"planted": "planted", "changed": "token"}[what]
			if answer, err := db.HTTPChallenge(ctx, token, now); !errors.Is(err, portal.ErrNotFound) {
				t.Errorf("%s: got %q, %v", what, answer, err)
			}
		}
		testkit.NoError(t, db.EndHTTPChallenge(ctx, "token"))
		testkit.NoError(t, db.AddHTTPChallenge(ctx, "later", "later.x", ends.Add(2*time.Hour)))
		var left int
		if err := db.plain.QueryRow("SELECT count(*) FROM acme_challenges").Scan(&left); err != nil || left != 1 {
			t.Errorf("%d rows are left (%v), want 1", left, err)
		}
	})
}
