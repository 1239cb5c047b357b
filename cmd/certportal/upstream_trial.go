package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/admin"
	"certportal/internal/enroll"
	"certportal/internal/escape"
	"certportal/internal/portal"
	"certportal/store"
)

type upstreamTest struct {
	Name    string `arg:"" help:"Name of the CA, as in upstreams."`
	Person  string `required:"" placeholder:"UPN" help:"User principal name of the person."`
	Refusal bool   `help:"The CA must deny it, with AD CS only: name a person outside of the group for which it lets the portal request."`
}

// Run tests a CA elsewhere and prints the steps. What comes is revoked, also by a portal that
// runs, when this command ends before.
func (c upstreamTest) Run(i *invocation) error {
	kind := enroll.TrialIssue
	if c.Refusal {
		kind = enroll.TrialRefusal
	}
	return i.withPeople(func(ctx context.Context, people app.Directory, s *config.Settings, db *store.DB) error {
		if db == nil {
			return errors.New("the database of the portal does not open, and a test is recorded there first")
		}
		tokens := localca.Tokens(s)
		defer tokens.Close()
		tester, err := app.NewUpstreamTester(s, tokens, db, people, i.quiet())
		if err != nil {
			return err
		}
		service, err := admin.New(admin.Config{Store: db, Upstreams: tester, Log: i.quiet()})
		if err != nil {
			return err
		}
		err = service.TryUpstream(ctx, portal.Operator(), c.Name, kind, c.Person)
		tester.DrainUpstream(context.WithoutCancel(ctx)) // an answer that is not recorded is a certificate that no record knows
		if err != nil {
			return c.explain(err)
		}
		trials, err := db.UpstreamTrials(ctx)
		if err != nil {
			return err
		}
		n := slices.IndexFunc(trials, func(t enroll.Trial) bool { return t.Kind == kind && t.Authority == enroll.UpstreamPrefix+c.Name })
		if n < 0 {
			return errors.New("the test is not among the records")
		}
		return i.printTrial(trials[n], s.Location())
	})
}

// explain says why no test was made.
func (c upstreamTest) explain(err error) error {
	var refusal *portal.Refusal
	switch {
	case errors.Is(err, enroll.ErrUnrestricted):
		return usageError(fmt.Sprintf("%s is not AD CS, which alone can deny the portal a request because of the person: limit there what the portal's account may do", c.Name))
	case errors.Is(err, portal.ErrNotFound):
		return usageError(fmt.Sprintf("%s is none of upstreams", c.Name))
	case errors.Is(err, admin.ErrNoSuchPerson):
		return usageError(fmt.Sprintf("the directory has no person, or several, with the UPN %s", c.Person))
	case errors.As(err, &refusal):
		return fmt.Errorf("nothing was asked for: %s %s", refusal.Reason, refusal.Value)
	}
	return err
}

// printTrial prints the steps of a test. It is an error unless it passed.
func (i *invocation) printTrial(t enroll.Trial, zone *time.Location) error {
	fmt.Fprintf(i.io.out, "asked:     %s, for %s, request %s\n", t.Asked.In(zone).Format(time.DateTime), escape.Value(t.UPN), t.Number)
	answer := string(t.State)
	switch {
	case t.Issued():
		answer = "issued"
	case t.State == enroll.UpstreamDenied:
		answer = map[enroll.DeniedAs]string{
			enroll.DeniedPerson: "denied because of the person", enroll.DeniedPortal: "denied to the portal, not the request",
		}[t.DeniedAs]
		if answer == "" {
			answer = "denied"
		}
	}
	if t.ID != "" {
		answer += ", number " + escape.Value(t.ID)
	}
	if !t.Issued() && t.Detail != "" {
		answer += ": " + escape.Value(t.Detail)
	}
	fmt.Fprintf(i.io.out, "answered:  %s\n", answer)
	if t.Issued() {
		fmt.Fprintf(i.io.out, "compared:  %s\nrevoked:   %s\n", comparison(t), revocationOf(t, zone))
	}
	fmt.Fprintf(i.io.out, "result:    %s\n", t.Verdict())
	switch v := t.Verdict(); {
	case v == enroll.TrialPassed:
		return nil
	case v == enroll.TrialFailed && t.Kind == enroll.TrialRefusal:
		return errors.New("the CA issued for a person outside of the group that the portal may request for: restrict its enrolment agent to one template and one group, " +
			"on the CA's tab Enrollment Agents (ESC3)")
	default:
		return fmt.Errorf("the test is %s", v)
	}
}

func comparison(t enroll.Trial) string {
	if t.State == enroll.UpstreamRefused {
		return escape.Value(t.Detail)
	}
	return "it is what was asked for"
}

// revocationOf says how far the revocation of what came is.
func revocationOf(t enroll.Trial, zone *time.Location) string {
	name := strings.TrimPrefix(t.Authority, enroll.UpstreamPrefix)
	switch {
	case t.Serial.IsZero():
		return "not asked for: it has the key of another request, and may be in use"
	case !t.Revoked.IsZero():
		return fmt.Sprintf("%s, confirmed %s", t.Serial, t.Revoked.In(zone).Format(time.DateTime))
	case t.ByHand:
		return fmt.Sprintf("%s waits: revoke it at %s, then run certportal upstream confirm %s", t.Serial, name, t.Serial)
	}
	return fmt.Sprintf("%s is asked for again by the portal; %s answered: %s", t.Serial, name, escape.Value(t.Answer))
}
