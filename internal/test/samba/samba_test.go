package samba_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/test/samba"
)

func TestTheControllerIsReal(t *testing.T) {
	dc := samba.Start(t)
	anna := dc.AddUser(t, samba.User{Login: "anna", Name: "Anna Example", Mail: "anna@example.test", Unit: "Staff"})
	if !strings.HasPrefix(anna.SID, dc.SID+"-") || len(anna.GUID) != 36 {
		t.Errorf("got SID %q and GUID %q in domain %q", anna.SID, anna.GUID, dc.SID)
	}
	for attribute, want := range map[string]string{"objectSid": anna.SID, "objectGUID": anna.GUID, "sAMAccountName": "anna"} {
		if got := dc.Database(t, anna.DN, attribute); got != want {
			t.Errorf("got %s %q, want %q as ldbsearch writes it", attribute, want, got)
		}
	}
	for _, login := range []string{"anna@corp.example.test", "CORP\\anna", anna.DN} {
		if err := dc.TryPassword(login, samba.Password); err != nil {
			t.Errorf("signing in as %s: %v", login, err)
		}
	}
	dc.Stop()
	if err := dc.TryPassword(anna.DN, samba.Password); err == nil || ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials) {
		t.Errorf("stopped controller: %v, want no connection", err)
	}
	dc.Restart()
	if err := dc.TryPassword(anna.DN, samba.Password); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

// TestSubCodes is the table that the portal's sentences rest on.
func TestSubCodes(t *testing.T) {
	dc := samba.Start(t)
	cases := []struct {
		name         string
		prepare      func(samba.Entry)
		right, wrong string
	}{
		{"in order", func(samba.Entry) {}, "", "52e"},
		{"disabled", func(e samba.Entry) { dc.Disable(t, e.DN) }, "533", "52e"},
		{"expired", func(e samba.Entry) { dc.Expire(t, e.DN) }, "701", "52e"},
		{"must-change", func(e samba.Entry) { dc.MustChange(t, e.DN) }, "773", "52e"},
		{"run-out", func(e samba.Entry) { dc.RunOut(t, e.DN) }, "532", "52e"},
		{"locked", func(e samba.Entry) { dc.Lock(t, e.DN) }, "775", "775"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			who := dc.AddUser(t, samba.User{Login: c.name})
			c.prepare(who)
			if got := subCode(dc.TryPassword(who.DN, samba.Password)); got != c.right {
				t.Errorf("right password: got sub-code %q, want %q", got, c.right)
			}
			if got := subCode(dc.TryPassword(who.DN, "wrong-one")); got != c.wrong {
				t.Errorf("wrong password: got sub-code %q, want %q", got, c.wrong)
			}
		})
	}
}

func subCode(err error) string {
	var answer *ldap.Error
	if !errors.As(err, &answer) {
		return ""
	}
	_, after, _ := strings.Cut(answer.Error(), "data ")
	code, _, _ := strings.Cut(after, ",")
	return code
}
