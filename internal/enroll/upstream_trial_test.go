package enroll_test

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/ca/upstream"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// try tests the CA and gives what the records say.
func (e *elsewhere) try(kind enroll.TrialKind, person portal.PersonID) enroll.Trial {
	e.T.Helper()
	by := portal.Actor{Person: "id-of-ada", Role: portal.Admin, Request: "test"}
	testkit.NoError(e.T, e.TryUpstream(e.T.Context(), enroll.TrialRequest{By: by, Authority: "upstream-company", Kind: kind, Person: person}))
	return e.trial(kind)
}

// withBoss adds a protected person who is in no group for certificates.
func (e *elsewhere) withBoss() portal.Person {
	e.T.Helper()
	boss := e.Add("boss", fixture.SIDPrefix+"500")
	e.Registrar = e.NewRegistrar(func(c *enroll.Config) {
		c.Directory = changed{Directory: e.People, change: func(p *portal.Person) {
			if p.ID == boss.ID {
				p.Protected, p.MayEnroll = true, false
			}
		}}
	})
	return boss
}

func (e *elsewhere) trial(kind enroll.TrialKind) enroll.Trial {
	e.T.Helper()
	all := testkit.Must(e.DB.UpstreamTrials(e.T.Context()))(e.T)
	i := slices.IndexFunc(all, func(t enroll.Trial) bool { return t.Kind == kind })
	if i < 0 {
		e.T.Fatalf("no %s among %+v", kind, all)
	}
	return all[i]
}

// A test takes the way of an enrolment: recorded before it is sent, compared, revoked at once,
// and never to be picked up.
func TestTrialIssues(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		e := newElsewhere(t, address)
		e.company.OnSubmit = func(_ context.Context, _ int, req upstream.Request) (upstream.Answer, error) {
			e.Clock.Advance(time.Second)
			entries := fixture.EntriesOf(t, e.DB, audit.UpstreamTested)
			if len(entries) != 1 || entries[0].Object != req.Number || entries[0].Actor != "id-of-ada" || entries[0].Person != string(e.anna.ID) ||
				entries[0].Detail["test"] != "issue" {
				t.Errorf("recorded before the request: %+v", entries)
			}
			return upstream.Answer{ID: "7", Certificate: e.company.Issue(req.CSR)}, nil
		}
		got := e.try(enroll.TrialIssue, e.anna.ID)
		if got.Verdict() != enroll.TrialPassed || got.UPN != e.anna.UPN || got.Serial.IsZero() || got.Revoked.IsZero() || got.ID != "7" {
			t.Errorf("test is %s: %+v", got.Verdict(), got)
		}
		if n := len(e.company.Live()); n != 0 || len(e.working()) != 0 || e.company.Submits() != 1 {
			t.Errorf("%d certificates work at the CA, %d here, after %d requests", n, len(e.working()), e.company.Submits())
		}
		if ended := fixture.EntriesOf(t, e.DB, audit.UpstreamEnded); len(ended) != 1 || ended[0].Detail["test"] != "issue" || ended[0].Person != string(e.anna.ID) {
			t.Errorf("end in the audit log: %+v", ended)
		}
		e.sweep()
		if trouble := testkit.Must(e.DB.UpstreamTrouble(t.Context(), e.Clock.Now()))(t); trouble != (enroll.UpstreamTrouble{}) {
			t.Errorf("a test that passed is a trouble: %+v", trouble)
		}
		// The person enrols as ever, with the same UPN.
		e.company.OnSubmit = nil
		e.enroll("Phone", "form")
		if len(e.working()) != 1 {
			t.Error("after a test the person gets no certificate")
		}
	})
}

