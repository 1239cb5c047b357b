package fetch_test

import (
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/fetch"
	"certportal/internal/test/testkit"
)

// Serials that no certificate may have are passed over, and do not hide the others.
func TestSeekPassesOverOddSerials(t *testing.T) {
	c := newCompany(t, []string{"/root.crl"})
	want := testkit.Must(ca.SerialOf(new(big.Int).Exp(big.NewInt(10), big.NewInt(38), nil)))(t) // 39 digits
	var asked []ca.Serial
	c.files["/root.crl"] = c.list(func(l *x509.RevocationList) {
		for _, serial := range []*big.Int{big.NewInt(0), big.NewInt(-5), new(big.Int).Lsh(big.NewInt(1), 160), want.Big(), big.NewInt(7)} {
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: serial, RevocationTime: time.Now()})
		}
	})
	client := fetch.Client{Timeout: 5 * time.Second}
	found := client.Seek(t.Context(), c.issuing, c.root, time.Now(), fetch.Search{Wanted: func(s ca.Serial) bool {
		asked = append(asked, s)
		return s == want
	}})
	named := found.Named()
	if _, there := named[want]; len(named) != 1 || !there || len(asked) != 2 {
		t.Errorf("named %v, asked about %v; %s", named, asked, found.Text)
	}
	if _, _, ok := found.Complete(); !ok {
		t.Errorf("not complete: %s", found.Text)
	}
}

// What a look at a list of 500,000 entries allocates besides the list itself: a few
// kilobytes.
func BenchmarkSeek(b *testing.B) {
	c := newCompany(b, []string{"/root.crl"})
	c.files["/root.crl"] = c.list(func(l *x509.RevocationList) {
		for n := range 500_000 {
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{
				SerialNumber: new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 126), big.NewInt(int64(n))), RevocationTime: time.Now(),
			})
		}
	})
	client := fetch.Client{Timeout: time.Minute}
	b.SetBytes(int64(len(c.files["/root.crl"])))
	b.ReportAllocs()
	for b.Loop() {
		found := client.Seek(b.Context(), c.issuing, c.root, time.Now(), fetch.Search{Wanted: func(ca.Serial) bool { return false }})
		if _, _, ok := found.Complete(); !ok {
			b.Fatal(found.Text)
		}
	}
}
