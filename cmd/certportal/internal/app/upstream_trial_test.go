package app

import (
	"strings"
	"testing"
	"time"

	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/standin"
	"certportal/internal/test/standin/ces"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// A14, ESC3: with a restricted agent the test of issue passes for a person of its group, and
// the test of refusal for one outside, by the HRESULT of the restriction. Other answers prove
// nothing, and what is issued is wrong.
func TestA14_TrialThroughADCS(t *testing.T) {
	for _, tt := range []struct {
		name    string
		kind    enroll.TrialKind
		person  string
		set     func(*ces.CA)
		verdict enroll.Verdict
		said    string
	}{
		{"issue in the group", enroll.TrialIssue, "anna", nil, enroll.TrialPassed, ""},
		{"issue outside of it", enroll.TrialIssue, "boss", nil, enroll.TrialFailed, "0x80094009"},
		{"refusal outside of it", enroll.TrialRefusal, "boss", nil, enroll.TrialPassed, "0x80094009"},
		{"refusal by the template", enroll.TrialRefusal, "anna", func(c *ces.CA) { c.Set(standin.Denied) }, enroll.TrialDoubt, "0x80094012"},
		{"refusal of a person of its group", enroll.TrialRefusal, "anna", nil, enroll.TrialFailed, ""},
		{"refusal with another UPN", enroll.TrialRefusal, "anna", func(c *ces.CA) { c.SetWrong(standin.AnotherUPN) }, enroll.TrialFailed, ""},
		{"issue with another UPN", enroll.TrialIssue, "anna", func(c *ces.CA) { c.SetWrong(standin.AnotherUPN) }, enroll.TrialFailed, "san-upn"},
		{"no mail address", enroll.TrialRefusal, "anna", func(c *ces.CA) { c.SetCode(0x80094812) }, enroll.TrialDoubt, "0x80094812"},
		{"the agent is revoked", enroll.TrialRefusal, "anna", func(c *ces.CA) { c.RevokeAgent() }, enroll.TrialUnknown, "0x80092010"},
		{"pending", enroll.TrialRefusal, "anna", func(c *ces.CA) { c.Set(standin.Pending) }, enroll.TrialOpen, ""},
		{"silent", enroll.TrialRefusal, "anna", func(c *ces.CA) { c.Set(standin.Cut) }, enroll.TrialUnknown, ""},
		{"not there", enroll.TrialRefusal, "anna", func(c *ces.CA) { c.Set(standin.Unavailable) }, enroll.TrialUnknown, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := ces.Start(t)
			s := adcsSettings(t, server)
			s.Upstreams = append(s.Upstreams, s.Upstreams[0])
			s.Upstreams[1].Name, s.Upstreams[1].Template = "next", "PortalUser2"
			p, _ := upstreamPortal(t, &s, localca.Tokens(&s))
			p.Add("boss", fixture.SIDPrefix+"500")
			if tt.set != nil {
				tt.set(server)
			}
			for _, authority := range []string{"upstream-company", "upstream-next"} {
				testkit.NoError(t, p.TryUpstream(t.Context(), enroll.TrialRequest{
					By: portal.Operator(), Authority: authority, Kind: tt.kind, Person: portal.PersonID("id-of-" + tt.person), Patience: time.Minute,
				}))
			}
			for _, got := range testkit.Must(p.DB.UpstreamTrials(t.Context()))(t) {
				if got.Verdict() != tt.verdict || !strings.Contains(got.Detail, tt.said) {
					t.Errorf("%s is %s: %+v", got.Authority, got.Verdict(), got)
				}
				if got.Issued() && (got.Serial.IsZero() || !got.Revoked.IsZero() || !got.ByHand) {
					t.Errorf("revocation: %+v", got)
				}
			}
			if open := testkit.Must(p.DB.UpstreamRevocations(t.Context(), 10))(t); len(open) != len(server.Issued()) && tt.name != "silent" {
				t.Errorf("%d certificates came, and %d are queued", len(server.Issued()), len(open))
			}
		})
	}
}