// The test of a refusal is green only when the CA denied it for the person: what does not
// arrive is neither green nor issued.
func TestF14_TrialOfRefusal(t *testing.T) {
	deny := func(d *upstream.Denied) func(*elsewhere, upstream.Request) (upstream.Answer, error) {
		return func(*elsewhere, upstream.Request) (upstream.Answer, error) { return upstream.Answer{}, d }
	}
	issue := func(e *elsewhere, req upstream.Request) (upstream.Answer, error) {
		return upstream.Answer{Certificate: e.company.Issue(req.CSR)}, nil
	}
	for _, tt := range []struct {
		name    string
		submit  func(*elsewhere, upstream.Request) (upstream.Answer, error)
		verdict enroll.Verdict
		state   enroll.UpstreamState
		alerts  int
	}{
		{"denied for the person", deny(&upstream.Denied{Code: "0x80094009", Person: true}), enroll.TrialPassed, enroll.UpstreamDenied, 0},
		{"denied for another reason", deny(&upstream.Denied{Code: "0x80094812"}), enroll.TrialDoubt, enroll.UpstreamDenied, 0},
		{"the portal was denied", deny(&upstream.Denied{Code: "401", Credentials: true}), enroll.TrialUnknown, enroll.UpstreamDenied, 0},
		{"issued", issue, enroll.TrialFailed, enroll.UpstreamTooLate, 1},
		{"issued without UPN", func(e *elsewhere, req upstream.Request) (upstream.Answer, error) {
			e.company.Alter = func(c *x509.Certificate) { drop(c, "2.5.29.17") }
			return issue(e, req)
		}, enroll.TrialFailed, enroll.UpstreamRefused, 1},
		{"silent", func(*elsewhere, upstream.Request) (upstream.Answer, error) { return upstream.Answer{}, errCut }, enroll.TrialUnknown, enroll.UpstreamUnknown, 0},
		{"not reached", func(*elsewhere, upstream.Request) (upstream.Answer, error) {
			return upstream.Answer{}, errors.Join(upstream.ErrUnsent, errCut)
		}, enroll.TrialUnknown, enroll.UpstreamUnsent, 0},
		{"pending", func(*elsewhere, upstream.Request) (upstream.Answer, error) { return upstream.Answer{ID: "7"}, nil }, enroll.TrialOpen, enroll.UpstreamPending, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newElsewhere(t, fixture.SQLite(t))
			boss := e.withBoss()
			e.company.OnSubmit = func(_ context.Context, _ int, req upstream.Request) (upstream.Answer, error) {
				return tt.submit(e, req)
			}
			got := e.try(enroll.TrialRefusal, boss.ID)
			if got.Verdict() != tt.verdict || got.State != tt.state {
				t.Errorf("test is %s, %s: %+v", got.Verdict(), got.State, got)
			}
			if n := len(e.company.Live()); n != 0 {
				t.Errorf("%d certificates work at the CA", n)
			}
			if got := testkit.Must(e.DB.UnrestrictedUpstreams(t.Context()))(t); len(got) != tt.alerts {
				t.Errorf("alerts: %+v", got)
			}
		})
	}
}

// The alert ends when the CA denies the same, and not when the portal is denied.
func TestF14_UnrestrictedAlertEnds(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		e := newElsewhere(t, address)
		for _, step := range []struct {
			answer error
			alerts int
		}{{nil, 1}, {&upstream.Denied{Code: "401", Credentials: true}, 1}, {errCut, 1}, {&upstream.Denied{Code: "0x80094009", Person: true}, 0}} {
			e.company.OnSubmit = func(_ context.Context, _ int, req upstream.Request) (upstream.Answer, error) {
				if step.answer != nil {
					return upstream.Answer{}, step.answer
				}
				return upstream.Answer{Certificate: e.company.Issue(req.CSR)}, nil
			}
			e.Clock.Advance(time.Minute)
			e.try(enroll.TrialRefusal, e.anna.ID)
			if got := testkit.Must(e.DB.UnrestrictedUpstreams(t.Context()))(t); len(got) != step.alerts || step.alerts > 0 && got["upstream-company"].IsZero() {
				t.Errorf("after %v: %+v", step.answer, got)
			}
		}
	})
}

// A test that waits for approval is revoked when it comes, days later too, and by a CA that
// cannot be asked it is queued.
func TestPendingTrialIsRevokedWhenItComes(t *testing.T) {
	fixture.OnBothEngines(t, func(t *testing.T, address string) {
		e := newElsewhere(t, address)
		var asked upstream.Request
		e.company.OnSubmit = func(_ context.Context, _ int, req upstream.Request) (upstream.Answer, error) {
			asked = req
			return upstream.Answer{ID: "7", Text: "Taken Under Submission"}, nil
		}
		e.company.OnRevoke = func() error { return upstream.ErrUnsupported }
		if got := e.try(enroll.TrialIssue, e.anna.ID); got.Verdict() != enroll.TrialOpen || got.Detail != "Taken Under Submission" {
			t.Fatalf("test is %s: %+v", got.Verdict(), got)
		}
		e.company.OnPoll = func(context.Context, int, string) (upstream.Answer, error) {
			return upstream.Answer{Certificate: e.company.Issue(asked.CSR)}, nil
		}
		e.Clock.Advance(3 * 24 * time.Hour)
		e.sweep()
		got := e.trial(enroll.TrialIssue)
		if got.Verdict() != enroll.TrialPassed || got.Serial.IsZero() || !got.Revoked.IsZero() || !got.ByHand || len(e.working()) != 0 {
			t.Errorf("test is %s: %+v", got.Verdict(), got)
		}
		open := testkit.Must(e.DB.UpstreamRevocations(t.Context(), 10))(t)
		if len(open) != 1 || open[0].Serial != got.Serial || open[0].Why != enroll.UpstreamEnded {
			t.Errorf("queued: %+v", open)
		}
	})
}

