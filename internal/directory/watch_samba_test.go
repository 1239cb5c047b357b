package directory_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"certportal/internal/directory"
	"certportal/internal/drift"
	"certportal/internal/portal"
	"certportal/internal/test/samba"
	"certportal/internal/test/slapd"
	"certportal/internal/test/testkit"
)

// TestA3_SambaNamesAllWhoMayBeProtected makes people privileged in every way: the drift
// watch learns of each from their groups or their entries, without reading all people in
// full.
func TestA3_SambaNamesAllWhoMayBeProtected(t *testing.T) {
	t.Parallel()
	dc := samba.Lease(t)
	watched := dc.AddGroup(t, "Board")
	fx := newFixtureOver(t, dc, func(c *directory.LDAPConfig) {
		c.Protected, c.GlobalCatalog = []string{watched.DN}, []string{dc.GlobalCatalogURL()}
	})
	ordinary := idOf(dc.AddUser(t, samba.User{Login: "ordinary"}))
	ids := []portal.PersonID{ordinary, idOf(dc.BySID(t, dc.SID+"-500"))}
	names := map[portal.PersonID]string{ids[1]: "administrator"}
	for _, c := range protections(dc, watched) {
		e := dc.AddUser(t, samba.User{Login: "of-" + c.name})
		c.do(t, e)
		ids = append(ids, idOf(e))
		names[idOf(e)] = c.name
	}
	groups := testkit.Must(fx.people.Protected(t.Context()))(t)
	seen := map[portal.PersonID]bool{}
	for _, p := range testkit.Must(fx.people.People(t.Context(), ids))(t) {
		seen[p.ID] = p.Protected || groups[p.ID]
	}
	for id, name := range names {
		if !seen[id] {
			t.Errorf("%s: not seen", name)
		}
	}
	if seen[ordinary] || groups[ordinary] {
		t.Error("an ordinary person counts as protected")
	}
}

// watch is the drift watch over the fixture's parts.
func (fx *fixture) watch() *drift.Watch {
	fx.t.Helper()
	return testkit.Must(drift.New(drift.Config{
		Directory: fx.people, Store: fx.db, Source: "test", Now: fx.now, Log: slog.New(slog.DiscardHandler),
	}))(fx.t)
}

func (fx *fixture) look(t *testing.T) drift.Report {
	t.Helper()
	return testkit.Must(fx.watch().Once(t.Context(), drift.Options{Apply: true}))(t)
}

// TestA3_A11_SambaWhoBecomesProtected puts a holder into Domain Admins through a group.
func TestA3_A11_SambaWhoBecomesProtected(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	anna := fx.dc.AddUser(t, samba.User{Login: "anna"})
	done := testkit.Must(fx.enrol(idOf(anna), "phone"))(t)
	testkit.Equal(t, "before", len(fx.look(t).Mismatches), 0)
	team := fx.dc.AddGroup(t, "team")
	fx.dc.AddMember(t, fx.dc.BySID(t, dcAdmins(fx.dc)).DN, team.DN)
	fx.dc.AddMember(t, team.DN, anna.DN)
	r := fx.look(t)
	testkit.Equal(t, "findings", len(r.Mismatches), 1)
	testkit.Equal(t, "change", r.Mismatches[0].Change, portal.BecameProtected)
	fx.ahead.Store(int64(drift.DefaultGrace + time.Second))
	testkit.Equal(t, "revoked", fx.look(t).Revoked, 1)
	c := testkit.Must(fx.db.Certificate(t.Context(), done.Serial))(t)
	testkit.Equal(t, "cause", c.Cause, portal.Privileged)
}

func dcAdmins(dc *samba.DC) string { return dc.SID + "-512" }

// renameAway gives an account other names, as after a marriage.
func renameAway(t *testing.T, dc *samba.DC, e samba.Entry, login string) {
	t.Helper()
	dc.Modify(t, e.DN, map[string][]string{"sAMAccountName": {login}, "userPrincipalName": {login + "@" + samba.Domain}})
}

