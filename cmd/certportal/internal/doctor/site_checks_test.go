package doctor

import (
	"os"
	"strings"
	"testing"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

func TestProxyFindings(t *testing.T) {
	s := &config.Settings{TrustedProxies: []string{"192.0.2.0/24", "10.0.0.0/8", "2001:db8::/32", "fd00:1::/64"}}
	want := []struct {
		state portal.FindingState
		text  string
	}{
		{portal.FindingOK, "with or without a port"}, {portal.FindingWarning, "large network"},
		{portal.FindingWarning, "large network"}, {portal.FindingOK, "no trusted network"},
	}
	for i, f := range CheckProxies(s) {
		if f.State != want[i].state || !strings.Contains(f.Text, want[i].text) || !strings.Contains(f.Text, s.TrustedProxies[i]) {
			t.Errorf("%s: got %+v", s.TrustedProxies[i], f)
		}
	}
	if got := CheckProxies(&config.Settings{}); len(got) != 0 {
		t.Errorf("without proxies: %+v", got)
	}
}

// A portal that ran and stopped is a failure, as people are affected. A demo, or one that was
// never started, is not, and what this account may not see is not called stopped.
func TestPortalThatDoesNotRun(t *testing.T) {
	for _, tt := range []struct {
		outside Outside
		demo    bool
		state   portal.FindingState
		key     string
	}{
		{Outside{Running: true, Served: true}, false, portal.FindingOK, "running"},
		{Outside{Served: true}, false, portal.FindingFailed, "running-stopped"},
		{Outside{Served: true}, true, portal.FindingWarning, "running-stopped"},
		{Outside{}, false, portal.FindingWarning, "running-never"},
		{Outside{Served: true, Unseen: true}, false, portal.FindingWarning, "running-unseen"},
	} {
		s := &config.Settings{Data: t.TempDir()}
		if tt.demo {
			testkit.NoError(t, os.WriteFile(s.Path(SampleFile), []byte("{}"), 0o600))
		}
		d := New(Config{Outside: &tt.outside, Settings: s})
		f := d.checkRunning(t.Context())[0]
		if f.State != tt.state || f.Said[0].Key != tt.key {
			t.Errorf("%+v: got %s %s, want %s %s", tt.outside, f.State, f.Said[0].Key, tt.state, tt.key)
		}
		if said, missing := d.missing(t.Context(), server); missing != !tt.outside.Running || tt.outside.Unseen && said.Key != "skipped-unseen" {
			t.Errorf("%+v: the addresses: %v, %v", tt.outside, missing, said)
		}
	}
}