// A test of a CA that makes the certificate when it is polled stays open until it is approved.
// What comes is revoked, and a poll whose answer was lost is not repeated.
func TestF13_PendingTrialIssuedByPoll(t *testing.T) {
	for _, lost := range []bool{false, true} {
		e := newElsewhere(t, fixture.SQLite(t))
		boss := e.withBoss()
		e.company.PollIssues = true
		var asked upstream.Request
		e.company.OnSubmit = func(_ context.Context, _ int, req upstream.Request) (upstream.Answer, error) {
			asked = req
			return upstream.Answer{ID: "pkcs10:AA"}, nil
		}
		approved := false
		e.company.OnPoll = func(_ context.Context, _ int, id string) (upstream.Answer, error) {
			if !approved {
				return upstream.Answer{ID: id}, nil
			}
			cert := e.company.Issue(asked.CSR)
			if lost {
				return upstream.Answer{}, errCut
			}
			return upstream.Answer{Certificate: cert}, nil
		}
		e.try(enroll.TrialRefusal, boss.ID)
		for range 3 {
			e.Clock.Advance(10 * time.Minute)
			e.sweep()
		}
		if got := e.trial(enroll.TrialRefusal); got.Verdict() != enroll.TrialOpen || e.company.Polls() != 3 {
			t.Fatalf("lost %v: before the approval it is %s after %d polls: %+v", lost, got.Verdict(), e.company.Polls(), got)
		}
		if trouble := testkit.Must(e.DB.UpstreamTrouble(t.Context(), e.Clock.Now()))(t); trouble != (enroll.UpstreamTrouble{}) {
			t.Errorf("lost %v: a test that waits is a trouble: %+v", lost, trouble)
		}
		approved = true
		for range 3 {
			e.Clock.Advance(10 * time.Minute)
			e.sweep()
		}
		verdict, live := enroll.TrialFailed, 0
		if lost {
			verdict, live = enroll.TrialUnknown, 1 // as with a person's: an administrator looks at the CA
		}
		got := e.trial(enroll.TrialRefusal)
		if got.Verdict() != verdict || got.Revoked.IsZero() != lost || len(e.company.Live()) != live || e.company.Polls() != 4 {
			t.Errorf("lost %v: test is %s after %d polls, %d work at the CA: %+v", lost, got.Verdict(), e.company.Polls(), len(e.company.Live()), got)
		}
	}
}

// The certificate of a test whose answer was lost is searched for at a CA that can be asked,
// for as long as a person's.
func TestF13_TrialFindsALostAnswer(t *testing.T) {
	e := newElsewhere(t, fixture.SQLite(t))
	e.company.PollIssues, e.company.Finds = true, true
	var asked upstream.Request
	e.company.OnSubmit = func(_ context.Context, _ int, req upstream.Request) (upstream.Answer, error) {
		asked = req
		return upstream.Answer{}, errCut
	}
	e.try(enroll.TrialIssue, e.anna.ID)
	e.Clock.Advance(time.Minute)
	e.sweep()
	if got := e.trial(enroll.TrialIssue); got.State != enroll.UpstreamUnknown {
		t.Fatalf("after a minute: %+v", got)
	}
	e.company.Issue(asked.CSR)
	e.Clock.Advance(time.Minute)
	e.sweep()
	if got := e.trial(enroll.TrialIssue); got.Verdict() != enroll.TrialPassed || got.Revoked.IsZero() || len(e.company.Live()) != 0 {
		t.Errorf("test is %s, %d work at the CA: %+v", got.Verdict(), len(e.company.Live()), got)
	}
}

