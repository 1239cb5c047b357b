package enroll

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"certportal/ca"
	"certportal/ca/upstream"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

// TrialKind is what a test of a CA that the portal does not run is to show.
type TrialKind string

// The kinds.
const (
	// TrialIssue is for a person who may have a certificate: it must come.
	TrialIssue TrialKind = "issue"

	// TrialRefusal is for a person outside of the group that the CA lets the portal request
	// for: the CA must deny it.
	TrialRefusal TrialKind = "refusal"
)

// DeniedAs is why a CA denied a request, as far as its code says.
type DeniedAs string

// The reasons.
const (
	DeniedRequest DeniedAs = "request" // the code says nothing about the person
	DeniedPerson  DeniedAs = "person"  // the portal must not request for them
	DeniedPortal  DeniedAs = "portal"  // it would be denied for every person
)

func deniedAs(d *upstream.Denied) DeniedAs {
	switch {
	case d == nil:
		return ""
	case d.Credentials:
		return DeniedPortal
	case d.Person:
		return DeniedPerson
	}
	return DeniedRequest
}

// Trial is what is known of a test at this moment: approval and revocation may come later.
type Trial struct {
	Number    ca.Serial // of the request
	Authority string
	Kind      TrialKind
	Person    portal.PersonID
	UPN       string
	Asked     time.Time

	State    UpstreamState
	DeniedAs DeniedAs
	ID       string // how the CA calls the request
	Detail   string // what the CA said, or the comparison

	// Serial is of the certificate that the CA must revoke. It is zero when none came, or
	// one with the key of another request, which may be a stranger's.
	Serial  ca.Serial
	Revoked time.Time // when the CA confirmed it; zero before
	ByHand  bool      // the CA cannot be asked
	Answer  string    // what it answered to the revocation last
}

// Verdict is what a test showed.
type Verdict string

// The verdicts.
const (
	TrialPassed  Verdict = "passed"
	TrialFailed  Verdict = "failed"
	TrialOpen    Verdict = "open"    // the CA has not decided yet
	TrialUnknown Verdict = "unknown" // the test shows nothing: ask again
	TrialDoubt   Verdict = "doubt"   // denied, and the code does not say that it is because of the person
)

// Issued reports whether a certificate came, be it another than was asked for.
func (t Trial) Issued() bool {
	return t.State == UpstreamTooLate || t.State == UpstreamRefused || t.State == UpstreamIssued
}

// Verdict judges the test. A refusal is proved by a denial alone: a fault on the way is none.
func (t Trial) Verdict() Verdict {
	switch {
	case t.State == UpstreamSent || t.State == UpstreamPending:
		return TrialOpen
	case t.Issued() && (t.Kind == TrialRefusal || t.State == UpstreamRefused):
		return TrialFailed
	case t.Issued():
		return TrialPassed
	case t.State != UpstreamDenied:
		return TrialUnknown
	case t.Kind == TrialIssue:
		return TrialFailed
	case t.DeniedAs == DeniedPerson:
		return TrialPassed
	case t.DeniedAs == DeniedRequest:
		return TrialDoubt
	}
	return TrialUnknown
}

// MaxTrials is how often one CA may be tested within an hour: each test can leave a
// certificate in its list.
const MaxTrials = 12

// TrialHold is for how long a test that gets no answer keeps others away from its CA.
const TrialHold = upstreamStale

// ErrTrialRuns means that a CA is being tested at the moment.
var ErrTrialRuns = errors.New("this CA is being tested at the moment")

// ErrUnrestricted means that a CA cannot deny the portal a request because of the person, so
// that there is no refusal to be tested.
var ErrUnrestricted = fmt.Errorf("this CA has no restriction by person that a refusal could prove: %w", portal.ErrNotFound)

var errTrial = errors.New("it is what was asked for; it was a test, and is revoked")

// TrialRequest asks for a test.
type TrialRequest struct {
	By        portal.Actor
	Authority string // with UpstreamPrefix
	Kind      TrialKind
	Person    portal.PersonID

	// Patience is how long the answer is waited for. Default: as long as a person's
	// request waits.
	Patience time.Duration
}

// KnownUpstream is a CA that the portal does not run.
type KnownUpstream struct {
	Name      string // with UpstreamPrefix
	Issues    bool   // it issues now
	Restricts bool   // see Upstream
}

