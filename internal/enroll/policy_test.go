package enroll_test

import (
	"errors"
	"testing"

	"certportal/internal/enroll"
)

func TestRulesJudge(t *testing.T) {
	fine := enroll.Person{
		ID: "1", Login: "anna", UPN: "anna@corp.example", SID: "S-1-5-21-1004336348-1177238915-682003330-1101", MayEnroll: true,
	}
	tests := []struct {
		name   string
		change func(*enroll.Person)
		rules  enroll.Rules
		want   enroll.Reason
	}{
		{"fine", func(*enroll.Person) {}, enroll.Rules{RequireSID: true}, ""},
		{"disabled", func(p *enroll.Person) { p.Disabled = true }, enroll.Rules{}, enroll.Disabled},
		{"expired", func(p *enroll.Person) { p.Expired = true }, enroll.Rules{}, enroll.Expired},
		{"locked", func(p *enroll.Person) { p.Locked = true }, enroll.Rules{}, enroll.Locked},
		{"conflict", func(p *enroll.Person) { p.Conflict = enroll.UPNTaken }, enroll.Rules{}, enroll.Conflicting},
		{"protected", func(p *enroll.Person) { p.Protected = true }, enroll.Rules{}, enroll.Protected},
		{"protected, by setting", func(p *enroll.Person) { p.Protected = true }, enroll.Rules{EnrollProtected: true}, ""},
		{"a conflict no setting lets through", func(p *enroll.Person) { p.Protected, p.Conflict = true, enroll.UPNIsLogin },
			enroll.Rules{EnrollProtected: true}, enroll.Conflicting},
		{"not in the group", func(p *enroll.Person) { p.MayEnroll = false }, enroll.Rules{}, enroll.NotAllowed},
		{"no UPN", func(p *enroll.Person) { p.UPN = "" }, enroll.Rules{}, enroll.NoUPN},
		{"no SID", func(p *enroll.Person) { p.SID = "" }, enroll.Rules{RequireSID: true}, enroll.NoSID},
		{"no SID where there are none", func(p *enroll.Person) { p.SID = "" }, enroll.Rules{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := fine
			tt.change(&p)
			err := tt.rules.Judge(p)
			var refusal *enroll.Refusal
			errors.As(err, &refusal)
			if tt.want == "" && err != nil || tt.want != "" && (refusal == nil || refusal.Reason != tt.want) {
				t.Errorf("Judge: %v, want %q", err, tt.want)
			}
		})
	}
}
