package directory_test

import (
	"errors"
	"fmt"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/test/samba"
)

// domainAdmins is the relative identifier of Domain Admins.
const domainAdmins = 512

// protection is a way to become a privileged account.
type protection struct {
	name string
	do   func(*testing.T, samba.Entry)
}

// protections returns all of them, with groups by relative identifier (MS-DTYP section
// 2.4.2.4), because group names are localized.
func protections(dc *samba.DC, watched samba.Entry) []protection {
	var all []protection
	into := func(name, sid string) {
		all = append(all, protection{name, func(t *testing.T, e samba.Entry) { dc.AddMember(t, dc.BySID(t, sid).DN, e.DN) }})
	}
	for name, rid := range map[string]int{
		"domain-admins": domainAdmins, "schema-admins": 518, "enterprise-admins": 519, "policy-creators": 520,
		"domain-controllers": 516, "read-only-dcs": 521, "enterprise-rodcs": 498, "protected-users": 525,
	} {
		into(name, fmt.Sprintf("%s-%d", dc.SID, rid))
	}
	for name, rid := range map[string]int{
		"administrators": 544, "account-operators": 548, "server-operators": 549, "print-operators": 550,
		"backup-operators": 551, "replicator": 552,
	} {
		into(name, fmt.Sprintf("S-1-5-32-%d", rid))
	}
	into("configured", watched.SID)
	admins := func(t *testing.T) string { return dc.BySID(t, fmt.Sprintf("%s-%d", dc.SID, domainAdmins)).DN }
	return append(all,
		protection{"three-deep", func(t *testing.T, e samba.Entry) {
			outer, middle, inner := dc.AddGroup(t, "outer"), dc.AddGroup(t, "middle"), dc.AddGroup(t, "inner")
			dc.AddMember(t, admins(t), outer.DN)
			dc.AddMember(t, outer.DN, middle.DN)
			dc.AddMember(t, middle.DN, inner.DN)
			dc.AddMember(t, inner.DN, e.DN)
		}},
		protection{"primary", func(t *testing.T, e samba.Entry) { dc.SetPrimaryGroup(t, e.DN, domainAdmins) }},
		protection{"admin-count", func(t *testing.T, e samba.Entry) { dc.Modify(t, e.DN, map[string][]string{"adminCount": {"1"}}) }},
		protection{"renamed-group", func(t *testing.T, e samba.Entry) {
			dc.AddMember(t, dc.Rename(t, admins(t), "Gardeners"), e.DN)
		}},
	)
}

// TestA3_ProtectedPeopleDoNotEnrol makes people privileged in every way. None of them gets a
// certificate or a pickup code from the helpdesk, and no serial number is reserved.
func TestA3_ProtectedPeopleDoNotEnrol(t *testing.T) {
	t.Parallel()
	dc := samba.Lease(t)
	watched := dc.AddGroup(t, "Board")
	counter := dc.AddGroup(t, "Service counter")
	fx := newFixtureOver(t, dc, func(c *directory.LDAPConfig) {
		c.Protected, c.Roles = []string{watched.DN}, map[portal.Role][]string{portal.Helpdesk: {counter.DN}}
	})
	hedi := dc.AddUser(t, samba.User{Login: "hedi"})
	dc.AddMember(t, counter.DN, hedi.DN)
	fx.wantCode(t, fx.person(hedi), idOf(dc.AddUser(t, samba.User{Login: "ordinary"})))
	for _, c := range protections(dc, watched) {
		t.Run(c.name, func(t *testing.T) {
			e := dc.AddUser(t, samba.User{Login: "of-" + c.name})
			if fx.person(e).Protected {
				t.Fatal("protected before any group")
			}
			c.do(t, e)
			if !fx.person(e).Protected {
				t.Error("not protected")
			}
			fx.wantRefused(t, idOf(e), portal.Protected)
			fx.wantNoCode(t, fx.person(hedi), idOf(e))
		})
	}
	for _, c := range []struct {
		name string
		rid  int
		want portal.Reason
	}{{"administrator", 500, portal.Protected}, {"krbtgt", 502, portal.Disabled}} { // krbtgt always is
		t.Run(c.name, func(t *testing.T) {
			e := dc.BySID(t, fmt.Sprintf("%s-%d", dc.SID, c.rid))
			if !fx.person(e).Protected {
				t.Error("not protected")
			}
			fx.wantRefused(t, idOf(e), c.want)
			fx.wantNoCode(t, fx.person(hedi), idOf(e))
		})
	}
}

// TestA3_OrdinaryPeopleEnrol checks that groups with privileged-sounding names do not
// protect.
func TestA3_OrdinaryPeopleEnrol(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	desktops := fx.dc.BySID(t, "S-1-5-32-555")
	lookalike := fx.dc.AddGroup(t, "Domain Admins (retired)")
	for name, group := range map[string]string{"remote-desktop": desktops.DN, "lookalike": lookalike.DN} {
		e := fx.dc.AddUser(t, samba.User{Login: name, More: map[string][]string{"adminCount": {"0"}}})
		fx.dc.AddMember(t, group, e.DN)
		if fx.person(e).Protected {
			t.Errorf("%s: protected", name)
		}
		if _, err := fx.enrol(idOf(e), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestA3_ProtectionInDoubtIsAnOutage configures a missing group. Its members are unknown, so
// no person may enrol.
func TestA3_ProtectionInDoubtIsAnOutage(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*directory.LDAPConfig){
		"protected": func(c *directory.LDAPConfig) { c.Protected = []string{"CN=Not There,CN=Users," + samba.Base} },
		"enrol":     func(c *directory.LDAPConfig) { c.Enroll = []string{"CN=Not There,CN=Users," + samba.Base} },
	} {
		t.Run(name, func(t *testing.T) {
			fx := newFixture(t, change)
			e := fx.dc.AddUser(t, samba.User{Login: "anna"})
			_, err := fx.enrol(idOf(e), "phone")
			var outage *portal.Outage
			if !errors.As(err, &outage) || outage.Part != portal.PartDirectory {
				t.Errorf("enrolling: %v, want an outage of the directory", err)
			}
			if fx.serials() != 0 || fx.count(audit.CertificateIssued) != 0 {
				t.Error("a serial was spent")
			}
		})
	}
}
