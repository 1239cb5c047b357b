package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// Nobody undoes a revocation with the database itself, short of taking its locks off.
func TestA12_RevocationIsNotUndoneInTheDatabase(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		e, pending := issue(t, db, request(t, anna, "iPhone")), reserve(t, db, request(t, anna, "iPad"))
		revoke(t, db, portal.Lost, noon, e.serial())
		revoke(t, db, portal.Abandoned, noon, pending.serial())
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
		equal(t, "status", status(t, db, e.serial()), ocsp.Status{State: ocsp.Revoked, At: noon, Reason: 1})
		_, revoked := publish(t, db, noon)
		equal(t, "in the list", len(revoked), 2)
	})
}

// Who takes the locks off is found out: the ledger tells what lists must name.
func TestA12_RemovedRevocationsDoNotFitTheLedger(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		lost, gone := issue(t, db, request(t, anna, "iPhone")), issue(t, db, request(t, anna, "iPad"))
		revoke(t, db, portal.Lost, noon, lost.serial())
		revoke(t, db, portal.Lost, noon, gone.serial())
		replay(t, db, []crl.Record{{Issuer: "issuing", Serial: request(t, anna, "unknown").serial(), Revoked: noon}}, noon)
		mismatches := func() string {
			t.Helper()
			var all []string
			for _, b := range must[[]*audit.Break](t)(db.Mismatches(t.Context(), 10)) {
				all = append(all, fmt.Sprint(b.Seq, " ", b.Object))
			}
			return fmt.Sprint(all)
		}
		equal(t, "before", mismatches(), "[]")
		off := []string{"DROP TRIGGER revocations_are_append_only ON revocations"}
		if db.dialect == goose.DialectSQLite3 {
			off = []string{"DROP TRIGGER revocations_are_not_rewritten", "DROP TRIGGER revocations_are_not_removed"}
		}
		for _, statement := range append(off, "DELETE FROM revocations WHERE serial = '"+lost.serial().String()+"'",
			"UPDATE revocations SET serial = '01' WHERE serial = '"+gone.serial().String()+"'") {
			if _, err := db.plain.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		equal(t, "after", mismatches(), fmt.Sprintf("[5 %s 6 %s 6 01]", lost.serial(), gone.serial()))
	})
}

// A list goes on naming a certificate for one life of a list after its end, so that
// each names it that was made before somebody could know that it ended.
func TestA12_RevokedStayListedUntilAfterTheirEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		e := issue(t, db, request(t, anna, "iPhone"))
		revoke(t, db, portal.Removed, noon, e.serial())
		end := e.reservation.NotAfter
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
			equal(t, c.name, len(revoked), c.want)
		}
		equal(t, "online", status(t, db, e.serial()).State, ocsp.Revoked)
	})
}

func TestTruthOfARevocation(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		e := issue(t, db, request(t, anna, "iPhone"))
		first, _ := publish(t, db, noon)
		at := noon.Add(time.Hour)
		by := entry("", "admin")
		by.Actor, by.Role, by.Detail = "ada", "admin", map[string]string{"comment": "found on a train"}
		if _, err := db.Revoke(ctx, enroll.Revocation{BlockDevice: e.device(), Cause: portal.Lost, At: at, Entry: by}); err != nil {
			t.Fatal(err)
		}
		detail := func() admin.CertificateDetail {
			t.Helper()
			return must[admin.CertificateDetail](t)(db.CertificateDetail(ctx, e.serial(), at))
		}
		d := detail()
		equal(t, "by", d.RevokedBy, "ada")
		equal(t, "role", d.RevokedRole, "admin")
		equal(t, "why", d.Comment, "found on a train")
		equal(t, "reason", d.Reason, 1)
		equal(t, "in no list yet", d.ListedIn, 0)
		equal(t, "lists without it", d.ListsUntil, first.NextUpdate)
		equal(t, "listed on the device", newest(t, db, e).Listed, 0)

		turn := take(t, db, "a", at)
		delta := deltaOf(turn, first, at)
		if err := db.Publish(ctx, turn, delta); err != nil {
			t.Fatal(err)
		}
		second, _ := publish(t, db, at.Add(time.Hour))
		for _, when := range []string{"after the next", "after a second one"} {
			d = detail()
			equal(t, when+": listed in", d.ListedIn, delta.Number)
			equal(t, when+": listed at", d.ListedAt, delta.Published)
			equal(t, when+": lists without it", d.ListsUntil, first.NextUpdate)
			c := newest(t, db, e)
			equal(t, when+": on the device", c.Listed, delta.Number)
			equal(t, when+": until", c.ListsUntil, first.NextUpdate)
			publish(t, db, second.ThisUpdate.Add(2*time.Hour))
		}
		standing := issue(t, db, request(t, anna, "iPad"))
		equal(t, "of one that stands", newest(t, db, standing).ListsUntil, time.Time{})

		// What is revoked when it has long run out is named by no list.
		late := standing.reservation.NotAfter.Add(30 * 24 * time.Hour)
		revoke(t, db, portal.Removed, late, standing.serial())
		publish(t, db, late)
		equal(t, "long after its end", must[admin.CertificateDetail](t)(db.CertificateDetail(ctx, standing.serial(), late)).ListedIn, 0)
	})
}

// A shorter life of lists does not shorten that of those that are out already.
func TestListsUntilTheLongest(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		e := issue(t, db, request(t, anna, "iPhone"))
		long, _ := publish(t, db, noon)
		turn := take(t, db, "a", noon.Add(time.Hour))
		short := listOf(turn, noon.Add(time.Hour))
		short.NextUpdate = noon.Add(2 * time.Hour)
		if err := db.Publish(t.Context(), turn, short); err != nil {
			t.Fatal(err)
		}
		revoke(t, db, portal.Lost, noon.Add(time.Hour), e.serial())
		equal(t, "until", newest(t, db, e).ListsUntil, long.NextUpdate)
	})
}
