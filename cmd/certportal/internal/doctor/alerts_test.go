package doctor

import (
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"certportal/ca/crl"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/autotls"
)

// A CRL raises a warning from half of its life, and a critical alert from three
// quarters and on its last day.
func TestF10_CRLAlerts(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	d := New(Config{Now: func() time.Time { return now }})
	// health is that of a list of 72 hours of which so many are over.
	health := func(hours int, level crl.Level) crl.Health {
		made := now.Add(-time.Duration(hours) * time.Hour)
		return crl.Health{Issuer: "issuing", Level: level,
			List: crl.List{Number: 17, ThisUpdate: made, NextUpdate: made.Add(72 * time.Hour)}}
	}
	delta := health(70, crl.Ending)
	delta.Delta = true
	full := health(1, crl.Fresh)
	full.Targets = []crl.TargetHealth{{Name: "/srv/pki", Trouble: "no space"}, {Name: "ldap"}}
	tests := []struct {
		name string
		h    crl.Health
		want string
	}{
		{"fresh", health(1, crl.Fresh), ""},
		{"half", health(36, crl.Half), "list-half issuing 50 false"},
		{"a day and an hour left", health(48, crl.Half), "list-half issuing 66 true"},
		{"three quarters", health(54, crl.Late), "list-late issuing 75 true"},
		{"ending", health(69, crl.Ending), "list-late issuing 95 true"},
		{"ended", health(73, crl.Ended), "list-none issuing 101 true"},
		{"none", crl.Health{Issuer: "root", Level: crl.Ended}, "list-none root 0 true"},
		{"delta", delta, "list-late issuing (delta) 97 false"},
		{"no delta yet", crl.Health{Issuer: "issuing", Delta: true, Level: crl.Ended}, ""},
		{"a copy that fails", full, "list-target /srv/pki 0 false"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, c := range d.crlAlerts(tt.h) {
				got = append(got, fmt.Sprint(c.Key, " ", c.Value, " ", c.Number, " ", c.Critical))
			}
			if s := strings.Join(got, ", "); s != tt.want {
				t.Errorf("got %q, want %q", s, tt.want)
			}
		})
	}
}

// Certificates that renew themselves raise an alert only when they did not.
func TestExpiryAlerts(t *testing.T) {
	now := time.Now()
	d := New(Config{Now: func() time.Time { return now }})
	tests := []struct {
		name       string
		life, left time.Duration
		want       string
	}{
		{"a year, two months left", config.Days(365), config.Days(60), ""},
		{"a year, a month left", config.Days(365), config.Days(29), "certificate-ends false 29"},
		{"a year, a week left", config.Days(365), config.Days(7), "certificate-ends true 7"},
		{"47 days, a quarter left", config.Days(47), config.Days(12), ""},
		{"47 days, less left", config.Days(47), config.Days(11), "certificate-ends false 11"},
		{"30 days, renewed at half life", config.Days(30), config.Days(8), ""},
		{"ended", config.Days(90), -config.Days(1), "certificate-ends true 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cert := &x509.Certificate{NotBefore: now.Add(tt.left - tt.life), NotAfter: now.Add(tt.left)}
			got := ""
			for _, c := range d.expiryAlert(watchedCertificate{"tls", "TLS", cert}) {
				got = fmt.Sprint(c.Key, " ", c.Critical, " ", c.Number)
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestACMEAlerts: that the records do not take a certificate is no renewal that fails.
func TestACMEAlerts(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	served := &x509.Certificate{NotBefore: now.AddDate(0, 0, -60), NotAfter: now.AddDate(0, 0, 30)}
	const notKept = "the TLS certificate is in use here, but not yet recorded for the other portals, which is tried again without a new order: audit log away"
	for _, c := range []struct {
		name   string
		served *x509.Certificate
		f      autotls.Failure
		want   string
	}{
		{"well", served, autotls.Failure{}, "[]"},
		{"no first one", nil, autotls.Failure{Since: now, Text: "refused"}, "[acme-none true refused 0]"},
		{"no renewal", served, autotls.Failure{Since: now, Text: "refused"}, "[acme-late false refused 30]"},
		{"not recorded", served, autotls.Failure{Since: now, Text: notKept}, "[acme-unrecorded true audit log away 0]"},
		{"not recorded, on another portal", nil, autotls.Failure{Since: now, Text: notKept}, "[acme-unrecorded true audit log away 0]"},
	} {
		var got []string
		for _, a := range acmeAlerts(c.served, c.f, now) {
			got = append(got, fmt.Sprint(a.Key, " ", a.Critical, " ", a.Value, " ", a.Number))
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: got %v, want %s", c.name, got, c.want)
		}
	}
}
