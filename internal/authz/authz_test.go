package authz_test

import (
	"fmt"
	"slices"
	"testing"

	"certportal/internal/authz"
	"certportal/internal/portal"
)

func person(id string, roles ...portal.Role) portal.Person {
	return portal.Person{ID: portal.PersonID(id), Roles: roles}
}

func protected(p portal.Person) portal.Person {
	p.Protected = true
	return p
}

func TestDecide(t *testing.T) {
	anna, bert := person("anna"), person("bert")
	help, aud, adm := person("help", portal.Helpdesk), person("aud", portal.Auditor), person("adm", portal.Admin)
	both := person("both", portal.Helpdesk, portal.Admin)
	cases := []struct {
		name   string
		actor  portal.Person
		act    authz.Act
		target *portal.Person
		maker  portal.PersonID
		role   portal.Role
		reason authz.Reason
	}{
		{"own", anna, authz.Own, &anna, "", portal.Employee, ""},
		{"own of another", anna, authz.Own, &bert, "", "", authz.ReasonNotOwn},
		{"own without target", anna, authz.Own, nil, "", "", authz.ReasonNoTarget},
		{"employee looks for people", anna, authz.FindPeople, nil, "", "", authz.ReasonRole},
		{"employee revokes another's", anna, authz.Revoke, &bert, "", "", authz.ReasonRole},
		{"helpdesk invites", help, authz.Invite, &anna, "", portal.Helpdesk, ""},
		{"helpdesk invites without target", help, authz.Invite, nil, "", "", authz.ReasonNoTarget},
		{"helpdesk blocks", help, authz.Block, &anna, "", portal.Helpdesk, ""},
		{"helpdesk blocks staff", help, authz.Block, &aud, "", "", authz.ReasonStaff},
		{"helpdesk revokes", help, authz.Revoke, &anna, "", "", authz.ReasonRole},
		{"helpdesk reads the audit log", help, authz.ReadAuditLog, nil, "", "", authz.ReasonRole},
		{"auditor reads the audit log", aud, authz.ReadAuditLog, nil, "", portal.Auditor, ""},
		{"auditor exports", aud, authz.Export, nil, "", portal.Auditor, ""},
		{"auditor invites", aud, authz.Invite, &anna, "", "", authz.ReasonRole},
		{"admin revokes", adm, authz.Revoke, &anna, "", portal.Admin, ""},
		{"admin revokes their own", adm, authz.Revoke, &adm, "", portal.Admin, ""},
		{"admin invites helpdesk", adm, authz.Invite, &help, "", portal.Admin, ""},
		{"helpdesk and admin invites staff as admin", both, authz.Invite, &aud, "", portal.Admin, ""},
		{"helpdesk and admin invites as helpdesk", both, authz.Invite, &anna, "", portal.Helpdesk, ""},
		{"bulk revocation by another", adm, authz.ApproveBulk, nil, "both", portal.Admin, ""},
		{"bulk revocation without maker", adm, authz.ApproveBulk, nil, "", "", authz.ReasonNoTarget},
		{"no such act", adm, "everything", nil, "", "", authz.ReasonRole},
		{"no act", adm, "", nil, "", "", authz.ReasonRole},
		{"actor without id", portal.Person{Roles: []portal.Role{portal.Admin}}, authz.ReadAuditLog, nil, "", "", authz.ReasonAccount},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			role, err := authz.Decide(authz.Request{Actor: c.actor, Act: c.act, Target: c.target, Maker: c.maker})
			got, want := fmt.Sprint(role, "|", authz.ReasonOf(err)), fmt.Sprint(c.role, "|", c.reason)
			if got != want {
				t.Errorf("got %s (%v), want %s", got, err, want)
			}
		})
	}
}

// TestA3_ProtectedPeople: no role gives a code for a protected person, and helpdesk
// blocks none of their devices.
func TestA3_ProtectedPeople(t *testing.T) {
	for _, roles := range [][]portal.Role{{portal.Helpdesk}, {portal.Admin}, {portal.Helpdesk, portal.Auditor, portal.Admin}} {
		for _, target := range []portal.Person{person("chief"), person("chief", portal.Admin)} {
			target = protected(target)
			for _, act := range []authz.Act{authz.Invite, authz.Approve, authz.Block} {
				role, err := authz.Decide(authz.Request{Actor: person("x", roles...), Act: act, Target: &target, Maker: "y"})
				if act == authz.Block && slices.Contains(roles, portal.Admin) {
					if err != nil || role != portal.Admin {
						t.Errorf("%v %s: got %q, %v, want the administrator's", roles, act, role, err)
					}
					continue
				}
				if got := authz.ReasonOf(err); got != authz.ReasonProtected {
					t.Errorf("%v %s: got %q, %v, want %q", roles, act, role, err, authz.ReasonProtected)
				}
			}
		}
	}
}

func TestA4_NobodyApprovesTheirOwn(t *testing.T) {
	anna := person("anna")
	cases := []struct {
		name   string
		actor  portal.Person
		act    authz.Act
		target portal.Person
		maker  portal.PersonID
		reason authz.Reason
	}{
		{"code for oneself", person("x", portal.Helpdesk), authz.Invite, person("x", portal.Helpdesk), "", authz.ReasonSelf},
		{"code for oneself as admin", person("x", portal.Admin), authz.Invite, person("x", portal.Admin), "", authz.ReasonSelf},
		{"own code approved", person("x", portal.Helpdesk), authz.Approve, anna, "x", authz.ReasonSame},
		{"code for oneself approved", person("x", portal.Admin), authz.Approve, person("x", portal.Admin), "y", authz.ReasonSelf},
		{"approved by another", person("x", portal.Helpdesk), authz.Approve, anna, "y", ""},
		{"own bulk revocation approved", person("x", portal.Admin), authz.ApproveBulk, portal.Person{}, "x", authz.ReasonSame},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := authz.Decide(authz.Request{Actor: c.actor, Act: c.act, Target: &c.target, Maker: c.maker})
			if got := authz.ReasonOf(err); got != c.reason || (err == nil) != (c.reason == "") {
				t.Errorf("got %q, %v, want %q", got, err, c.reason)
			}
		})
	}
}

func TestA11_SwitchedOffStaffMayNothing(t *testing.T) {
	off, over := person("x", portal.Admin), person("y", portal.Admin)
	off.Disabled, over.Expired = true, true
	for _, act := range authz.Acts(portal.Admin) {
		for _, actor := range []portal.Person{off, over} {
			if _, err := authz.CanAny(actor, act); authz.ReasonOf(err) != authz.ReasonAccount {
				t.Errorf("%s by %s: %v, want %q", act, actor.ID, err, authz.ReasonAccount)
			}
		}
	}
}

// TestA10_RolesStayWhatTheyAre checks rules that hold for the table of acts as a whole.
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
