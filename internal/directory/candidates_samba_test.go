package directory_test

import (
	"errors"
	"maps"
	"testing"

	"certportal/internal/directory"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/samba"
	"certportal/internal/test/testkit"
)

// TestSambaEnrollCandidates counts the reasons why members of the group that may enrol, also
// nested ones, would be refused, and finds for each person what an enrolment would.
func TestSambaEnrollCandidates(t *testing.T) {
	t.Parallel()
	dc := samba.Lease(t)
	phones, inner := dc.AddGroup(t, "Phones"), dc.AddGroup(t, "inner")
	dc.AddMember(t, phones.DN, inner.DN)
	add := func(u samba.User, group string) samba.Entry {
		e := dc.AddUser(t, u)
		dc.AddMember(t, group, e.DN)
		return e
	}
	users := map[string]samba.Entry{
		"anna": add(samba.User{Login: "anna", Name: "Anna"}, phones.DN), "dora": add(samba.User{Login: "dora", Name: "Dora", Disabled: true}, inner.DN),
		"foreign": add(samba.User{Login: "foreign", Name: "Foreign", UPN: "foreign@elsewhere.example"}, inner.DN), "bare": add(samba.User{Login: "bare", Name: "Bare", UPN: "-"}, phones.DN),
		"boss": add(samba.User{Login: "boss", Name: "Boss"}, phones.DN),
	}
	dc.AddUser(t, samba.User{Login: "stranger", Name: "Not in the group"})
	dc.AddMember(t, dc.BySID(t, dcAdmins(dc)).DN, users["boss"].DN)
	fx := newFixtureOver(t, dc, func(c *directory.LDAPConfig) { c.Enroll = []string{phones.DN} })

	got, err := directory.EnrollCandidates(t.Context(), fx.people, 50)
	testkit.NoError(t, err)
	rules := enroll.Rules{RequireSID: true}
	reason := func(p portal.Person) portal.Reason {
		var refusal *portal.Refusal
		if errors.As(rules.Judge(p), &refusal) {
			return refusal.Reason
		}
		return ""
	}
	reasons := map[string]portal.Reason{}
	for _, p := range got.People {
		reasons[p.Login] = reason(p)
	}
	want := map[string]portal.Reason{"anna": "", "dora": portal.Disabled, "foreign": portal.SuffixForeign, "bare": portal.NoUPN, "boss": portal.Protected}
	if !maps.Equal(reasons, want) || got.More || got.Unread != 0 {
		t.Errorf("got %v, more %v, unread %d, want %v", reasons, got.More, got.Unread, want)
	}
	for login, entry := range users {
		if enrolling := reason(fx.person(entry)); enrolling != reasons[login] {
			t.Errorf("%s: counted %q, an enrolment finds %q", login, reasons[login], enrolling)
		}
	}
	few, err := directory.EnrollCandidates(t.Context(), fx.people, 2)
	testkit.NoError(t, err)
	if len(few.People) != 2 || !few.More {
		t.Errorf("with a limit of 2: %d people, more %v", len(few.People), few.More)
	}
	testkit.NoError(t, directory.Answers(t.Context(), fx.people))
}
