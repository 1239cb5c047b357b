package ca_test

import (
	"testing"

	"certportal/ca"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// TestIssuedTo issues to an account with and without a SID, and asks for others.
func TestIssuedTo(t *testing.T) {
	issuer := fixture.Issuer(t, fixture.Hierarchy(t, ca.ECP256))
	issue := func(s ca.Subject) func(ca.Subject) bool {
		prepared := testkit.Must(issuer.Prepare(fixture.UserProfile(t), s, testkit.ECKey(t).Public(), testkit.Noon))(t)
		cert := testkit.Must(issuer.Sign(prepared))(t)
		return func(s ca.Subject) bool { return ca.IssuedTo(cert, s) }
	}
	const sid, upn = fixture.SIDPrefix + "1101", "anna@corp.example"
	with, without := issue(ca.Subject{UPN: upn, SID: sid, Mail: upn}), issue(ca.Subject{UPN: upn, Mail: upn})
	for _, tt := range []struct {
		name                string
		of                  ca.Subject
		withSID, withoutSID bool
	}{
		{"the same", ca.Subject{UPN: upn, SID: sid}, true, true},
		{"renamed", ca.Subject{UPN: "anna.meyer@corp.example", SID: sid}, true, false},
		{"another account with the UPN", ca.Subject{UPN: upn, SID: fixture.SIDPrefix + "1102"}, false, true},
		{"without SID", ca.Subject{UPN: upn}, false, true},
		{"without SID, in other letters", ca.Subject{UPN: "Anna@Corp.Example"}, false, true},
		{"another UPN without SID", ca.Subject{UPN: "bert@corp.example"}, false, false},
		{"nothing", ca.Subject{}, false, false},
	} {
		if got := with(tt.of); got != tt.withSID {
			t.Errorf("%s, a certificate with SID: got %v", tt.name, got)
		}
		if got := without(tt.of); got != tt.withoutSID {
			t.Errorf("%s, a certificate without SID: got %v", tt.name, got)
		}
	}
}
