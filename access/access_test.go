package access_test

import (
	"fmt"
	"slices"
	"testing"

	"certportal/access"
	"certportal/enroll"
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
		act    access.Act
		target *enroll.Person
		maker  enroll.PersonID
		role   enroll.Role
		why    access.Why
	}{
		{"own", anna, access.Own, &anna, "", enroll.Employee, ""},
		{"own of another", anna, access.Own, &bert, "", "", access.WhyAnother},
		{"own of nobody", anna, access.Own, nil, "", "", access.WhyNobody},
		{"employee looks for people", anna, access.FindPeople, nil, "", "", access.WhyRole},
		{"employee revokes another's", anna, access.Revoke, &bert, "", "", access.WhyRole},
		{"helpdesk invites", help, access.Invite, &anna, "", enroll.Helpdesk, ""},
		{"helpdesk invites nobody", help, access.Invite, nil, "", "", access.WhyNobody},
		{"helpdesk blocks", help, access.Block, &anna, "", enroll.Helpdesk, ""},
		{"helpdesk blocks staff", help, access.Block, &aud, "", "", access.WhyStaff},
		{"helpdesk revokes", help, access.Revoke, &anna, "", "", access.WhyRole},
		{"helpdesk reads the ledger", help, access.ReadLedger, nil, "", "", access.WhyRole},
		{"auditor reads the ledger", aud, access.ReadLedger, nil, "", enroll.Auditor, ""},
		{"auditor exports", aud, access.Export, nil, "", enroll.Auditor, ""},
		{"auditor invites", aud, access.Invite, &anna, "", "", access.WhyRole},
		{"admin revokes", adm, access.Revoke, &anna, "", enroll.Admin, ""},
		{"admin revokes their own", adm, access.Revoke, &adm, "", enroll.Admin, ""},
		{"admin invites helpdesk", adm, access.Invite, &help, "", enroll.Admin, ""},
		{"helpdesk and admin invites staff as admin", both, access.Invite, &aud, "", enroll.Admin, ""},
		{"helpdesk and admin invites as helpdesk", both, access.Invite, &anna, "", enroll.Helpdesk, ""},
		{"order by another", adm, access.ApproveOrder, nil, "both", enroll.Admin, ""},
		{"order of nobody", adm, access.ApproveOrder, nil, "", "", access.WhyNobody},
		{"no such act", adm, "everything", nil, "", "", access.WhyRole},
		{"no act", adm, "", nil, "", "", access.WhyRole},
		{"nobody", enroll.Person{Roles: []enroll.Role{enroll.Admin}}, access.ReadLedger, nil, "", "", access.WhyAccount},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			role, err := access.Decide(access.Question{Actor: c.actor, Act: c.act, Target: c.target, Maker: c.maker})
			got, want := fmt.Sprint(role, "|", access.DeniedWhy(err)), fmt.Sprint(c.role, "|", c.why)
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
			for _, act := range []access.Act{access.Invite, access.Approve, access.Block} {
				role, err := access.Decide(access.Question{Actor: somebody("x", roles...), Act: act, Target: &target, Maker: "y"})
				if act == access.Block && slices.Contains(roles, enroll.Admin) {
					if err != nil || role != enroll.Admin {
						t.Errorf("%v %s: got %q, %v, want the administrator's", roles, act, role, err)
					}
					continue
				}
				if got := access.DeniedWhy(err); got != access.WhyProtected {
					t.Errorf("%v %s: got %q, %v, want %q", roles, act, role, err, access.WhyProtected)
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
		act    access.Act
		target enroll.Person
		maker  enroll.PersonID
		why    access.Why
	}{
		{"code for oneself", somebody("x", enroll.Helpdesk), access.Invite, somebody("x", enroll.Helpdesk), "", access.WhySelf},
		{"code for oneself as admin", somebody("x", enroll.Admin), access.Invite, somebody("x", enroll.Admin), "", access.WhySelf},
		{"own code approved", somebody("x", enroll.Helpdesk), access.Approve, anna, "x", access.WhySame},
		{"code for oneself approved", somebody("x", enroll.Admin), access.Approve, somebody("x", enroll.Admin), "y", access.WhySelf},
		{"approved by another", somebody("x", enroll.Helpdesk), access.Approve, anna, "y", ""},
		{"own order approved", somebody("x", enroll.Admin), access.ApproveOrder, enroll.Person{}, "x", access.WhySame},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := access.Decide(access.Question{Actor: c.actor, Act: c.act, Target: &c.target, Maker: c.maker})
			if got := access.DeniedWhy(err); got != c.why || (err == nil) != (c.why == "") {
				t.Errorf("got %q, %v, want %q", got, err, c.why)
			}
		})
	}
}

func TestA11_SwitchedOffStaffMayNothing(t *testing.T) {
	off, over := somebody("x", enroll.Admin), somebody("y", enroll.Admin)
	off.Disabled, over.Expired = true, true
	for _, act := range access.Acts(enroll.Admin) {
		for _, actor := range []enroll.Person{off, over} {
			if _, err := access.MayTry(actor, act); access.DeniedWhy(err) != access.WhyAccount {
				t.Errorf("%s by %s: %v, want %q", act, actor.ID, err, access.WhyAccount)
			}
		}
	}
}

// TestA10_RolesStayWhatTheyAre holds the shape of the table, whoever adds a line.
func TestA10_RolesStayWhatTheyAre(t *testing.T) {
	all := access.Acts(enroll.Admin)
	for _, act := range access.Acts(enroll.Auditor) {
		if act.Changes() {
			t.Errorf("auditors change something: %s", act)
		}
		if !slices.Contains(all, act) {
			t.Errorf("auditors may and administrators may not: %s", act)
		}
	}
	for _, act := range access.Acts(enroll.Helpdesk) {
		if !slices.Contains(all, act) {
			t.Errorf("helpdesk may and administrators may not: %s", act)
		}
	}
	if got := access.Acts("root"); got != nil {
		t.Errorf("unknown role: %v, want nothing", got)
	}
}
