package store_test

import (
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/internal/admin"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
)

// A revocation cannot be undone with SQL, unless the triggers are removed.
func TestA12_RevocationIsNotUndoneInTheDatabase(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		e, pending := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db), fixture.NewEnrolment(t, anna, "iPad").Reserve(t, db)
		revoke(t, db, portal.Lost, testkit.Noon, e.Serial())
		revoke(t, db, portal.Abandoned, testkit.Noon, pending.Serial())
		attempts := []string{
			"DELETE FROM certificates WHERE status = 'revoked'",
			"DELETE FROM certificates",
			"UPDATE certificates SET status = 'issued', revoked_at = NULL, cause = NULL, reason_code = NULL WHERE der IS NOT NULL",
			"UPDATE certificates SET status = 'pending', revoked_at = NULL, cause = NULL, reason_code = NULL WHERE der IS NULL",
			"DELETE FROM revocations",
			"UPDATE revocations SET serial = '01'",
			"UPDATE revocations SET not_after = 0",
			"UPDATE revocations SET seq = seq + 1000",
		}
		if db.dialect == goose.DialectPostgres {
			attempts = append(attempts, "TRUNCATE revocations", "TRUNCATE certificates CASCADE")
		}
		for _, attempt := range attempts {
			if _, err := db.plain.Exec(attempt); err == nil {
				t.Errorf("%s: was carried out", attempt)
			}
		}
		testkit.Equal(t, "status", status(t, db, e.Serial()), ocsp.Status{State: ocsp.Revoked, At: testkit.Noon, Reason: 1})
		_, revoked := publish(t, db, testkit.Noon)
		testkit.Equal(t, "in the list", len(revoked), 2)
	})
}

// A change made without the triggers is found: the audit log says what CRLs must
// name.
func TestA12_RemovedRevocationsDoNotFitTheAuditLog(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		lost, gone := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db), fixture.NewEnrolment(t, anna, "iPad").Issue(t, db)
		revoke(t, db, portal.Lost, testkit.Noon, lost.Serial())
		revoke(t, db, portal.Lost, testkit.Noon, gone.Serial())
		replay(t, db, []crl.Record{{Issuer: "issuing", Serial: fixture.NewEnrolment(t, anna, "unknown").Serial(), Revoked: testkit.Noon}}, testkit.Noon)
		mismatches := func() string {
			t.Helper()
			var all []string
			for _, b := range testkit.Must(db.Mismatches(t.Context(), 10))(t) {
				all = append(all, fmt.Sprint(b.Seq, " ", b.Object))
			}
			return fmt.Sprint(all)
		}
		testkit.Equal(t, "before", mismatches(), "[]")
		off := []string{"DROP TRIGGER revocations_are_append_only ON revocations"}
		if db.dialect == goose.DialectSQLite3 {
			off = []string{"DROP TRIGGER revocations_are_not_rewritten", "DROP TRIGGER revocations_are_not_removed"}
		}
		for _, statement := range append(off, "DELETE FROM revocations WHERE serial = '"+lost.Serial().String()+"'",
			"UPDATE revocations SET serial = '01' WHERE serial = '"+gone.Serial().String()+"'") {
			if _, err := db.plain.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		testkit.Equal(t, "after", mismatches(), fmt.Sprintf("[5 %s 6 %s 6 01]", lost.Serial(), gone.Serial()))
	})
}

// TestF11_RevocationOfAnotherCA gives a revocation to another CA: it would leave the list of the
// CA that signed the certificate.
func TestF11_RevocationOfAnotherCA(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		moved, root, held := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db), fixture.NewEnrolment(t, anna, "iPad").Issue(t, db), fixture.NewEnrolment(t, anna, "Mac").Issue(t, db)
		for _, e := range []fixture.Enrolment{moved, root, held} {
			revoke(t, db, portal.Lost, testkit.Noon, e.Serial())
		}
		mismatches := func() (all []string) {
			t.Helper()
			for _, b := range testkit.Must(db.Mismatches(t.Context(), 10))(t) {
				all = append(all, b.Object)
			}
			return all
		}
		damaged := func() []string {
			t.Helper()
			return testkit.Must(db.Damaged(t.Context(), store.Checks{
				Signed: func(string, *x509.Certificate) bool { return true }, List: func(crl.List) error { return nil },
			}, 10))(t).Damaged
		}
		testkit.Equal(t, "before", fmt.Sprint(mismatches(), damaged()), "[] []")
		off := "DROP TRIGGER revocations_are_append_only ON revocations"
		if db.dialect == goose.DialectSQLite3 {
			off = "DROP TRIGGER revocations_are_not_rewritten"
		}
		for _, statement := range []string{
			off,
			"UPDATE revocations SET authority = 'issuing-2' WHERE serial = '" + moved.Serial().String() + "'",
			"UPDATE revocations SET issuer = 'root' WHERE serial = '" + root.Serial().String() + "'",
			"UPDATE revocations SET reason_code = 6 WHERE serial = '" + held.Serial().String() + "'",
		} {
			testkit.Must(db.plain.Exec(statement))(t)
		}
		testkit.Equal(t, "other CAs", fmt.Sprint(mismatches()), fmt.Sprint([]string{moved.Serial().String(), root.Serial().String()}))
		testkit.Equal(t, "on hold", fmt.Sprint(damaged()), "[certificate "+held.Serial().String()+": its row and its entry for CRLs say different things]")
	})
}

