package store_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/succession"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// revocationOf ends an authority of a test, whose certificate has a serial made of its name.
func revocationOf(name string, at time.Time) succession.Revocation {
	sum := sha256.Sum256([]byte(name))
	serial, err := ca.ParseSerial("40" + hex.EncodeToString(sum[:16]))
	if err != nil {
		panic(err)
	}
	return succession.Revocation{Name: name, Serial: serial, NotAfter: testkit.Noon.AddDate(5, 0, 0), Reason: 2, At: at}
}

func revokeAuthority(t *testing.T, db *database, r succession.Revocation) {
	t.Helper()
	testkit.NoError(t, db.RevokeAuthority(t.Context(), r, r.Entry("operator")))
}

// A revoked CA is listed by its root until its end, is revoked for good, and issues nothing
// from the moment on, not even what was reserved before.
func TestA13_RevokedAuthorityIssuesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		change := twoAuthorities(t, db)
		held := enrolled(t, db, "issuing", anna, "iPhone")
		open := fixture.NewEnrolment(t, anna, "iPad")
		testkit.NoError(t, db.Reserve(ctx, open.Reservation))
		at := testkit.Noon.Add(time.Minute)
		r := revocationOf("issuing", at)
		revokeAuthority(t, db, r)

		wantError(t, "completing what was reserved before", db.Complete(ctx, open.Completion), succession.ErrState)
		late := fixture.NewEnrolment(t, "bob", "Pixel")
		wantError(t, "reserving", db.Reserve(ctx, late.Reservation), succession.ErrState)
		var refusal *portal.Refusal
		err := db.Admit(ctx, enroll.Reservation{Person: anna, Quota: 5, Requested: at})
		if !errors.As(err, &refusal) || refusal.Reason != portal.NoAuthority {
			t.Errorf("asked before: got %v", err)
		}
		own := fixture.NewEnrolment(t, anna, "OCSP")
		own.Reservation.Kind, own.Reservation.Person, own.Reservation.Device, own.Reservation.NewDevice = portal.KindServer, "", portal.Device{}, false
		own.Issue(t, db) // the signer of its answers
		testkit.Equal(t, "answer about what it issued", testkit.Must(db.Status(ctx, held.Serial()))(t), ocsp.Status{Issuer: "issuing", State: ocsp.Good})

		for _, moment := range []time.Time{at, r.NotAfter.Add(-time.Second)} {
			listed := testkit.Must(db.Revoked(ctx, "root", 0, 1<<40, moment))(t)
			if len(listed) != 1 || listed[0].Serial != r.Serial || listed[0].Reason != 2 || !listed[0].At.Equal(at) {
				t.Errorf("list of the root on %s: got %v", moment, listed)
			}
		}
		testkit.Equal(t, "after its end", len(testkit.Must(db.Revoked(ctx, "root", 0, 1<<40, r.NotAfter))(t)), 0)
		testkit.Equal(t, "the root's list waits", testkit.Must(db.Unlisted(ctx, "root", false))(t), true)
		wantError(t, "again", db.RevokeAuthority(ctx, r, r.Entry("operator")), succession.ErrState)
		wantError(t, "activating it", db.ActivateAuthority(ctx, "issuing", at, fixture.NewEntry(at, audit.CAActivated, "")), succession.ErrState)
		if _, err := db.plain.Exec("UPDATE authorities SET state = 'retiring' WHERE name = 'issuing'"); err == nil {
			t.Error("a revoked authority became another")
		}
		change()
		testkit.NoError(t, db.Admit(ctx, enroll.Reservation{Person: anna, Quota: 5, Requested: at}))
		enrolled(t, db, "issuing-2", "bob", "Pixel")
	})
}

// The company's CA is no list of ours, and its revocation is recorded all the same.
func TestRevokedAuthorityOfACompany(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		twoAuthorities(t, db)
		r := revocationOf("issuing", testkit.Noon)
		r.Company = true
		revokeAuthority(t, db, r)
		testkit.Equal(t, "list of an own root", len(testkit.Must(db.Revoked(t.Context(), "root", 0, 1<<40, testkit.Noon))(t)), 0)
		listed := testkit.Must(db.RevokedAuthorities(t.Context()))(t)
		if len(listed) != 1 || listed[0] != (succession.Listed{Serial: r.Serial, NotAfter: r.NotAfter, Reason: 2, At: testkit.Noon}) {
			t.Errorf("recorded: %v", listed)
		}
	})
}

