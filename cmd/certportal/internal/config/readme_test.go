package config

import (
	"os"
	"strings"
	"testing"
)

// TestSettingsOfTheREADME loads the settings that an installer copies. They name what a
// company needs, and the page stays short.
func TestSettingsOfTheREADME(t *testing.T) {
	text, err := os.ReadFile("../../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n"); n > 200 {
		t.Errorf("%d lines, want 200 at most", n)
	}
	_, block, found := strings.Cut(string(text), "   ```yaml\n")
	block, _, closed := strings.Cut(block, "\n   ```")
	if !found || !closed {
		t.Fatal("there are no settings")
	}
	s, err := load(t, strings.ReplaceAll("\n"+block, "\n   ", "\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	g := s.Directory.Groups
	for what, there := range map[string]bool{
		"enroll": len(g.Enroll) > 0, "helpdesk": len(g.Helpdesk) > 0, "auditor": len(g.Auditor) > 0, "admin": len(g.Admin) > 0,
		"upn_suffixes": len(s.Directory.UPNSuffixes) > 0, "helpdesk.phone": s.Helpdesk.Phone != "", "helpdesk.mail": s.Helpdesk.Mail != "",
		"mail": s.Mail.Host != "" && len(s.Mail.Operators) > 0, "port 443": s.Listen == ":443", "time zone": s.Pages.TimeZone != "",
		"TLS certificate": s.TLS.Certificate != "" && s.TLS.Key != "", "names": s.PublicURL != "" && s.PublicHTTPURL != "",
	} {
		if !there {
			t.Errorf("the settings have no %s", what)
		}
	}
}
