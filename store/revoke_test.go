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
)

func TestCompleteOnlyWhatStands(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		e := issue(t, db, request(t, anna, "iPhone"))
		wantError(t, "completing twice", db.Complete(ctx, e.completion), portal.ErrConflict)
		wantError(t, "completing unknown", db.Complete(ctx, request(t, anna, "x").completion), portal.ErrConflict)
		abandoned := reserve(t, db, request(t, anna, "iPad"))
		revoke(t, db, portal.Abandoned, noon, abandoned.serial())
		wantError(t, "completing revoked", db.Complete(ctx, abandoned.completion), portal.ErrConflict)
		equal(t, "status", newest(t, db, abandoned).Status, "")
	})
}

func TestCompleteRefusesOtherCertificate(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		e, other := reserve(t, db, request(t, anna, "iPhone")), request(t, anna, "iPad")
		wrong := e.completion
		wrong.Certificate = other.completion.Certificate
		if err := db.Complete(t.Context(), wrong); err == nil || !strings.Contains(err.Error(), "does not match") {
			t.Errorf("certificate of another serial: got error %v", err)
		}
		sameSerial := *other.completion.Certificate
		sameSerial.SerialNumber = e.serial().Big()
		wrong.Certificate = &sameSerial
		if err := db.Complete(t.Context(), wrong); err == nil || !strings.Contains(err.Error(), "does not match") {
			t.Errorf("certificate of another key: got error %v", err)
		}
		equal(t, "status", newest(t, db, e).Status, portal.Pending)
		equal(t, "ledger", actions(entries(t, db)), "[certificate.reserved]")
	})
}

func TestCompleteSupersedes(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		first := issue(t, db, request(t, anna, "iPhone"))
		other := issue(t, db, request(t, anna, "iPad"))
		stuck := reserve(t, db, first.again(t))
		equal(t, "newest while another is under way", newest(t, db, first).Serial, first.serial())

		next := issue(t, db, first.again(t))
		equal(t, "newest", newest(t, db, first).Serial, next.serial())
		equal(t, "other device", newest(t, db, other).Status, portal.Issued)
		old := must[enroll.SealedPickup](t)(db.Pickup(ctx, first.token))
		equal(t, "old status", old.Device.Certificate.Status, portal.Revoked)
		equal(t, "old cause", old.Device.Certificate.Cause, portal.Replaced)
		sameBytes(t, "old key", old.Key, nil)
		wantError(t, "completing what was superseded", db.Complete(ctx, stuck.completion), portal.ErrConflict)

		log := entries(t, db)
		equal(t, "entries", len(log), 5+1+3)
		var ended []string
		for _, e := range log[len(log)-2:] {
			equal(t, "action", e.Action, audit.CertificateRevoked)
			equal(t, "cause", e.Detail["cause"], string(portal.Replaced))
			equal(t, "by", e.Detail["by"], next.serial().String())
			ended = append(ended, e.Object)
		}
		want := []string{first.serial().String(), stuck.serial().String()}
		slices.Sort(want)
		slices.Sort(ended)
		equal(t, "ended", fmt.Sprint(ended), fmt.Sprint(want))
	})
}

func TestRevoke(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		issued := issue(t, db, request(t, anna, "iPhone"))
		pending := reserve(t, db, request(t, anna, "iPad"))
		later := noon.Add(time.Hour)
		unknown := request(t, anna, "x").serial()
		got := revoke(t, db, portal.Removed, later, issued.serial(), pending.serial(), unknown, issued.serial())
		equal(t, "ended", len(got), 2)

		certificate := newest(t, db, issued)
		equal(t, "status", certificate.Status, portal.Revoked)
		equal(t, "cause", certificate.Cause, portal.Removed)
		equal(t, "moment", certificate.RevokedAt, later)
		p := must[enroll.SealedPickup](t)(db.Pickup(ctx, issued.token))
		sameBytes(t, "key", p.Key, nil)
		sameBytes(t, "password", p.Password, nil)
		wantError(t, "reading the file", db.ClaimRead(ctx, issued.token, 5, audit.Entry{}), portal.ErrConflict)

		last := entries(t, db)[3:]
		equal(t, "entries", len(last), 2)
		for _, e := range last {
			equal(t, "action", e.Action, audit.CertificateRevoked)
			equal(t, "actor", e.Actor, "admin")
			equal(t, "cause", e.Detail["cause"], "removed")
			equal(t, "upn", e.Detail["upn"], "anna@corp.example")
			equal(t, "kept detail", e.Detail["profile"], "User")
		}
	})
}

