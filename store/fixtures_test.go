package store_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// noon is the clock of the tests.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const anna portal.PersonID = "anna"

// enrolment is a request and all that becomes of it.
type enrolment struct {
	reservation enroll.Reservation
	completion  enroll.Completion
	token       [32]byte // hash of the pickup's token
}

// request makes what the registrar would make for a new device of a person.
func request(t testing.TB, person portal.PersonID, device string) enrolment {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := ca.NewSerial(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial.Big(), NotBefore: noon, NotAfter: noon.Add(365 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	e := enrolment{token: sha256.Sum256([]byte(serial.String()))}
	e.reservation = enroll.Reservation{
		Serial: serial, Kind: portal.KindUser, Profile: "User",
		Subject:   ca.Subject{UPN: string(person) + "@corp.example", Mail: string(person) + "@corp.example", SID: "S-1-5-21-1-2-3-1001"},
		PublicKey: sha256.Sum256(certificate.RawSubjectPublicKeyInfo),
		NotBefore: template.NotBefore, NotAfter: template.NotAfter, Requested: noon,
		Person: person, NewDevice: true, Quota: 5, Idempotent: "form " + serial.String(),
		Device: portal.Device{
			ID: portal.DeviceID("d" + serial.String()), Person: person, Name: device, Platform: portal.IOS, Created: noon,
		},
		Entry: entry(audit.CertificateReserved, person),
	}
	e.completion = enroll.Completion{
		Serial: serial, Certificate: certificate, At: noon, Entry: entry(audit.CertificateIssued, person),
		Pickup: &enroll.SealedPickup{
			TokenHash: e.token, Serial: serial, Key: []byte("sealed key"), Password: []byte("sealed password"),
			Expires: noon.Add(15 * time.Minute), PasswordUntil: noon.Add(time.Hour),
		},
	}
	return e
}

// again makes a request for a new certificate on the device of an earlier one.
func (e enrolment) again(t testing.TB) enrolment {
	t.Helper()
	next := request(t, e.reservation.Person, e.reservation.Device.Name)
	next.reservation.Device, next.reservation.NewDevice = e.reservation.Device, false
	next.reservation.Requested = e.reservation.Requested.Add(time.Minute)
	next.completion.Supersede = true
	return next
}

func (e enrolment) serial() ca.Serial { return e.reservation.Serial }

func (e enrolment) device() portal.DeviceID { return e.reservation.Device.ID }

func entry(action audit.Action, person portal.PersonID) audit.Entry {
	return audit.Entry{
		At: noon, Action: action, Actor: string(person), Role: "employee", Person: string(person),
		Address: "192.0.2.7", Request: "r1", Detail: map[string]string{"profile": "User"},
	}
}

func reserve(t testing.TB, db enroll.Store, e enrolment) enrolment {
	t.Helper()
	if err := db.Reserve(context.Background(), e.reservation); err != nil {
		t.Fatal(err)
	}
	return e
}

// issue reserves and completes.
func issue(t testing.TB, db enroll.Store, e enrolment) enrolment {
	t.Helper()
	reserve(t, db, e)
	if err := db.Complete(context.Background(), e.completion); err != nil {
		t.Fatal(err)
	}
	return e
}

func revoke(t testing.TB, db enroll.Store, cause portal.Cause, at time.Time, serials ...ca.Serial) []ca.Serial {
	t.Helper()
	ended, err := db.Revoke(context.Background(), enroll.Revocation{
		Serials: serials, Cause: cause, At: at, Entry: entry("", "admin"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return ended
}

func wantError(t testing.TB, doing string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", doing, got, want)
	}
}

func wantRefusal(t testing.TB, got error, reason portal.Reason) {
	t.Helper()
	var refusal *portal.Refusal
	if !errors.As(got, &refusal) || refusal.Reason != reason {
		t.Errorf("got error %v, want refusal %s", got, reason)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// bothNil or equal octets.
func sameBytes(t testing.TB, what string, got, want []byte) {
	t.Helper()
	if (got == nil) != (want == nil) || !bytes.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// must unwraps a result that is not to fail.
func must[T any](t testing.TB) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

// entries reads the whole ledger and verifies its chain.
func entries(t testing.TB, db *fixture) []audit.Entry {
	t.Helper()
	all := must[[]audit.Entry](t)(db.Entries(context.Background(), 0, 100_000))
	var head audit.Head
	for _, e := range all {
		if !e.Follows(head) {
			t.Fatalf("ledger entry %d does not follow the one before", e.Seq)
		}
		head = audit.Head{Seq: e.Seq, Hash: e.Hash}
	}
	equal(t, "ledger head", must[audit.Head](t)(db.Head(context.Background())), head)
	return all
}

func actions(all []audit.Entry) string {
	var list []string
	for _, e := range all {
		list = append(list, string(e.Action))
	}
	return fmt.Sprint(list)
}

// status reads the newest certificate of a device.
func newest(t testing.TB, db *fixture, e enrolment) portal.Certificate {
	t.Helper()
	return must[portal.Device](t)(db.Device(context.Background(), e.reservation.Person, e.device())).Certificate
}
