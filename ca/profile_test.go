package ca_test

import (
	"strings"
	"testing"
	"time"

	"certportal/ca"
)

func TestNewProfile(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*ca.ProfileConfig)
		reason string // in the error, empty for none
	}{
		{"defaults", func(*ca.ProfileConfig) {}, ""},
		{"no name", func(c *ca.ProfileConfig) { c.Name = "" }, "name is missing"},
		{"long template", func(c *ca.ProfileConfig) { c.Template = strings.Repeat("x", 61) }, "at most 60"},
		{"template with umlaut", func(c *ca.ProfileConfig) { c.Template = "Prüfer" }, "printable ASCII"},
		{"ten years", func(c *ca.ProfileConfig) { c.Validity = 3650 * 24 * time.Hour }, "validity"},
		{"negative validity", func(c *ca.ProfileConfig) { c.Validity = -time.Hour }, "validity"},
		{"half a second", func(c *ca.ProfileConfig) { c.Validity = time.Hour + time.Second/2 }, "validity"},
		{"backdated a day", func(c *ca.ProfileConfig) { c.Backdate = 24 * time.Hour }, "backdate"},
		{"dated ahead", func(c *ca.ProfileConfig) { c.Backdate = -time.Minute }, "backdate"},
		{"one usage", func(c *ca.ProfileConfig) { c.ExtKeyUsages = []string{"clientAuth"} }, ""},
		{"server usage", func(c *ca.ProfileConfig) { c.ExtKeyUsages = []string{"clientAuth", "serverAuth"} }, "serverAuth"},
		{"any usage", func(c *ca.ProfileConfig) { c.ExtKeyUsages = []string{"any"} }, `"any"`},
		{"agent usage by number", func(c *ca.ProfileConfig) { c.ExtKeyUsages = []string{"1.3.6.1.4.1.311.20.2.1"} }, "311.20.2.1"},
		{"usage twice", func(c *ca.ProfileConfig) { c.ExtKeyUsages = []string{"efs", "efs"} }, "twice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := ca.FixtureProfileConfig()
			test.change(&cfg)
			p, err := ca.NewProfile(cfg)
			if test.reason != "" {
				if err == nil || !strings.Contains(err.Error(), test.reason) {
					t.Errorf("got %v, want it to hold %q", err, test.reason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			// The lints must accept every valid profile.
			issuer, pub := ca.FixtureIssuer(t, "ec"), ca.FixtureKey(t, "user-rsa").Public()
			if _, err := issuer.Prepare(p, ca.FixtureSubject(), pub, ca.FixtureNow()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestProfileIsFrozen(t *testing.T) {
	cfg := ca.FixtureProfileConfig()
	p, err := ca.NewProfile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Name, cfg.Validity = "Other", time.Hour
	if got := p.Name(); got != "User" {
		t.Errorf("name: got %q", got)
	}
	if got := p.Validity(); got != 365*24*time.Hour {
		t.Errorf("validity: got %s", got)
	}
}
