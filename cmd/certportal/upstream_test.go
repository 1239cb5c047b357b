package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"certportal/ca/upstream"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// What a CA elsewhere cannot revoke is listed until an operator confirms it.
func TestUpstreamCommands(t *testing.T) {
	data := t.TempDir()
	p, err := openApp(t, data)
	testkit.NoError(t, err)
	testkit.NoError(t, p.Close())
	if out := mustRun(t, "--data", data, "upstream", "revocations"); !strings.Contains(out, "Every revocation is confirmed") {
		t.Errorf("before: %s", out)
	}
	clock := testkit.NewRunningClock()
	company := fixture.NewUpstreamCA(t, clock.Now)
	company.OnRevoke = func() error { return upstream.ErrUnsupported }
	elsewhere := fixture.NewPortalAt(t, clock, "sqlite:"+filepath.Join(data, "portal.db"), func(c *enroll.Config) { c.Upstream = company.Upstream("company") })
	anna := elsewhere.Add("anna", fixture.SIDPrefix+"1101")
	done := elsewhere.MustEnroll(anna, "Phone", "form")
	ctx := context.WithoutCancel(t.Context())
	testkit.NoError(t, elsewhere.Block(ctx, fixture.Employee(anna), enroll.Block{Person: anna.ID, Device: done.Device, Cause: portal.Lost}))
	testkit.NoError(t, elsewhere.SweepUpstream(ctx))
	testkit.NoError(t, elsewhere.DB.Close())

	serial := done.Serial.String()
	if out := mustRun(t, "--data", data, "upstream", "revocations"); !strings.Contains(out, serial) || !strings.Contains(out, "company") ||
		!strings.Contains(out, "keyCompromise (1)") {
		t.Errorf("open: %s", out)
	}
	if out := mustRun(t, "--data", data, "list", "--authority", "upstream-company"); !strings.Contains(out, serial) {
		t.Errorf("list: %s", out)
	}
	for _, wrong := range []string{"4f", "xyz"} {
		if r := certportal(t, "", "--data", data, "upstream", "confirm", wrong); r.code == exitDone {
			t.Errorf("%s is confirmed", wrong)
		}
	}
	mustRun(t, "--data", data, "upstream", "confirm", strings.ToUpper(serial))
	if out := mustRun(t, "--data", data, "upstream", "revocations"); strings.Contains(out, serial) {
		t.Errorf("confirmed: %s", out)
	}
}