func TestA12_RevocationIsFinal(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		e := issue(t, db, request(t, anna, "iPhone"))
		revoke(t, db, portal.Removed, noon, e.serial())
		equal(t, "ended again", len(revoke(t, db, portal.Replaced, noon.Add(time.Hour), e.serial())), 0)
		equal(t, "cause", newest(t, db, e).Cause, portal.Removed)
		equal(t, "moment", newest(t, db, e).RevokedAt, noon)
		_, err := db.plain.Exec(`UPDATE certificates SET status = 'issued', revoked_at = NULL, cause = NULL, reason_code = NULL`)
		if err == nil || !strings.Contains(err.Error(), "stays revoked") {
			t.Errorf("undoing a revocation by hand: got error %v", err)
		}
	})
}

func TestRemoveDevice(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		e := issue(t, db, request(t, anna, "iPhone"))
		r := enroll.Revocation{Cause: portal.Removed, At: noon, RemoveDevice: e.device(), Entry: entry("", anna)}
		for range 2 {
			if _, err := db.Revoke(ctx, r); err != nil {
				t.Fatal(err)
			}
		}
		equal(t, "devices", len(must[[]portal.Device](t)(db.Devices(ctx, anna))), 0)
		equal(t, "removed", must[portal.Device](t)(db.Device(ctx, anna, e.device())).Removed, noon)
		log := entries(t, db)
		equal(t, "entries", len(log), 3)
		equal(t, "action", log[2].Action, audit.CertificateRevoked)
		equal(t, "object", log[2].Object, e.serial().String())
		equal(t, "device", log[2].Detail["device"], string(e.device()))

		empty := issue(t, db, request(t, anna, "iPad"))
		revoke(t, db, portal.Undelivered, noon, empty.serial())
		r.RemoveDevice = empty.device()
		if _, err := db.Revoke(ctx, r); err != nil {
			t.Fatal(err)
		}
		log = entries(t, db)
		equal(t, "action", log[len(log)-1].Action, audit.DeviceRemoved)
		equal(t, "object", log[len(log)-1].Object, string(empty.device()))
		r.RemoveDevice = "nothing"
		_, err := db.Revoke(ctx, r)
		wantError(t, "removing nothing", err, portal.ErrNotFound)
	})
}

func TestRevokeInParallel(t *testing.T) {
	const devices = 12
	onBoth(t, func(t *testing.T, db *fixture) {
		var serials []ca.Serial
		for i := range devices {
			e := request(t, portal.PersonID(fmt.Sprint("person", i%3)), fmt.Sprint("device", i))
			serials = append(serials, issue(t, db, e).serial())
		}
		ended := make(chan ca.Serial, 8*devices)
		var waiting sync.WaitGroup
		for i := range 8 {
			mine := slices.Clone(serials)
			if i%2 == 1 {
				slices.Reverse(mine)
			}
			waiting.Go(func() {
				for _, serial := range revoke(t, db, portal.Removed, noon, mine...) {
					ended <- serial
				}
			})
		}
		waiting.Wait()
		equal(t, "revocations", len(ended), devices)
		equal(t, "entries", len(entries(t, db)), 3*devices)
	})
}

func TestUnfinishedAndUndelivered(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		pending := reserve(t, db, request(t, anna, "pending"))
		unread := issue(t, db, request(t, anna, "unread"))
		read := issue(t, db, request(t, anna, "read"))
		if err := db.ConfirmRead(ctx, read.token, 5, noon); err != nil {
			t.Fatal(err)
		}
		cases := []struct {
			name   string
			list   func() ([]ca.Serial, error)
			expect []ca.Serial
		}{
			{"unfinished before", func() ([]ca.Serial, error) { return db.Unfinished(ctx, noon, 10) }, nil},
			{"unfinished after", func() ([]ca.Serial, error) { return db.Unfinished(ctx, noon.Add(time.Second), 10) }, []ca.Serial{pending.serial()}},
			{"unfinished none", func() ([]ca.Serial, error) { return db.Unfinished(ctx, noon.Add(time.Second), 0) }, nil},
			{"undelivered before", func() ([]ca.Serial, error) { return db.Undelivered(ctx, noon.Add(15*time.Minute), 10) }, nil},
			{"undelivered after", func() ([]ca.Serial, error) { return db.Undelivered(ctx, noon.Add(16*time.Minute), 10) }, []ca.Serial{unread.serial()}},
		}
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				equal(t, "serials", fmt.Sprint(must[[]ca.Serial](t)(c.list())), fmt.Sprint(c.expect))
			})
		}
		must[int](t)(db.WipePickups(ctx, noon.Add(15*time.Minute)))
		wiped := must[[]ca.Serial](t)(db.Undelivered(ctx, noon, 10))
		equal(t, "wiped", fmt.Sprint(wiped), fmt.Sprint([]ca.Serial{unread.serial()}))
	})
}
