package store_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"certportal/ca/ocsp"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/succession"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

func authorityRecord(name string, state succession.State) succession.Record {
	r := succession.Record{
		Name: name, Fingerprint: sha256.Sum256([]byte(name)), State: state,
		NotAfter: testkit.Noon.AddDate(5, 0, 0), Added: testkit.Noon,
	}
	if state == succession.Active {
		r.Activated = testkit.Noon
	}
	return r
}

func states(t *testing.T, db *database) string {
	t.Helper()
	text := ""
	for _, r := range testkit.Must(db.Authorities(t.Context()))(t) {
		text += fmt.Sprintf("%s %s; ", r.Name, r.State)
	}
	return text
}

// One authority is active at any moment, and each state leads only where it may.
func TestSuccessionOfAuthorities(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		entry := func(action audit.Action, name string) audit.Entry {
			e := fixture.NewEntry(testkit.Noon, action, "")
			e.Object = name
			return e
		}
		add := func(r succession.Record) error { return db.AddAuthority(ctx, r, entry(audit.CAAdded, r.Name)) }
		testkit.NoError(t, add(authorityRecord("issuing", succession.Active)))
		testkit.NoError(t, add(authorityRecord("issuing", succession.Active))) // on the next start
		for n := 2; n <= 10; n++ {
			testkit.NoError(t, add(authorityRecord(fmt.Sprint("issuing-", n), succession.Pending)))
		}
		wantError(t, "a second active one", add(authorityRecord("issuing-11", succession.Active)), succession.ErrState)
		other := authorityRecord("issuing-2", succession.Pending)
		other.Fingerprint[0]++
		wantError(t, "another certificate", add(other), succession.ErrOther)
		all := testkit.Must(db.Authorities(ctx))(t)
		testkit.Equal(t, "last by number", all[9].Name, "issuing-10")

		at := testkit.Noon.Add(time.Hour)
		testkit.NoError(t, db.ScheduleAuthority(ctx, "issuing-2", at, entry(audit.CAScheduled, "issuing-2")))
		testkit.Equal(t, "planned", testkit.Must(db.Authorities(ctx))(t)[1].ActivateAt, at)
		testkit.NoError(t, db.ActivateAuthority(ctx, "issuing-2", at, entry(audit.CAActivated, "issuing-2")))
		wantError(t, "activating it twice", db.ActivateAuthority(ctx, "issuing-2", at, entry(audit.CAActivated, "issuing-2")), succession.ErrState)
		wantError(t, "activating an old one", db.ActivateAuthority(ctx, "issuing", at, entry(audit.CAActivated, "issuing")), succession.ErrState)
		wantError(t, "planning an active one", db.ScheduleAuthority(ctx, "issuing-2", at, entry(audit.CAScheduled, "issuing-2")), succession.ErrState)
		wantError(t, "retiring an active one", db.RetireAuthority(ctx, "issuing-2", at, entry(audit.CARetired, "issuing-2")), succession.ErrState)
		wantError(t, "none of this name", db.ActivateAuthority(ctx, "issuing-99", at, entry(audit.CAActivated, "issuing-99")), succession.ErrState)
		testkit.NoError(t, db.RevokeAuthority(ctx, revocationOf("issuing-2", at), revocationOf("issuing-2", at).Entry("operator")))
		wantError(t, "revoking it twice", db.RevokeAuthority(ctx, revocationOf("issuing-2", at), revocationOf("issuing-2", at).Entry("operator")), succession.ErrState)
		testkit.NoError(t, db.ActivateAuthority(ctx, "issuing-3", at, entry(audit.CAActivated, "issuing-3")))
		testkit.NoError(t, db.RetireAuthority(ctx, "issuing", at, entry(audit.CARetired, "issuing")))
		testkit.NoError(t, db.RevokeAuthority(ctx, revocationOf("issuing", at), revocationOf("issuing", at).Entry("operator")))
		if got, want := states(t, db), "issuing revoked; issuing-2 revoked; issuing-3 active; issuing-4 pending; "; !strings.HasPrefix(got, want) {
			t.Errorf("states: got %s, want them to begin %s", got, want)
		}
	})
}

