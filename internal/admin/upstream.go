package admin

import (
	"context"
	"errors"
	"strings"

	"certportal/ca/upstream/adcs/discovery"
	"certportal/internal/authz"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// Upstreams are the CAs that the portal does not run, as administrators test them.
type Upstreams interface {
	// KnownUpstreams lists them, by name.
	KnownUpstreams() []enroll.KnownUpstream

	// ByUPN finds the one person with a UPN, or portal.ErrNotFound.
	ByUPN(ctx context.Context, upn string) (portal.Person, error)

	// TryUpstream asks one for a certificate that is revoked when it comes. What came of it
	// is in the records. For its errors see [enroll.Registrar.TryUpstream].
	TryUpstream(ctx context.Context, req enroll.TrialRequest) error
}

// Upstream is a CA that the portal does not run, with its newest test of each kind.
type Upstream struct {
	Name      string // as in the settings
	Issues    bool   // it issues now
	Restricts bool   // see enroll.Upstream
	Trials    []enroll.Trial
}

// Trial is the newest test of a kind; false when there was none.
func (u Upstream) Trial(kind enroll.TrialKind) (enroll.Trial, bool) {
	for _, t := range u.Trials {
		if t.Kind == kind {
			return t, true
		}
	}
	return enroll.Trial{}, false
}

// upstreams lists the CAs that the portal does not run.
func (s *Service) upstreams(ctx context.Context) ([]Upstream, error) {
	if s.c.Upstreams == nil {
		return nil, nil
	}
	known := s.c.Upstreams.KnownUpstreams()
	if len(known) == 0 {
		return nil, nil
	}
	trials, err := s.c.Store.UpstreamTrials(ctx)
	if err != nil {
		return nil, storeErr("listing tests of other CAs", err)
	}
	var list []Upstream
	for _, k := range known {
		u := Upstream{Name: strings.TrimPrefix(k.Name, enroll.UpstreamPrefix), Issues: k.Issues, Restricts: k.Restricts}
		for _, t := range trials {
			if t.Authority == k.Name {
				u.Trials = append(u.Trials, t)
			}
		}
		list = append(list, u)
	}
	return list, nil
}

// ErrNoSuchPerson means that the directory has no person with the UPN of a test, or that
// none was named.
var ErrNoSuchPerson = errors.New("there is no person with this UPN")

// TryUpstream tests a CA that the portal does not run, for the person with a UPN: for the
// actor when it is empty, but for a refusal, which needs another person. It returns
// portal.ErrNotFound for an unknown CA, [ErrNoSuchPerson], and the errors of
// [enroll.Registrar.TryUpstream].
func (s *Service) TryUpstream(ctx context.Context, by portal.Actor, name string, kind enroll.TrialKind, upn string) error {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.TestIssue}); err != nil {
		return err
	}
	if s.c.Upstreams == nil {
		return portal.ErrNotFound
	}
	person := by.Person
	if upn = strings.TrimSpace(upn); upn != "" {
		p, err := s.c.Upstreams.ByUPN(ctx, upn)
		if errors.Is(err, portal.ErrNotFound) {
			return ErrNoSuchPerson
		}
		if err != nil {
			return err
		}
		person = p.ID
	} else if kind == enroll.TrialRefusal || by.IsOperator() {
		return ErrNoSuchPerson
	}
	return s.c.Upstreams.TryUpstream(ctx, enroll.TrialRequest{By: by, Authority: enroll.UpstreamPrefix + name, Kind: kind, Person: person})
}

// Discover reads the CAs and templates that the directory knows. It reports false without
// Active Directory, and when the actor may not see them.
func (s *Service) Discover(ctx context.Context, by portal.Actor) (survey discovery.Survey, known bool, err error) {
	if _, err := s.authorize(ctx, by, authz.Request{Act: authz.ReadChecks}); err != nil {
		return discovery.Survey{}, false, err
	}
	if s.c.Discover == nil {
		return discovery.Survey{}, false, nil
	}
	survey, err = s.c.Discover(ctx)
	return survey, true, err
}
