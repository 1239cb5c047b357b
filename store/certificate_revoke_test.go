package store_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

func TestCompleteOnlyWhatStands(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		wantError(t, "completing twice", db.Complete(ctx, e.Completion), portal.ErrConflict)
		wantError(t, "completing unknown", db.Complete(ctx, fixture.NewEnrolment(t, anna, "x").Completion), portal.ErrConflict)
		abandoned := fixture.NewEnrolment(t, anna, "iPad").Reserve(t, db)
		revoke(t, db, portal.Abandoned, testkit.Noon, abandoned.Serial())
		wantError(t, "completing revoked", db.Complete(ctx, abandoned.Completion), portal.ErrConflict)
		testkit.Equal(t, "status", newest(t, db, abandoned).Status, "")
	})
}

func TestCompleteRefusesOtherCertificate(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		e, other := fixture.NewEnrolment(t, anna, "iPhone").Reserve(t, db), fixture.NewEnrolment(t, anna, "iPad")
		wrong := e.Completion
		wrong.Certificate = other.Completion.Certificate
		if err := db.Complete(t.Context(), wrong); err == nil || !strings.Contains(err.Error(), "does not match") {
			t.Errorf("certificate of another serial: got error %v", err)
		}
		sameSerial := *other.Completion.Certificate
		sameSerial.SerialNumber = e.Serial().Big()
		wrong.Certificate = &sameSerial
		if err := db.Complete(t.Context(), wrong); err == nil || !strings.Contains(err.Error(), "does not match") {
			t.Errorf("certificate of another key: got error %v", err)
		}
		testkit.Equal(t, "status", newest(t, db, e).Status, portal.Pending)
		testkit.Equal(t, "audit log", actions(fixture.Entries(t, db)), "[certificate.reserved]")
	})
}

func TestCompleteSupersedes(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		first := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		other := fixture.NewEnrolment(t, anna, "iPad").Issue(t, db)
		stuck := first.Renewal(t).Reserve(t, db)
		testkit.Equal(t, "newest while another is under way", newest(t, db, first).Serial, first.Serial())

		next := first.Renewal(t).Issue(t, db)
		testkit.Equal(t, "newest", newest(t, db, first).Serial, next.Serial())
		testkit.Equal(t, "other device", newest(t, db, other).Status, portal.Issued)
		old := testkit.Must(db.Pickup(ctx, first.TokenHash))(t)
		testkit.Equal(t, "old status", old.Device.Certificate.Status, portal.Revoked)
		testkit.Equal(t, "old cause", old.Device.Certificate.Cause, portal.Replaced)
		sameBytes(t, "old key", old.Key, nil)
		wantError(t, "completing what was superseded", db.Complete(ctx, stuck.Completion), portal.ErrConflict)

		log := fixture.Entries(t, db)
		testkit.Equal(t, "entries", len(log), 5+1+3)
		var ended []string
		for _, e := range log[len(log)-2:] {
			testkit.Equal(t, "action", e.Action, audit.CertificateRevoked)
			testkit.Equal(t, "cause", e.Detail["cause"], string(portal.Replaced))
			testkit.Equal(t, "by", e.Detail["by"], next.Serial().String())
			ended = append(ended, e.Object)
		}
		want := []string{first.Serial().String(), stuck.Serial().String()}
		slices.Sort(want)
		slices.Sort(ended)
		testkit.Equal(t, "ended", fmt.Sprint(ended), fmt.Sprint(want))
	})
}

func TestRevoke(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		issued := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		pending := fixture.NewEnrolment(t, anna, "iPad").Reserve(t, db)
		later := testkit.Noon.Add(time.Hour)
		unknown := fixture.NewEnrolment(t, anna, "x").Serial()
		got := revoke(t, db, portal.Removed, later, issued.Serial(), pending.Serial(), unknown, issued.Serial())
		testkit.Equal(t, "ended", len(got), 2)

		certificate := newest(t, db, issued)
		testkit.Equal(t, "status", certificate.Status, portal.Revoked)
		testkit.Equal(t, "cause", certificate.Cause, portal.Removed)
		testkit.Equal(t, "moment", certificate.RevokedAt, later)
		p := testkit.Must(db.Pickup(ctx, issued.TokenHash))(t)
		sameBytes(t, "key", p.Key, nil)
		sameBytes(t, "password", p.Password, nil)
		wantError(t, "reading the file", db.ClaimRead(ctx, issued.TokenHash, 5, audit.Entry{}), portal.ErrConflict)

		last := fixture.Entries(t, db)[3:]
		testkit.Equal(t, "entries", len(last), 2)
		for _, e := range last {
			testkit.Equal(t, "action", e.Action, audit.CertificateRevoked)
			testkit.Equal(t, "actor", e.Actor, "admin")
			testkit.Equal(t, "cause", e.Detail["cause"], "removed")
			testkit.Equal(t, "upn", e.Detail["upn"], "anna@corp.example")
			testkit.Equal(t, "kept detail", e.Detail["profile"], "User")
		}
	})
}

