package authz_test

import (
	"fmt"
	"slices"
	"testing"

	"certportal/internal/authz"
	"certportal/internal/enroll"
)

func somebody(id string, roles ...enroll.Role) enroll.Person {
	return enroll.Person{ID: enroll.PersonID(id), Roles: roles}
}

func protected(p enroll.Person) enroll.Person {
	p.Protected = true
	return p
}

func TestDecide(t *testing.T) {
	anna, bert := somebody("anna"), somebody("bert")
	help, aud, adm := somebody("help", enroll.Helpdesk), somebody("aud", enroll.Auditor), somebody("adm", enroll.Admin)
	both := somebody("both", enroll.Helpdesk, enroll.Admin)
	cases := []struct {
		name   string
		actor  enroll.Person
		act    authz.Act
		target *enroll.Person
		maker  enroll.PersonID
		role   enroll.Role
		why    authz.Why
	}{
		{"own", anna, authz.Own, &anna, "", enroll.Employee, ""},
		{"own of another", anna, authz.Own, &bert, "", "", authz.WhyAnother},
		{"own of nobody", anna, authz.Own, nil, "", "", authz.WhyNobody},
		{"employee looks for people", anna, authz.FindPeople, nil, "", "", authz.WhyRole},
		{"employee revokes another's", anna, authz.Revoke, &bert, "", "", authz.WhyRole},
		{"helpdesk invites", help, authz.Invite, &anna, "", enroll.Helpdesk, ""},
		{"helpdesk invites nobody", help, authz.Invite, nil, "", "", authz.WhyNobody},
		{"helpdesk blocks", help, authz.Block, &anna, "", enroll.Helpdesk, ""},
		{"helpdesk blocks staff", help, authz.Block, &aud, "", "", authz.WhyStaff},
		{"helpdesk revokes", help, authz.Revoke, &anna, "", "", authz.WhyRole},
		{"helpdesk reads the ledger", help, authz.ReadLedger, nil, "", "", authz.WhyRole},
		{"auditor reads the ledger", aud, authz.ReadLedger, nil, "", enroll.Auditor, ""},
		{"auditor exports", aud, authz.Export, nil, "", enroll.Auditor, ""},
		{"auditor invites", aud, authz.Invite, &anna, "", "", authz.WhyRole},
		{"admin revokes", adm, authz.Revoke, &anna, "", enroll.Admin, ""},
		{"admin revokes their own", adm, authz.Revoke, &adm, "", enroll.Admin, ""},
		{"admin invites helpdesk", adm, authz.Invite, &help, "", enroll.Admin, ""},
		{"helpdesk and admin invites staff as admin", both, authz.Invite, &aud, "", enroll.Admin, ""},
		{"helpdesk and admin invites as helpdesk", both, authz.Invite, &anna, "", enroll.Helpdesk, ""},
		{"order by another", adm, authz.ApproveOrder, nil, "both", enroll.Admin, ""},
		{"order of nobody", adm, authz.ApproveOrder, nil, "", "", authz.WhyNobody},
		{"no such act", adm, "everything", nil, "", "", authz.WhyRole},
		{"no act", adm, "", nil, "", "", authz.WhyRole},
		{"nobody", enroll.Person{Roles: []enroll.Role{enroll.Admin}}, authz.ReadLedger, nil, "", "", authz.WhyAccount},
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
	for _, roles := range [][]enroll.Role{{enroll.Helpdesk}, {enroll.Admin}, {enroll.Helpdesk, enroll.Auditor, enroll.Admin}} {
		for _, target := range []enroll.Person{somebody("chief"), somebody("chief", enroll.Admin)} {
			target = protected(target)
			for _, act := range []authz.Act{authz.Invite, authz.Approve, authz.Block} {
				role, err := authz.Decide(authz.Question{Actor: somebody("x", roles...), Act: act, Target: &target, Maker: "y"})
				if act == authz.Block && slices.Contains(roles, enroll.Admin) {
					if err != nil || role != enroll.Admin {
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
		actor  enroll.Person
		act    authz.Act
		target enroll.Person
		maker  enroll.PersonID
		why    authz.Why
	}{
		{"code for oneself", somebody("x", enroll.Helpdesk), authz.Invite, somebody("x", enroll.Helpdesk), "", authz.WhySelf},
		{"code for oneself as admin", somebody("x", enroll.Admin), authz.Invite, somebody("x", enroll.Admin), "", authz.WhySelf},
		{"own code approved", somebody("x", enroll.Helpdesk), authz.Approve, anna, "x", authz.WhySame},
		{"code for oneself approved", somebody("x", enroll.Admin), authz.Approve, somebody("x", enroll.Admin), "y", authz.WhySelf},
		{"approved by another", somebody("x", enroll.Helpdesk), authz.Approve, anna, "y", ""},
		{"own order approved", somebody("x", enroll.Admin), authz.ApproveOrder, enroll.Person{}, "x", authz.WhySame},
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
	off, over := somebody("x", enroll.Admin), somebody("y", enroll.Admin)
	off.Disabled, over.Expired = true, true
	for _, act := range authz.Acts(enroll.Admin) {
		for _, actor := range []enroll.Person{off, over} {
			if _, err := authz.MayTry(actor, act); authz.DeniedWhy(err) != authz.WhyAccount {
				t.Errorf("%s by %s: %v, want %q", act, actor.ID, err, authz.WhyAccount)
			}
		}
	}
}

// TestA10_RolesStayWhatTheyAre holds the shape of the table, whoever adds a line.
func TestA10_RolesStayWhatTheyAre(t *testing.T) {
	all := authz.Acts(enroll.Admin)
	for _, act := range authz.Acts(enroll.Auditor) {
		if act.Changes() {
			t.Errorf("auditors change something: %s", act)
		}
		if !slices.Contains(all, act) {
			t.Errorf("auditors may and administrators may not: %s", act)
		}
	}
	for _, act := range authz.Acts(enroll.Helpdesk) {
		if !slices.Contains(all, act) {
			t.Errorf("helpdesk may and administrators may not: %s", act)
		}
	}
	if got := authz.Acts("root"); got != nil {
		t.Errorf("unknown role: %v, want nothing", got)
	}
}
