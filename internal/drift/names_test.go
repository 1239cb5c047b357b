package drift_test

import (
	"strings"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/drift"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

func TestNamesThatChangeAreMarkedAndEndNothing(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(4)...)
	steps := []struct {
		name             string
		upn, sid         string
		marked, unmarked int
		shown            portal.Change
	}{
		{"same", "p001@corp.example", "S-1-5-21-1-2-3-1001", 0, 0, ""},
		{"other case", "P001@Corp.Example", "S-1-5-21-1-2-3-1001", 0, 0, ""},
		{"other UPN", "p001.married@corp.example", "S-1-5-21-1-2-3-1001", 1, 0, portal.UPNChanged},
		{"the same other UPN", "p001.married@corp.example", "S-1-5-21-1-2-3-1001", 0, 0, portal.UPNChanged},
		{"and another SID", "p001.married@corp.example", "S-1-5-21-9-9-9-1001", 1, 0, portal.SIDChanged},
		{"no SID at all", "p001@corp.example", "", 0, 1, portal.SIDChanged},
		{"agrees again", "p001@corp.example", "S-1-5-21-1-2-3-1001", 0, 1, ""},
	}
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			c.clock.Advance(time.Hour)
			c.change("p001", func(a *portal.Account) { a.UPN, a.SID = s.upn, s.sid })
			c.want(c.look(), s.marked, s.unmarked, 0, "")
			testkit.Equal(t, "mark", c.certificate("p001").Changed, s.shown)
		})
	}
	testkit.Equal(t, "revoked", c.count(audit.CertificateRevoked), 0)
	testkit.Equal(t, "marked", c.count(audit.MismatchFound), 2)
	e := c.last(audit.MismatchFound)
	testkit.Equal(t, "change", e.Detail["change"], "sid")
	testkit.Equal(t, "sid in the certificate", e.Detail["sid"], "S-1-5-21-1-2-3-1001")
	testkit.Equal(t, "sid in the directory", e.Detail["now-sid"], "S-1-5-21-9-9-9-1001")
	if c.log.Count("level=WARN") == 0 || c.log.Count("now=p001.married@corp.example") == 0 {
		t.Errorf("log does not warn of the new UPN:\n%s", c.log.String())
	}
}

func TestNamesStayMarkedForAsLongAsTheyDiffer(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(4)...)
	c.change("p001", func(a *portal.Account) { a.UPN = "other@corp.example" })
	r := c.look()
	testkit.Equal(t, "due", r.Mismatches[0].Due, time.Time{})
	first := c.clock.Now()
	c.clock.Advance(200 * 24 * time.Hour)
	r = c.look()
	c.want(r, 0, 0, 0, "")
	testkit.Equal(t, "since", r.Mismatches[0].Since, first)
	testkit.Equal(t, "changed at once", r.Changed, 0)

	// A new certificate has the current names and no mismatch.
	c.issue("p001")
	c.want(c.look(), 0, 0, 0, "")
	testkit.Equal(t, "findings", len(c.look().Mismatches[0].Serials), 1)

	// Once the account is gone, its names are unknown.
	c.remove("p001")
	c.want(c.look(), 2, 0, 0, "")
	c.clock.Advance(grace)
	c.want(c.look(), 0, 0, 2, "")
}

func TestAPassThatOnlyTells(t *testing.T) {
	t.Parallel()
	c := newHarness(t, fixture.SQLite(t), staff(12)...)
	c.disable("p003", "p004")
	c.remove("p005")
	c.change("p006", func(a *portal.Account) { a.UPN = "other@corp.example" })
	before := len(c.entries())
	r := testkit.Must(c.Once(t.Context(), drift.Options{}))(t)
	c.want(r, 0, 0, 0, drift.TooMany)
	testkit.Equal(t, "holders", r.Holders, 12)
	testkit.Equal(t, "changed", r.Changed, 4)
	testkit.Equal(t, "limit", r.Limit, 3)
	testkit.Equal(t, "partial", r.Partial, false)
	var told []string
	for _, f := range r.Mismatches {
		told = append(told, string(f.Change)+" "+string(f.Person)+" "+f.UPN+" "+f.Now+" "+f.Login)
	}
	testkit.Equal(t, "findings", strings.Join(told, "\n"), `gone id-p005 p005@corp.example  
disabled id-p003 p003@corp.example  p003
disabled id-p004 p004@corp.example  p004
upn id-p006 p006@corp.example other@corp.example p006`)
	testkit.Equal(t, "entries", len(c.entries()), before)
	testkit.Equal(t, "state", testkit.Must(c.db.DriftState(t.Context()))(t), drift.State{})
}
