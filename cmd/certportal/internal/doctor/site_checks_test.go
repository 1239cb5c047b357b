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