// Who may have no certificate gets none by a test either; of a refusal only rights may be
// missing. While issuing is halted nothing is sent, and tests are bounded.
func TestTrialIsRefused(t *testing.T) {
	e := newElsewhere(t, fixture.SQLite(t))
	boss := e.withBoss()
	gone := fixture.NewPerson("gone", fixture.SIDPrefix+"501")
	gone.Disabled = true
	e.AddPerson(gone)
	ask := func(kind enroll.TrialKind, authority string, person portal.PersonID) error {
		return e.TryUpstream(t.Context(), enroll.TrialRequest{Authority: "upstream-" + authority, Kind: kind, Person: person})
	}
	wantRefusal := func(what string, err error, want portal.Reason) {
		t.Helper()
		var refusal *portal.Refusal
		if !errors.As(err, &refusal) || refusal.Reason != want {
			t.Errorf("%s: %v, want %s", what, err, want)
		}
	}
	wantRefusal("protected", ask(enroll.TrialIssue, "company", boss.ID), portal.Protected)
	wantRefusal("disabled", ask(enroll.TrialRefusal, "company", gone.ID), portal.Disabled)
	for what, err := range map[string]error{"another CA": ask(enroll.TrialIssue, "other", e.anna.ID), "another kind": ask("both", "company", e.anna.ID)} {
		if !errors.Is(err, portal.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	testkit.Must(e.DB.SetHalt(t.Context(), admin.Halt{Reason: "trial", Actor: "ada", Since: e.Clock.Now()}, audit.Entry{At: e.Clock.Now(), Action: audit.IssuingHalted, Actor: "test"}))(t)
	wantRefusal("halted", ask(enroll.TrialIssue, "company", e.anna.ID), portal.Halted)
	testkit.Must(e.DB.SetHalt(t.Context(), admin.Halt{}, audit.Entry{At: e.Clock.Now(), Action: audit.IssuingResumed, Actor: "test"}))(t)
	if e.company.Submits() != 0 {
		t.Fatalf("%d requests were sent", e.company.Submits())
	}
	e.company.OnSubmit = func(_ context.Context, n int, req upstream.Request) (upstream.Answer, error) {
		if n == 1 {
			if err := ask(enroll.TrialIssue, "company", e.anna.ID); !errors.Is(err, enroll.ErrTrialRuns) {
				t.Errorf("beside another one: %v", err)
			}
		}
		return upstream.Answer{Certificate: e.company.Issue(req.CSR)}, nil
	}
	for range enroll.MaxTrials {
		testkit.NoError(t, ask(enroll.TrialIssue, "company", e.anna.ID))
	}
	wantRefusal("too many", ask(enroll.TrialIssue, "company", e.anna.ID), portal.TooOften)
	e.Clock.Advance(time.Hour)
	testkit.NoError(t, ask(enroll.TrialIssue, "company", e.anna.ID))
	if n := len(e.company.Live()); n != 0 || e.company.Submits() != enroll.MaxTrials+1 {
		t.Errorf("%d certificates work after %d requests", n, e.company.Submits())
	}
}

// A CA that does not issue now is tested with its own template, and for a refusal only if it
// can deny the portal a request because of the person.
func TestTrialNamesTheTemplateOfTheCA(t *testing.T) {
	e := newElsewhere(t, fixture.SQLite(t))
	next := e.company.Upstream("next")
	next.Template, next.Restricts = "Other", false
	e.Registrar = e.NewRegistrar(func(c *enroll.Config) { c.Upstreams = []*enroll.Upstream{next} })
	var names []string
	e.company.OnSubmit = func(_ context.Context, _ int, req upstream.Request) (upstream.Answer, error) {
		for _, x := range testkit.Must(x509.ParseCertificateRequest(req.CSR))(t).Extensions {
			if x.Id.String() == "1.3.6.1.4.1.311.20.2" {
				names = append(names, strings.ReplaceAll(string(x.Value[2:]), "\x00", ""))
			}
		}
		return upstream.Answer{}, &upstream.Denied{Code: "400"}
	}
	for _, authority := range []string{"upstream-company", "upstream-next"} {
		testkit.NoError(t, e.TryUpstream(t.Context(), enroll.TrialRequest{Authority: authority, Kind: enroll.TrialIssue, Person: e.anna.ID}))
	}
	err := e.TryUpstream(t.Context(), enroll.TrialRequest{Authority: "upstream-next", Kind: enroll.TrialRefusal, Person: e.anna.ID})
	if !errors.Is(err, enroll.ErrUnrestricted) {
		t.Errorf("the test of a refusal that this CA cannot pass: %v", err)
	}
	testkit.Equal(t, "templates", strings.Join(names, ", "), "User, Other")
}
