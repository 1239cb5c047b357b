package enroll_test

import (
	"errors"
	"testing"

	"certportal/internal/enroll"
	"certportal/internal/portal"
)

func TestRulesJudge(t *testing.T) {
	fine := portal.Person{
		ID: "1", Login: "anna", UPN: "anna@corp.example", SID: "S-1-5-21-1004336348-1177238915-682003330-1101", MayEnroll: true,
	}
	tests := []struct {
		name   string
		change func(*portal.Person)
		rules  enroll.Rules
		want   portal.Reason
	}{
		{"fine", func(*portal.Person) {}, enroll.Rules{RequireSID: true}, ""},
		{"disabled", func(p *portal.Person) { p.Disabled = true }, enroll.Rules{}, portal.Disabled},
		{"expired", func(p *portal.Person) { p.Expired = true }, enroll.Rules{}, portal.Expired},
		{"locked", func(p *portal.Person) { p.Locked = true }, enroll.Rules{}, portal.Locked},
		{"conflict", func(p *portal.Person) { p.Conflict = portal.UPNTaken }, enroll.Rules{}, portal.Conflicting},
		{"protected", func(p *portal.Person) { p.Protected = true }, enroll.Rules{}, portal.Protected},
		{"protected, by setting", func(p *portal.Person) { p.Protected = true }, enroll.Rules{EnrollProtected: true}, ""},
		{"a conflict no setting lets through", func(p *portal.Person) { p.Protected, p.Conflict = true, portal.UPNIsLogin },
			enroll.Rules{EnrollProtected: true}, portal.Conflicting},
		{"not in the group", func(p *portal.Person) { p.MayEnroll = false }, enroll.Rules{}, portal.NotAllowed},
		{"no UPN", func(p *portal.Person) { p.UPN = "" }, enroll.Rules{}, portal.NoUPN},
		{"no SID", func(p *portal.Person) { p.SID = "" }, enroll.Rules{RequireSID: true}, portal.NoSID},
		{"no SID where there are none", func(p *portal.Person) { p.SID = "" }, enroll.Rules{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := fine
			tt.change(&p)
			err := tt.rules.Judge(p)
			var refusal *portal.Refusal
			errors.As(err, &refusal)
			if tt.want == "" && err != nil || tt.want != "" && (refusal == nil || refusal.Reason != tt.want) {
				t.Errorf("Judge: %v, want %q", err, tt.want)
			}
		})
	}
}