// TestA5_SambaReusedUPN renames an account and makes a new one with the old UPN. The old
// certificate ends when the new person enrols, or in the next pass of the watch.
func TestA5_SambaReusedUPN(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"enrolment", "watch", "watch by login name"} {
		t.Run(way, func(t *testing.T) {
			fx := newFixture(t)
			anna := fx.dc.AddUser(t, samba.User{Login: "anna"})
			old := testkit.Must(fx.enrol(idOf(anna), "phone"))(t)
			renameAway(t, fx.dc, anna, "anna.smith")
			testkit.Equal(t, "a plain rename", fx.look(t).Revoked, 0)
			kept := testkit.Must(fx.enrol(idOf(anna), "tablet"))(t)

			again := samba.User{Login: "anna", UPN: "ANNA@" + strings.ToUpper(samba.Domain), Unit: "New"}
			if way == "watch by login name" {
				again.UPN = "-"
			}
			next := fx.dc.AddUser(t, again)
			if way == "enrolment" {
				testkit.Must(fx.enrol(idOf(next), "their phone"))(t)
			} else {
				r := fx.look(t)
				testkit.Equal(t, "revoked", r.Revoked, 1)
				testkit.Equal(t, "owner", r.Mismatches[0].Now, string(idOf(next)))
			}
			c := testkit.Must(fx.db.Certificate(t.Context(), old.Serial))(t)
			testkit.Equal(t, "the old certificate", string(c.Status)+" "+string(c.Cause), "revoked reused")
			c = testkit.Must(fx.db.Certificate(t.Context(), kept.Serial))(t)
			testkit.Equal(t, "under the new name", c.Status, portal.Issued)
		})
	}
}

// TestSambaSuggestsPowerfulGroups has the groups of Exchange and DNS in the domain.
func TestSambaSuggestsPowerfulGroups(t *testing.T) {
	t.Parallel()
	dc := samba.Lease(t)
	exchange, trusted := dc.AddGroup(t, "Organization Management"), dc.AddGroup(t, "Exchange Trusted Subsystem")
	c := domain(dc)
	c.Protected = []string{exchange.DN}
	var texts []string
	for _, f := range openLDAP(t, c).Check(t.Context()) {
		if f.What == "directory.groups.protected" && f.State == portal.FindingWarning {
			texts = append(texts, f.Text)
		}
	}
	got := strings.Join(texts, "\n")
	testkit.Contains(t, "what is left out", got, "Exchange Trusted Subsystem ("+trusted.SID+")")
	if strings.Contains(got, "Organization Management") {
		t.Errorf("suggests a group that is protected: %s", got)
	}
}

// TestA3_SlapdNamesAllWhoMayBeProtected walks nested groups from above, in a circle too.
func TestA3_SlapdNamesAllWhoMayBeProtected(t *testing.T) {
	t.Parallel()
	s := slapd.Start(t)
	anna := s.AddPerson(t, slapd.Person{Login: "anna", Mail: "anna@example.test"})
	bob := s.AddPerson(t, slapd.Person{Login: "bob", Mail: "bob@example.test"})
	inner := s.AddGroup(t, "inner", anna)
	outer := s.AddGroup(t, "outer", inner)
	s.AddMember(t, inner, outer)
	people := openPlain(t, s, func(c *directory.LDAPConfig) { c.Protected = []string{outer} })
	got := testkit.Must(people.Protected(t.Context()))(t)
	id := func(dn string) portal.PersonID { return portal.PersonID(s.Value(t, dn, "entryUUID")) }
	testkit.Equal(t, "anna", got[id(anna)], true)
	testkit.Equal(t, "bob", got[id(bob)], false)

	owners := testkit.Must(people.UPNOwners(t.Context(), []string{"ANNA@example.test", "gone@example.test"}))(t)
	testkit.Equal(t, "owners", len(owners), 1)
	testkit.Equal(t, "owner", owners["ANNA@example.test"][0], id(anna))

	lost := openPlain(t, s, func(c *directory.LDAPConfig) { c.Protected = []string{"cn=lost," + slapd.Base} })
	if _, err := lost.Protected(t.Context()); err == nil {
		t.Error("a group that is missing protects no person, and there is no error")
	}
}

// TestSambaShowsWhatBarsTheSignIn reads what keeps people out who type the right password.
func TestSambaShowsWhatBarsTheSignIn(t *testing.T) {
	t.Parallel()
	fx := newFixture(t)
	e := fx.dc.AddUser(t, samba.User{Login: "anna"})
	p := fx.person(e)
	testkit.Equal(t, "before", p.PasswordOld || p.SmartCard || p.Workstations, false)
	fx.dc.MustChange(t, e.DN)
	testkit.Equal(t, "must change", fx.person(e).PasswordOld, true)
	fx.dc.Modify(t, e.DN, map[string][]string{"userWorkstations": {"PC7"}, "userAccountControl": {"262656"}}) // 0x40200
	p = fx.person(e)
	testkit.Equal(t, "smart card", p.SmartCard, true)
	testkit.Equal(t, "workstations", p.Workstations, true)
}
