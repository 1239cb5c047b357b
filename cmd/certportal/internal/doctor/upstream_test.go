package doctor

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"certportal/ca/upstream"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// TestF14_UnrestrictedAlert: a CA that issued where it had to deny is an alert while it is
// among the settings, if a test can end that: only AD CS can deny by person.
func TestF14_UnrestrictedAlert(t *testing.T) {
	clock := testkit.NewClock()
	company := fixture.NewUpstreamCA(t, clock.Now)
	p := fixture.NewPortalAt(t, clock, fixture.SQLite(t), func(c *enroll.Config) { c.Upstream = company.Upstream("company") })
	t.Cleanup(func() { p.DrainUpstream(context.WithoutCancel(t.Context())) })
	anna := p.Add("anna", fixture.SIDPrefix+"1101")
	testkit.NoError(t, p.TryUpstream(t.Context(), enroll.TrialRequest{
		By: portal.Operator(), Authority: "upstream-company", Kind: enroll.TrialRefusal, Person: anna.ID,
	}))
	for _, tt := range []struct {
		of   config.UpstreamSettings
		want int
	}{
		{config.UpstreamSettings{Name: "company", Kind: config.UpstreamADCS}, 1},
		{config.UpstreamSettings{Name: "company", Kind: config.UpstreamCertsrv}, 1},
		{config.UpstreamSettings{Name: "company", Kind: config.UpstreamStepCA}, 0},
		{config.UpstreamSettings{Name: "company", Kind: config.UpstreamVault}, 0},
		{config.UpstreamSettings{Name: "other", Kind: config.UpstreamADCS}, 0},
	} {
		s := &config.Settings{Upstreams: []config.UpstreamSettings{tt.of}}
		list := New(Config{Settings: s, DB: p.DB, Now: clock.Now, Log: slog.New(slog.DiscardHandler)}).upstreamAlerts(t.Context())
		if len(list) != tt.want || tt.want == 1 && (list[0].Key != "upstream-unrestricted" || !list[0].Critical || list[0].Number != 1 || !list[0].At.Equal(clock.Now())) {
			t.Errorf("%s, %s: %+v", tt.of.Name, tt.of.Kind, list)
		}
	}
}

// TestRevokerAlerts: a host that should revoke and did not ask for an hour is an alert while
// something waits for it, and no other time.
func TestRevokerAlerts(t *testing.T) {
	clock := testkit.NewClock()
	company := fixture.NewUpstreamCA(t, clock.Now)
	company.OnRevoke = func() error { return upstream.ErrUnsupported }
	p := fixture.NewPortalAt(t, clock, fixture.SQLite(t), func(c *enroll.Config) { c.Upstream = company.Upstream("company") })
	t.Cleanup(func() { p.DrainUpstream(context.WithoutCancel(t.Context())) })
	s := &config.Settings{ListenRevoker: ":8445", Upstreams: []config.UpstreamSettings{
		{Name: "company", RevokerCertificate: "ca01.pem"}, {Name: "other", RevokerCertificate: "ca02.pem"}, {Name: "by-hand"},
	}}
	d := New(Config{Settings: s, DB: p.DB, Now: clock.Now, Log: slog.New(slog.DiscardHandler)})
	alerts := func(when string, want int, at time.Time) {
		t.Helper()
		list := d.revokerAlerts(t.Context())
		if len(list) != want {
			t.Fatalf("%s: %+v", when, list)
		}
		if want == 1 && (list[0].Key != "upstream-revoker" || list[0].Value != "company" || list[0].Number != 1 || !list[0].Critical || !list[0].At.Equal(at)) {
			t.Errorf("%s: %+v", when, list[0])
		}
	}
	alerts("without revocations", 0, time.Time{})
	anna := p.Add("anna", fixture.SIDPrefix+"1101")
	done := p.MustEnroll(anna, "Phone", "form")
	testkit.NoError(t, p.Block(t.Context(), fixture.Employee(anna), enroll.Block{Person: anna.ID, Device: done.Device, Cause: portal.Lost}))
	testkit.NoError(t, p.SweepUpstream(t.Context()))
	blocked := clock.Now()
	clock.Advance(59 * time.Minute)
	alerts("soon after the first block", 0, time.Time{})
	clock.Advance(time.Minute)
	alerts("before it ever asked", 1, blocked)
	asked := clock.Now()
	testkit.NoError(t, p.DB.NoteRevokerAsked(t.Context(), "upstream-company", asked))
	clock.Advance(59 * time.Minute)
	alerts("within the hour", 0, time.Time{})
	clock.Advance(time.Minute)
	alerts("after an hour", 1, asked)
	s.ListenRevoker = ""
	alerts("switched off", 0, time.Time{})
}

// TestF10_UpstreamListAlerts: which lists of CAs elsewhere are critical, and when.
func TestF10_UpstreamListAlerts(t *testing.T) {
	clock := testkit.NewClock()
	p := fixture.NewPortalAt(t, clock, fixture.SQLite(t), func(*enroll.Config) {})
	d := upstreamLists{New(Config{Settings: new(config.Settings), DB: p.DB, Now: clock.Now, Log: slog.New(slog.DiscardHandler)})}
	failing := clock.Now()
	for _, tt := range []struct {
		problem string
		needed  bool
		age     time.Duration
		ends    time.Duration // of the newest good list
		key     string
		want    bool
	}{
		{enroll.UpstreamListOutdated, true, 0, time.Hour, "invalid", false},
		{enroll.UpstreamListOutdated, true, 29 * time.Minute, time.Hour, "invalid", false},
		{enroll.UpstreamListOutdated, true, 30 * time.Minute, time.Hour, "invalid", true},
		{enroll.UpstreamListOutdated, false, time.Hour, 2 * time.Hour, "invalid", false},
		{enroll.UpstreamListInvalid, true, 0, time.Hour, "invalid", true},
		{enroll.UpstreamListExpired, true, 0, 0, "expired", true},
		{enroll.UpstreamListUnreachable, true, time.Hour, 2 * time.Hour, "unreachable", false},
		{enroll.UpstreamListUnreachable, true, 2 * time.Hour, 2 * time.Hour, "unreachable", true},
		{enroll.UpstreamListHolds, false, 0, time.Hour, "holds", true},
	} {
		list := enroll.UpstreamList{
			Authority: "upstream-company", Address: "http://ca/a.crl", Problem: tt.problem, Needed: tt.needed, Checked: failing, Failing: failing, NextUpdate: failing.Add(tt.ends),
		}
		testkit.NoError(t, p.DB.RecordUpstreamLists(t.Context(), list.Authority, failing, []enroll.UpstreamList{list}))
		clock.Advance(failing.Add(tt.age).Sub(clock.Now()))
		got := d.alerts(t.Context())
		if len(got) != 1 || got[0].Key != "upstream-list-"+tt.key || got[0].Critical != tt.want || got[0].Value != list.Address {
			t.Errorf("%s after %v: %+v", tt.problem, tt.age, got)
		}
	}
}