// A reservation is refused under a CA that does not issue now, and what a later CA issues
// is listed, answered and counted under its own name.
func TestReservationsFollowTheActiveAuthority(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		testkit.NoError(t, db.AddAuthority(ctx, authorityRecord("issuing", succession.Active), fixture.NewEntry(testkit.Noon, audit.CAAdded, "")))
		testkit.NoError(t, db.AddAuthority(ctx, authorityRecord("issuing-2", succession.Pending), fixture.NewEntry(testkit.Noon, audit.CAAdded, "")))
		first := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		early := fixture.NewEnrolment(t, anna, "iPad")
		early.Reservation.Issuer = "issuing-2"
		wantError(t, "before it is active", db.Reserve(ctx, early.Reservation), succession.ErrState)
		testkit.NoError(t, db.ActivateAuthority(ctx, "issuing-2", testkit.Noon, fixture.NewEntry(testkit.Noon, audit.CAActivated, "")))
		late := fixture.NewEnrolment(t, anna, "Pixel")
		wantError(t, "after it is retiring", db.Reserve(ctx, late.Reservation), succession.ErrState)
		own := fixture.NewEnrolment(t, anna, "OCSP")
		own.Reservation.Kind, own.Reservation.Person, own.Reservation.Device, own.Reservation.NewDevice = portal.KindServer, "", portal.Device{}, false
		testkit.NoError(t, db.Reserve(ctx, own.Reservation)) // the signer of answers about its certificates

		next := early.Issue(t, db)
		wantError(t, "retired with a working certificate",
			db.RetireAuthority(ctx, "issuing", testkit.Noon, fixture.NewEntry(testkit.Noon, audit.CARetired, "")), succession.ErrState)
		end := first.Reservation.NotAfter.Add(time.Second)
		testkit.NoError(t, db.RetireAuthority(ctx, "issuing", end, fixture.NewEntry(end, audit.CARetired, "")))
		for _, c := range []struct {
			e    fixture.Enrolment
			want ocsp.Status
		}{
			{first, ocsp.Status{Issuer: "issuing", State: ocsp.Good}},
			{next, ocsp.Status{Issuer: "issuing-2", State: ocsp.Good}},
		} {
			testkit.Equal(t, "status", testkit.Must(db.Status(ctx, c.e.Serial()))(t), c.want)
		}
		revoke(t, db, portal.Lost, testkit.Noon.Add(time.Minute), first.Serial(), next.Serial())
		for issuer, e := range map[string]fixture.Enrolment{"issuing": first, "issuing-2": next} {
			listed := testkit.Must(db.Revoked(ctx, issuer, 0, 1<<40, testkit.Noon))(t)
			if len(listed) != 1 || listed[0].Serial != e.Serial() {
				t.Errorf("list of %s: got %v, want %s alone", issuer, listed, e.Serial())
			}
			waits := testkit.Must(db.Unlisted(ctx, issuer, false))(t)
			testkit.Equal(t, issuer+" waits for a list", waits, true)
		}
		testkit.Equal(t, "status", testkit.Must(db.Status(ctx, next.Serial()))(t).Issuer, "issuing-2")
		serials, _, err := db.Changes(ctx, 0, 100)
		testkit.NoError(t, err)
		testkit.Equal(t, "changes", len(serials), 7)
	})
}

// Of two replicas that activate different authorities at once one is refused.
func TestTwoReplicasActivate(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx, replica := t.Context(), opened(t, db.address)
		testkit.NoError(t, db.AddAuthority(ctx, authorityRecord("issuing", succession.Active), fixture.NewEntry(testkit.Noon, audit.CAAdded, "")))
		for _, name := range []string{"issuing-2", "issuing-3"} {
			testkit.NoError(t, db.AddAuthority(ctx, authorityRecord(name, succession.Pending), fixture.NewEntry(testkit.Noon, audit.CAAdded, "")))
		}
		results := make(chan error, 2)
		go func() {
			results <- db.ActivateAuthority(ctx, "issuing-2", testkit.Noon, fixture.NewEntry(testkit.Noon, audit.CAActivated, ""))
		}()
		go func() {
			results <- replica.ActivateAuthority(ctx, "issuing-3", testkit.Noon, fixture.NewEntry(testkit.Noon, audit.CAActivated, ""))
		}()
		for range 2 {
			if err := <-results; err != nil && !errors.Is(err, succession.ErrState) {
				t.Error(err)
			}
		}
		active := 0
		for _, r := range testkit.Must(db.Authorities(ctx))(t) {
			if r.State == succession.Active {
				active++
			}
		}
		testkit.Equal(t, "active", active, 1)
	})
}