// TestF15_RevokedAuthorityComesBackFromTheJournal: in an older copy of the database the CA
// issues; the journal has its certificate, under the own root or a company's.
func TestF15_RevokedAuthorityComesBackFromTheJournal(t *testing.T) {
	for _, isCompany := range []bool{false, true} {
		onBoth(t, func(t *testing.T, db *database) {
			ctx := t.Context()
			twoAuthorities(t, db)
			r := revocationOf("issuing", testkit.Noon)
			r.Company = isCompany
			revokeAuthority(t, db, r)
			records, _, err := db.Records(ctx, 0, 100)
			testkit.NoError(t, err)
			if len(records) != 1 || records[0].Serial != r.Serial || records[0].Reason != 2 || !records[0].NotAfter.Equal(r.NotAfter) {
				t.Fatalf("journal: %+v", records)
			}
			older := anotherOf(t, db)
			twoAuthorities(t, older)
			testkit.Equal(t, "recovered", testkit.Must(older.Replay(ctx, []crl.Record{records[0]}, testkit.Noon))(t), 1)
			listed := testkit.Must(older.RevokedAuthorities(ctx))(t)
			if len(listed) != 1 || listed[0].Serial != r.Serial || listed[0].Reason != 2 {
				t.Fatalf("recovered: %v", listed)
			}
			revokeAuthority(t, older, r) // as the line does with what is listed
			testkit.Equal(t, "states", states(t, older), "issuing revoked; issuing-2 pending; ")
		})
	}
}

// Devices of a revoked CA have a state of their own, in every list and count, and may get
// the next certificate at once.
func TestDevicesOfARevokedAuthority(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		change := twoAuthorities(t, db)
		held := enrolled(t, db, "issuing", anna, "iPhone")
		change()
		enrolled(t, db, "issuing-2", "bob", "Pixel")
		now := testkit.Noon.Add(time.Minute)
		stats := testkit.Must(db.AdminStats(ctx, now, admin.NewStatsSince(now, time.UTC)))(t)
		testkit.Equal(t, "working before", stats.Working, 2)
		revokeAuthority(t, db, revocationOf("issuing", now))

		device := testkit.Must(db.Device(ctx, anna, held.Reservation.Device.ID))(t)
		testkit.Equal(t, "state", device.State(now), portal.StateVoid)
		testkit.Equal(t, "works", device.Working(now), false)
		testkit.NoError(t, device.Renewable(now, 0))
		for state, want := range map[admin.State]int{
			admin.Void: 1, admin.Working: 1, admin.NotDownloaded: 1, admin.Downloaded: 0, admin.Works: 0, admin.Revoked: 0, "": 2,
		} {
			f := admin.Filter{State: state}
			rows, _ := paged(t, db, f, 1)
			testkit.Equal(t, "certificates "+string(state), len(rows), want)
			testkit.Equal(t, "counted "+string(state), testkit.Must(db.CountCertificates(ctx, f, now))(t).Number, want)
			devices := testkit.Must(db.SearchDevices(ctx, f, admin.Cursor{}, 50, now))(t)
			testkit.Equal(t, "devices "+string(state), len(devices.Rows), want)
		}
		row := testkit.Must(db.Certificates(ctx, admin.Filter{PersonID: anna}, admin.Cursor{}, 50, now))(t).Rows[0]
		testkit.Equal(t, "shown", row.Shown, portal.StateVoid)
		stats = testkit.Must(db.AdminStats(ctx, now, admin.NewStatsSince(now, time.UTC)))(t)
		testkit.Equal(t, "working after", stats.Working, 1)

		next := held.Renewal(t)
		next.Reservation.Issuer, next.Reservation.RenewFrom = "issuing-2", time.Hour
		next.Issue(t, db)
		device = testkit.Must(db.Device(ctx, anna, held.Reservation.Device.ID))(t)
		testkit.Equal(t, "state after the renewal", device.State(now), portal.StateNotDownloaded)
	})
}

// anotherOf opens an empty database of the same engine.
func anotherOf(t *testing.T, db *database) *database {
	t.Helper()
	for _, engine := range engines {
		if engine.dialect == db.dialect {
			return engine.open(t)
		}
	}
	t.Fatal("no engine of this dialect")
	return nil
}