func TestA12_RevocationIsFinal(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		revoke(t, db, portal.Removed, testkit.Noon, e.Serial())
		testkit.Equal(t, "ended again", len(revoke(t, db, portal.Replaced, testkit.Noon.Add(time.Hour), e.Serial())), 0)
		testkit.Equal(t, "cause", newest(t, db, e).Cause, portal.Removed)
		testkit.Equal(t, "moment", newest(t, db, e).RevokedAt, testkit.Noon)
		_, err := db.plain.Exec(`UPDATE certificates SET status = 'issued', revoked_at = NULL, cause = NULL, reason_code = NULL`)
		if err == nil || !strings.Contains(err.Error(), "stays revoked") {
			t.Errorf("undoing a revocation by hand: got error %v", err)
		}
	})
}

func TestRemoveDevice(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		e := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		r := enroll.Revocation{Cause: portal.Removed, At: testkit.Noon, RemoveDevice: e.Device(), Entry: fixture.NewEntry(testkit.Noon, "", anna)}
		for range 2 {
			if _, err := db.Revoke(ctx, r); err != nil {
				t.Fatal(err)
			}
		}
		testkit.Equal(t, "devices", len(testkit.Must(db.Devices(ctx, anna))(t)), 0)
		testkit.Equal(t, "removed", testkit.Must(db.Device(ctx, anna, e.Device()))(t).Removed, testkit.Noon)
		log := fixture.Entries(t, db)
		testkit.Equal(t, "entries", len(log), 3)
		testkit.Equal(t, "action", log[2].Action, audit.CertificateRevoked)
		testkit.Equal(t, "object", log[2].Object, e.Serial().String())
		testkit.Equal(t, "device", log[2].Detail["device"], string(e.Device()))

		empty := fixture.NewEnrolment(t, anna, "iPad").Issue(t, db)
		revoke(t, db, portal.Undelivered, testkit.Noon, empty.Serial())
		r.RemoveDevice = empty.Device()
		if _, err := db.Revoke(ctx, r); err != nil {
			t.Fatal(err)
		}
		log = fixture.Entries(t, db)
		testkit.Equal(t, "action", log[len(log)-1].Action, audit.DeviceRemoved)
		testkit.Equal(t, "object", log[len(log)-1].Object, string(empty.Device()))
		r.RemoveDevice = "nothing"
		_, err := db.Revoke(ctx, r)
		wantError(t, "removing nothing", err, portal.ErrNotFound)
	})
}

func TestRevokeInParallel(t *testing.T) {
	const devices = 12
	onBoth(t, func(t *testing.T, db *database) {
		var serials []ca.Serial
		for i := range devices {
			e := fixture.NewEnrolment(t, portal.PersonID(fmt.Sprint("person", i%3)), fmt.Sprint("device", i))
			serials = append(serials, e.Issue(t, db).Serial())
		}
		ended := make(chan ca.Serial, 8*devices)
		var waiting sync.WaitGroup
		for i := range 8 {
			mine := slices.Clone(serials)
			if i%2 == 1 {
				slices.Reverse(mine)
			}
			waiting.Go(func() {
				for _, serial := range revoke(t, db, portal.Removed, testkit.Noon, mine...) {
					ended <- serial
				}
			})
		}
		waiting.Wait()
		testkit.Equal(t, "revocations", len(ended), devices)
		testkit.Equal(t, "entries", len(fixture.Entries(t, db)), 3*devices)
	})
}

func TestUnfinishedAndUndelivered(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		pending := fixture.NewEnrolment(t, anna, "pending").Reserve(t, db)
		unread := fixture.NewEnrolment(t, anna, "unread").Issue(t, db)
		read := fixture.NewEnrolment(t, anna, "read").Issue(t, db)
		if err := db.ConfirmRead(ctx, read.TokenHash, 5, testkit.Noon); err != nil {
			t.Fatal(err)
		}
		cases := []struct {
			name   string
			list   func() ([]ca.Serial, error)
			expect []ca.Serial
		}{
			{"unfinished before", func() ([]ca.Serial, error) { return db.Unfinished(ctx, testkit.Noon, 10) }, nil},
			{"unfinished after", func() ([]ca.Serial, error) { return db.Unfinished(ctx, testkit.Noon.Add(time.Second), 10) }, []ca.Serial{pending.Serial()}},
			{"unfinished none", func() ([]ca.Serial, error) { return db.Unfinished(ctx, testkit.Noon.Add(time.Second), 0) }, nil},
			{"undelivered before", func() ([]ca.Serial, error) { return db.Undelivered(ctx, testkit.Noon.Add(15*time.Minute), 10) }, nil},
			{"undelivered after", func() ([]ca.Serial, error) { return db.Undelivered(ctx, testkit.Noon.Add(16*time.Minute), 10) }, []ca.Serial{unread.Serial()}},
		}
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				testkit.Equal(t, "serials", fmt.Sprint(testkit.Must(c.list())(t)), fmt.Sprint(c.expect))
			})
		}
		testkit.Must(db.WipePickups(ctx, testkit.Noon.Add(15*time.Minute)))(t)
		wiped := testkit.Must(db.Undelivered(ctx, testkit.Noon, 10))(t)
		testkit.Equal(t, "wiped", fmt.Sprint(wiped), fmt.Sprint([]ca.Serial{unread.Serial()}))
	})
}
