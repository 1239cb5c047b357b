package authz_test

import (
	"fmt"
	"slices"
	"testing"

	"certportal/internal/authz"
	"certportal/internal/portal"
)

func somebody(id string, roles ...portal.Role) portal.Person {
	return portal.Person{ID: portal.PersonID(id), Roles: roles}
}

func protected(p portal.Person) portal.Person {
	p.Protected = true
	return p
}

func TestDecide(t *testing.T) {
	anna, bert := somebody("anna"), somebody("bert")
	help, aud, adm := somebody("help", portal.Helpdesk), somebody("aud", portal.Auditor), somebody("adm", portal.Admin)
	both := somebody("both", portal.Helpdesk, portal.Admin)
	cases := []struct {
		name   string
		actor  portal.Person
		act    authz.Act
		target *portal.Person
		maker  portal.PersonID
		role   portal.Role
		why    authz.Why
	}{
		{"own", anna, authz.Own, &anna, "", portal.Employee, ""},
		{"own of another", anna, authz.Own, &bert, "", "", authz.WhyAnother},
		{"own of nobody", anna, authz.Own, nil, "", "", authz.WhyNobody},
		{"employee looks for people", anna, authz.FindPeople, nil, "", "", authz.WhyRole},
		{"employee revokes another's", anna, authz.Revoke, &bert, "", "", authz.WhyRole},
		{"helpdesk invites", help, authz.Invite, &anna, "", portal.Helpdesk, ""},
		{"helpdesk invites nobody", help, authz.Invite, nil, "", "", authz.WhyNobody},
		{"helpdesk blocks", help, authz.Block, &anna, "", portal.Helpdesk, ""},
		{"helpdesk blocks staff", help, authz.Block, &aud, "", "", authz.WhyStaff},
		{"helpdesk revokes", help, authz.Revoke, &anna, "", "", authz.WhyRole},
		{"helpdesk reads the ledger", help, authz.ReadLedger, nil, "", "", authz.WhyRole},
		{"auditor reads the ledger", aud, authz.ReadLedger, nil, "", portal.Auditor, ""},
		{"auditor exports", aud, authz.Export, nil, "", portal.Auditor, ""},
		{"auditor invites", aud, authz.Invite, &anna, "", "", authz.WhyRole},
		{"admin revokes", adm, authz.Revoke, &anna, "", portal.Admin, ""},
		{"admin revokes their own", adm, authz.Revoke, &adm, "", portal.Admin, ""},
		{"admin invites helpdesk", adm, authz.Invite, &help, "", portal.Admin, ""},
		{"helpdesk and admin invites staff as admin", both, authz.Invite, &aud, "", portal.Admin, ""},
		{"helpdesk and admin invites as helpdesk", both, authz.Invite, &anna, "", portal.Helpdesk, ""},
		{"order by another", adm, authz.ApproveOrder, nil, "both", portal.Admin, ""},
		{"order of nobody", adm, authz.ApproveOrder, nil, "", "", authz.WhyNobody},
		{"no such act", adm, "everything", nil, "", "", authz.WhyRole},
		{"no act", adm, "", nil, "", "", authz.WhyRole},
		{"nobody", portal.Person{Roles: []portal.Role{portal.Admin}}, authz.ReadLedger, nil, "", "", authz.WhyAccount},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			role, err := authz.Decide(authz.Question{Actor: c.actor, Act: c.act, Target: c.target, Maker: c.maker})
			got, want := fmt.Sprint(role, "|", authz.DeniedWhy(err)), fmt.Sprint(c.role, "|", c.why)
			if got != want {
				t.Errorf("got %s (%v), want %s", got, err, want)
			}
		})
	}
}

// Whatever staff does, nobody gets a code for a protected person, and helpdesk
// does nothing to one.
func TestA3_ProtectedPeople(t *testing.T) {
	for _, roles := range [][]portal.Role{{portal.Helpdesk}, {portal.Admin}, {portal.Helpdesk, portal.Auditor, portal.Admin}} {
		for _, target := range []portal.Person{somebody("chief"), somebody("chief", portal.Admin)} {
			target = protected(target)
			for _, act := range []authz.Act{authz.Invite, authz.Approve, authz.Block} {
				role, err := authz.Decide(authz.Question{Actor: somebody("x", roles...), Act: act, Target: &target, Maker: "y"})
				if act == authz.Block && slices.Contains(roles, portal.Admin) {
					if err != nil || role != portal.Admin {
						t.Errorf("%v %s: got %q, %v, want the administrator's", roles, act, role, err)
					}
					continue
				}
				if got := authz.DeniedWhy(err); got != authz.WhyProtected {
					t.Errorf("%v %s: got %q, %v, want %q", roles, act, role, err, authz.WhyProtected)
				}
			}
		}
	}
}

func TestA4_NobodyApprovesTheirOwn(t *testing.T) {
	anna := somebody("anna")
	cases := []struct {
		name   string
		actor  portal.Person
		act    authz.Act
		target portal.Person
		maker  portal.PersonID
		why    authz.Why
	}{
		{"code for oneself", somebody("x", portal.Helpdesk), authz.Invite, somebody("x", portal.Helpdesk), "", authz.WhySelf},
		{"code for oneself as admin", somebody("x", portal.Admin), authz.Invite, somebody("x", portal.Admin), "", authz.WhySelf},
		{"own code approved", somebody("x", portal.Helpdesk), authz.Approve, anna, "x", authz.WhySame},
		{"code for oneself approved", somebody("x", portal.Admin), authz.Approve, somebody("x", portal.Admin), "y", authz.WhySelf},
		{"approved by another", somebody("x", portal.Helpdesk), authz.Approve, anna, "y", ""},
		{"own order approved", somebody("x", portal.Admin), authz.ApproveOrder, portal.Person{}, "x", authz.WhySame},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := authz.Decide(authz.Question{Actor: c.actor, Act: c.act, Target: &c.target, Maker: c.maker})
			if got := authz.DeniedWhy(err); got != c.why || (err == nil) != (c.why == "") {
				t.Errorf("got %q, %v, want %q", got, err, c.why)
			}
		})
	}
}

func TestA11_SwitchedOffStaffMayNothing(t *testing.T) {
	off, over := somebody("x", portal.Admin), somebody("y", portal.Admin)
	off.Disabled, over.Expired = true, true
	for _, act := range authz.Acts(portal.Admin) {
		for _, actor := range []portal.Person{off, over} {
			if _, err := authz.MayTry(actor, act); authz.DeniedWhy(err) != authz.WhyAccount {
				t.Errorf("%s by %s: %v, want %q", act, actor.ID, err, authz.WhyAccount)
			}
		}
	}
}

// TestA10_RolesStayWhatTheyAre holds the shape of the table, whoever adds a line.
func TestA10_RolesStayWhatTheyAre(t *testing.T) {
	all := authz.Acts(portal.Admin)
	for _, act := range authz.Acts(portal.Auditor) {
		if act.Changes() {
			t.Errorf("auditors change something: %s", act)
		}
		if !slices.Contains(all, act) {
			t.Errorf("auditors may and administrators may not: %s", act)
		}
	}
	for _, act := range authz.Acts(portal.Helpdesk) {
		if !slices.Contains(all, act) {
			t.Errorf("helpdesk may and administrators may not: %s", act)
		}
	}
	if got := authz.Acts("root"); got != nil {
		t.Errorf("unknown role: %v, want nothing", got)
	}
}