// A CRL names a certificate for one CRL lifetime after its end (RFC 5280 section
// 3.3), so that every CRL built before its expiry names it.
func TestA12_RevokedStayListedUntilAfterTheirEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		revoke(t, db, portal.Removed, testkit.Noon, e.Serial())
		end := e.Reservation.NotAfter
		for _, c := range []struct {
			name string
			at   time.Time
			want int
		}{
			{"before the end", end.Add(-time.Hour), 1},
			{"at the end", end, 1},
			{"just before a life is over", end.Add(life - time.Millisecond), 1},
			{"when a life is over", end.Add(life), 0},
		} {
			_, revoked := publish(t, db, c.at)
			testkit.Equal(t, c.name, len(revoked), c.want)
		}
		testkit.Equal(t, "online", status(t, db, e.Serial()).State, ocsp.Revoked)
	})
}

func TestTruthOfARevocation(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		first, _ := publish(t, db, testkit.Noon)
		at := testkit.Noon.Add(time.Hour)
		by := fixture.NewEntry(testkit.Noon, "", "admin")
		by.Actor, by.Role, by.Detail = "ada", "admin", map[string]string{"comment": "found on a train"}
		if _, err := db.Revoke(ctx, enroll.Revocation{BlockDevice: e.Device(), Cause: portal.Lost, At: at, Entry: by}); err != nil {
			t.Fatal(err)
		}
		detail := func() admin.CertificateDetail {
			t.Helper()
			return testkit.Must(db.CertificateDetail(ctx, e.Serial(), at))(t)
		}
		d := detail()
		testkit.Equal(t, "by", d.RevokedBy, "ada")
		testkit.Equal(t, "role", d.RevokedRole, "admin")
		testkit.Equal(t, "why", d.Comment, "found on a train")
		testkit.Equal(t, "reason", d.Reason, 1)
		testkit.Equal(t, "in no list yet", d.ListedIn, 0)
		testkit.Equal(t, "lists without it", d.ListsUntil, first.NextUpdate)
		testkit.Equal(t, "listed on the device", newest(t, db, e).Listed, 0)

		turn := take(t, db, "a", at)
		delta := deltaOf(turn, first, at)
		if err := db.Publish(ctx, turn, delta); err != nil {
			t.Fatal(err)
		}
		second, _ := publish(t, db, at.Add(time.Hour))
		for _, when := range []string{"after the next", "after a second one"} {
			d = detail()
			testkit.Equal(t, when+": listed in", d.ListedIn, delta.Number)
			testkit.Equal(t, when+": listed at", d.ListedAt, delta.Published)
			testkit.Equal(t, when+": lists without it", d.ListsUntil, first.NextUpdate)
			c := newest(t, db, e)
			testkit.Equal(t, when+": on the device", c.Listed, delta.Number)
			testkit.Equal(t, when+": until", c.ListsUntil, first.NextUpdate)
			publish(t, db, second.ThisUpdate.Add(2*time.Hour))
		}
		standing := fixture.NewEnrolment(t, anna, "iPad").Issue(t, db)
		testkit.Equal(t, "of one that stands", newest(t, db, standing).ListsUntil, time.Time{})

		// A certificate revoked long after its end is in no CRL.
		late := standing.Reservation.NotAfter.Add(30 * 24 * time.Hour)
		revoke(t, db, portal.Removed, late, standing.Serial())
		publish(t, db, late)
		testkit.Equal(t, "long after its end", testkit.Must(db.CertificateDetail(ctx, standing.Serial(), late))(t).ListedIn, 0)
	})
}

// A shorter CRL lifetime does not shorten that of published CRLs.
func TestListsUntilTheLongest(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		long, _ := publish(t, db, testkit.Noon)
		turn := take(t, db, "a", testkit.Noon.Add(time.Hour))
		short := listOf(turn, testkit.Noon.Add(time.Hour))
		short.NextUpdate = testkit.Noon.Add(2 * time.Hour)
		if err := db.Publish(t.Context(), turn, short); err != nil {
			t.Fatal(err)
		}
		revoke(t, db, portal.Lost, testkit.Noon.Add(time.Hour), e.Serial())
		testkit.Equal(t, "until", newest(t, db, e).ListsUntil, long.NextUpdate)
	})
}