// KnownUpstreams lists the CAs that the portal does not run, by name.
func (r *Registrar) KnownUpstreams() []KnownUpstream {
	var list []KnownUpstream
	for name, u := range r.upstreams {
		list = append(list, KnownUpstream{Name: name, Issues: u == r.c.Upstream, Restricts: u.Restricts})
	}
	slices.SortFunc(list, func(a, b KnownUpstream) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// ByUPN finds the one person with a UPN, read afresh, or ErrNotFound.
func (r *Registrar) ByUPN(ctx context.Context, upn string) (portal.Person, error) {
	p, err := r.c.Directory.Match(ctx, portal.Claim{UPN: upn})
	return p, portal.AsOutage(portal.PartDirectory, "finding a person", err)
}

// TryUpstream asks a CA for the certificate of a person as an enrolment does, and has what
// comes revoked. The key is made for it and dropped: nothing can be picked up. The
// reservation is recorded and ended before the first byte is sent, so that what comes,
// be it days later or after a crash, is a certificate to be revoked. What came of it is in
// the records; nil says that it was asked, not that it passed.
//
// It returns ErrNotFound for an unknown CA, ErrUnrestricted, a *Refusal for a person who may
// have no certificate (of a refusal: who is no proof) and while issuing is halted or tests are
// too many, ErrTrialRuns, and an *Outage.
func (r *Registrar) TryUpstream(ctx context.Context, req TrialRequest) error {
	e := elsewhere{r}
	err := e.try(ctx, req)
	if detail := reasonOf(err); detail != nil {
		detail["authority"], detail["test"] = req.Authority, string(req.Kind)
		if err := r.c.Store.Note(context.WithoutCancel(ctx), e.trialEntry(req, audit.EnrolmentRefused, "", detail)); err != nil {
			r.c.Log.Error("recording a refusal", "reason", detail["reason"], "err", err)
		}
	}
	return err
}

func (r elsewhere) try(ctx context.Context, req TrialRequest) error {
	u := r.upstreams[req.Authority]
	if u == nil || req.Kind != TrialIssue && req.Kind != TrialRefusal {
		return portal.ErrNotFound
	}
	if req.Kind == TrialRefusal && !u.Restricts {
		return ErrUnrestricted
	}
	leave, err := r.turn(ctx, u)
	if err != nil {
		return err
	}
	q, person, err := r.prepareTrial(ctx, req, u)
	if err != nil {
		leave()
		return err
	}
	done := make(chan struct{})
	r.submits.Go(func() {
		defer close(done)
		defer leave()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), submitTimeout)
		defer cancel()
		if s := r.send(ctx, u, q, person, nil); s.err != nil {
			r.c.Log.Info("test of another CA", "authority", u.Name, "test", req.Kind, "request", q.Number.String(), "outcome", s.err)
		}
		if err := r.sweepRevocations(context.WithoutCancel(ctx), u.Name); err != nil {
			r.c.Log.Error("revoking the certificate of a test, which is tried again", "authority", u.Name, "err", err)
		}
	})
	patience := time.NewTimer(cmp.Or(req.Patience, submitPatience))
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
	}
	return nil
}

// prepareTrial reads the person, and records the request with its end. The key is gone when it
// returns: the request is signed.
func (r elsewhere) prepareTrial(ctx context.Context, req TrialRequest, u *Upstream) (UpstreamRequest, portal.Person, error) {
	key, err := r.c.Keys.Take(ctx)
	if err != nil {
		return UpstreamRequest{}, portal.Person{}, &portal.Outage{Part: portal.PartIssuer, Err: err}
	}
	person, err := r.trialPerson(ctx, req)
	if err != nil {
		r.c.Keys.GiveBack(key)
		return UpstreamRequest{}, person, err
	}
	q, intent, err := r.request(u, person, key)
	if err != nil {
		return q, person, err
	}
	q.Trial = req.Kind
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), issueTimeout)
	defer cancel()
	detail := map[string]string{
		"profile": testProfile, "upn": person.UPN, "sid": person.SID, "authority": u.Name, "test": string(req.Kind),
	}
	err = r.c.Store.Reserve(ctx, Reservation{
		Serial: q.Number, Issuer: u.Name, Kind: portal.KindServer, Profile: testProfile, Subject: person.Subject(),
		PublicKey: intent.key, NotBefore: intent.from, NotAfter: intent.to, Requested: q.Sent, Person: person.ID, Upstream: &q,
		Entry: r.trialEntry(req, audit.UpstreamTested, q.Number.String(), detail),
	})
	var held *UPNHeld
	switch {
	case errors.Is(err, ErrTrialRuns):
		return q, person, err
	case errors.As(err, &held):
		return q, person, &portal.Refusal{Reason: portal.Conflicting, Value: string(portal.UPNTaken)}
	case err != nil:
		return q, person, portal.AsOutage(portal.PartStore, "reserving test certificate", err)
	}
	_, err = r.c.Store.Revoke(ctx, Revocation{
		Serials: []ca.Serial{q.Number}, Cause: portal.Abandoned, At: r.c.Now(),
		Entry: portal.Actor{}.Entry(r.c.Now(), audit.CertificateRevoked),
	})
	if err == nil {
		r.c.Revoked()
	}
	return q, person, portal.AsOutage(portal.PartStore, "ending the reservation of a test certificate", err)
}

// trialPerson reads the person. For a refusal they need no right to a certificate, but an
// account that works: else the CA could deny it for another reason.
func (r elsewhere) trialPerson(ctx context.Context, req TrialRequest) (portal.Person, error) {
	p, err := r.mayEnroll(ctx, req.Person)
	var no *portal.Refusal
	if req.Kind == TrialRefusal && errors.As(err, &no) && (no.Reason == portal.Protected || no.Reason == portal.NotAllowed) {
		rules := r.rules
		rules.EnrollProtected, p.MayEnroll = true, true
		err = rules.Judge(p)
	}
	if err != nil {
		return p, fmt.Errorf("testing %s: %w", req.Authority, err)
	}
	return p, nil
}

// trialEntry is about the person of a test.
func (r elsewhere) trialEntry(req TrialRequest, action audit.Action, object string, detail map[string]string) audit.Entry {
	e := req.By.Entry(r.c.Now(), action)
	e.Person, e.Object, e.Detail = string(req.Person), object, detail
	return e
}
