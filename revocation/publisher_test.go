package revocation_test

import (
	"crypto/x509"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"certportal/ca"
	"certportal/enroll"
	"certportal/ledger"
	"certportal/revocation"
	"certportal/store"
)

// office is a publisher over a real database and an EC hierarchy, with a clock
// of the test's.
type office struct {
	*revocation.Publisher
	t         *testing.T
	db        *store.DB
	hierarchy *ca.Hierarchy
	now       time.Time
	rootGone  bool
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	var err error
	if o.db, err = store.Open(t.Context(), store.Config{URL: filepath.Join(t.TempDir(), "portal.db")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.db.Close() })
	o.hierarchy, err = ca.CreateHierarchy(ca.HierarchyConfig{Organization: "Example", RootKind: ca.ECP256, IssuingKind: ca.ECP256}, o.now)
	if err != nil {
		t.Fatal(err)
	}
	o.Publisher, err = revocation.New(revocation.Config{
		Lists: o.db, Now: func() time.Time { return o.now }, Log: slog.New(slog.DiscardHandler),
		Authorities: []revocation.Authority{
			{Name: "root", Issuer: o.root, Life: revocation.RootLife, Renew: revocation.RootRenew},
			{Name: "issuing", Issuer: o.issuing, Life: revocation.IssuingLife, Renew: revocation.IssuingRenew},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *office) root() (*ca.Issuer, error) {
	if o.rootGone {
		return nil, ca.ErrNoRootKey
	}
	return ca.NewIssuer(ca.IssuerConfig{Certificate: o.hierarchy.Root, Signer: o.hierarchy.RootKey})
}

func (o *office) issuing() (*ca.Issuer, error) {
	return ca.NewIssuer(ca.IssuerConfig{Certificate: o.hierarchy.Issuing, Signer: o.hierarchy.IssuingKey})
}

func (o *office) refresh() {
	o.t.Helper()
	if err := o.Refresh(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) list(name string) (revocation.List, *x509.RevocationList) {
	o.t.Helper()
	l, ok := o.CRL(name)
	if !ok {
		o.t.Fatalf("no list of %s", name)
	}
	parsed, err := x509.ParseRevocationList(l.DER)
	if err != nil {
		o.t.Fatal(err)
	}
	return l, parsed
}

// revoke records and revokes a certificate of the issuing CA.
func (o *office) revoke() ca.Serial {
	o.t.Helper()
	serial, err := ca.NewSerial(nil)
	if err != nil {
		o.t.Fatal(err)
	}
	err = o.db.Reserve(o.t.Context(), enroll.Reservation{
		Serial: serial, Kind: enroll.KindServer, Profile: "Server", PublicKey: [32]byte([]byte(serial.String())[:32]),
		NotBefore: o.now, NotAfter: o.now.AddDate(0, 3, 0), Requested: o.now,
		Entry: ledger.Entry{At: o.now, Action: ledger.CertificateReserved, Actor: "test"},
	})
	if err != nil {
		o.t.Fatal(err)
	}
	_, err = o.db.Revoke(o.t.Context(), enroll.Revocation{
		Serials: []ca.Serial{serial}, Cause: enroll.Removed, At: o.now,
		Entry: ledger.Entry{At: o.now, Action: ledger.CertificateRevoked, Actor: "test"},
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return serial
}

func TestFirstListsAreSigned(t *testing.T) {
	o := newOffice(t)
	o.refresh()
	for name, signer := range map[string]*x509.Certificate{"root": o.hierarchy.Root, "issuing": o.hierarchy.Issuing} {
		_, parsed := o.list(name)
		if err := parsed.CheckSignatureFrom(signer); err != nil {
			t.Errorf("list of %s: %v", name, err)
		}
		if len(parsed.RevokedCertificateEntries) != 0 {
			t.Errorf("list of %s holds %d entries, want 0", name, len(parsed.RevokedCertificateEntries))
		}
	}
	if _, ok := o.CRL("nobody"); ok {
		t.Error("there is a list of nobody")
	}
}

func TestRevocationShowsInTheNextList(t *testing.T) {
	o := newOffice(t)
	o.refresh()
	before, _ := o.list("issuing")
	o.now = o.now.Add(time.Minute)
	serial := o.revoke()
	o.refresh()
	after, parsed := o.list("issuing")
	if after.Number <= before.Number {
		t.Errorf("number %d after %d, want it greater", after.Number, before.Number)
	}
	if len(parsed.RevokedCertificateEntries) != 1 || parsed.RevokedCertificateEntries[0].SerialNumber.Cmp(serial.Big()) != 0 {
		t.Errorf("entries %v, want %s", parsed.RevokedCertificateEntries, serial)
	}
	o.refresh()
	if again, _ := o.list("issuing"); again.Number != after.Number {
		t.Errorf("number %d with nothing new, want %d", again.Number, after.Number)
	}
}

func TestListsAreRenewedByTheClock(t *testing.T) {
	o := newOffice(t)
	o.refresh()
	first, _ := o.list("issuing")
	root, _ := o.list("root")
	o.now = o.now.Add(revocation.IssuingRenew)
	o.refresh()
	second, _ := o.list("issuing")
	if second.Number <= first.Number || !second.NextUpdate.After(first.NextUpdate) {
		t.Errorf("list %d until %s, want it after %d until %s", second.Number, second.NextUpdate, first.Number, first.NextUpdate)
	}
	if same, _ := o.list("root"); same.Number != root.Number {
		t.Errorf("the root's list was made anew after an hour")
	}
}

func TestF8_AClockSetBackMakesNoList(t *testing.T) {
	o := newOffice(t)
	o.refresh()
	before, _ := o.list("issuing")
	o.now = o.now.Add(-24 * time.Hour)
	if err := o.Refresh(t.Context()); err == nil {
		t.Error("Refresh says nothing about the clock")
	}
	if after, _ := o.list("issuing"); after.Number != before.Number {
		t.Errorf("number %d, want the list %d to stay", after.Number, before.Number)
	}
}

func TestRootKeyInTheSafe(t *testing.T) {
	o := newOffice(t)
	o.refresh()
	before, _ := o.list("root")
	o.rootGone = true
	o.now = o.now.Add(revocation.RootRenew + time.Hour)
	o.refresh()
	if after, _ := o.list("root"); after.Number != before.Number {
		t.Errorf("number %d without the key, want %d", after.Number, before.Number)
	}
}

func TestListsOutliveTheProcess(t *testing.T) {
	o := newOffice(t)
	o.refresh()
	before, _ := o.list("issuing")
	again, err := revocation.New(revocation.Config{
		Lists: o.db, Now: func() time.Time { return o.now }, Log: slog.New(slog.DiscardHandler),
		Authorities: []revocation.Authority{{
			Name: "issuing", Life: revocation.IssuingLife, Renew: revocation.IssuingRenew,
			Issuer: func() (*ca.Issuer, error) { return nil, ca.ErrPassphrase },
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, ok := again.CRL("issuing"); !ok || after.Number != before.Number {
		t.Errorf("list %d, %v after a restart, want %d", after.Number, ok, before.Number)
	}
}
