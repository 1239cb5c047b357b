package app

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"certportal/ca/crl"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/admin"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// The alarm of each level of a list's life: a warning from half of it, grave from three
// quarters and on the last day in any case.
func TestF10_ListConcerns(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	p := &App{Now: func() time.Time { return now }}
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
			for _, c := range p.listConcerns(tt.h) {
				got = append(got, fmt.Sprint(c.Key, " ", c.Value, " ", c.Number, " ", c.Critical))
			}
			if s := strings.Join(got, ", "); s != tt.want {
				t.Errorf("got %q, want %q", s, tt.want)
			}
		})
	}
}

// The ends of the CAs are told at 180, 60 and 30 days, and the log says each step once
// and then daily.
func TestEndsAreTold(t *testing.T) {
	p, err := open(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	end := p.CA.Folder.Issuing().NotAfter
	steps := []struct {
		left  time.Duration
		ends  string // the concern about the issuing CA
		lines int    // in the log by then
	}{
		{3 * config.Days(365), "", 0},
		{config.Days(365 + 179), "ca-short false", 1},
		{config.Days(181), "ca-short true", 2}, // less than a month is left for full length
		{config.Days(179), "ca-ends false", 3},
		{config.Days(179) - time.Hour, "ca-ends false", 3},
		{config.Days(177), "ca-ends false", 4},
		{config.Days(59), "ca-ends true", 5},
		{config.Days(29), "ca-ends true", 6},
		{-time.Hour, "ca-ends true", 7},
	}
	var log bytes.Buffer
	told := &endLog{log: slog.New(slog.NewTextHandler(&log, nil))}
	for _, step := range steps {
		now := end.Add(-step.left)
		p.Now = func() time.Time { return now }
		got := ""
		var issuing []admin.Alert
		for _, c := range p.endConcerns() {
			if c.Value == p.CA.Folder.Issuing().Subject.CommonName {
				got, issuing = fmt.Sprint(c.Key, " ", c.Critical), append(issuing, c)
			}
		}
		told.tell(t.Context(), issuing, now)
		if lines := strings.Count(log.String(), "\n"); got != step.ends || lines != step.lines {
			t.Errorf("%v before the end: got %q and %d lines, want %q and %d", step.left, got, lines, step.ends, step.lines)
		}
	}
}

// What renews itself is told of only when it did not.
func TestEndsOfServingCertificates(t *testing.T) {
	now := time.Now()
	p := &App{Now: func() time.Time { return now }}
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
			for _, c := range p.endConcern(watchedCertificate{"tls", "TLS", cert}) {
				got = fmt.Sprint(c.Key, " ", c.Critical, " ", c.Number)
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
