package doctor

import (
	"strings"
	"testing"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/portal"
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

// A portal that ran and stopped is a failure, as people are affected. One that was never
// started is not, and what this account may not see is not called stopped.
func TestPortalThatDoesNotRun(t *testing.T) {
	for _, tt := range []struct {
		outside Outside
		state   portal.FindingState
		key     string
	}{
		{Outside{Running: true, Served: true}, portal.FindingOK, "running"},
		{Outside{Served: true}, portal.FindingFailed, "running-stopped"},
		{Outside{}, portal.FindingWarning, "running-never"},
		{Outside{Served: true, Unseen: true}, portal.FindingWarning, "running-unseen"},
	} {
		d := New(Config{Outside: &tt.outside})
		f := d.checkRunning(t.Context())[0]
		if f.State != tt.state || f.Said[0].Key != tt.key {
			t.Errorf("%+v: got %s %s, want %s %s", tt.outside, f.State, f.Said[0].Key, tt.state, tt.key)
		}
		if said, missing := d.missing(t.Context(), server); missing != !tt.outside.Running || tt.outside.Unseen && said.Key != "skipped-unseen" {
			t.Errorf("%+v: the addresses: %v, %v", tt.outside, missing, said)
		}
	}
}
