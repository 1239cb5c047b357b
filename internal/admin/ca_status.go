package admin

import (
	"context"
	"crypto/x509"
	"slices"
	"sync"
	"time"

	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/succession"
)

// Authority is the CA of the installation, as administrators see and test it.
type Authority interface {
	// Status returns the state of the CAs, from memory.
	Status() AuthorityStatus

	// PublishNow creates and publishes the next CRL of an issuer. It returns
	// crl.ErrBusy while another server creates one, and ca.ErrNoRootKey if the key is
	// kept elsewhere.
	PublishNow(ctx context.Context, issuer string) (crl.List, error)

	// TestIssue issues a certificate for a made-up name, verifies and revokes it, and
	// returns a finding for each step. The entry names the actor.
	TestIssue(ctx context.Context, by audit.Entry) []portal.Finding
}

// AuthorityStatus is the state of the CAs on the answering server.
type AuthorityStatus struct {
	CAs     []CAStatus
	Online  *ocsp.Health // nil without OCSP responder
	Sealed  bool         // the issuing key is not open
	Stopped bool         // the issuing CA was revoked, and none issues in its place
	Away    bool         // the root's key is kept elsewhere

	Company bool // the root is the company's, which publishes its list
}

// CAStatus is one CA with its CRLs, the complete one first.
type CAStatus struct {
	Name        string           // "root", "issuing", "issuing-2"
	State       succession.State // empty for a root
	Certificate *x509.Certificate
	Lists       []crl.Health
}

// ExpiryLevel is how urgent the replacement of an expiring CA certificate is.
type ExpiryLevel string

// The levels, by remaining validity.
const (
	ExpiryFar    ExpiryLevel = "far"
	ExpirySoon   ExpiryLevel = "soon" // within 180 days
	ExpiryNear   ExpiryLevel = "near" // within 60
	ExpiryUrgent ExpiryLevel = "now"  // within 30
	ExpiryPast   ExpiryLevel = "over"
)

// ExpiryLevelOf returns the level for a remaining validity.
func ExpiryLevelOf(left time.Duration) ExpiryLevel {
	const day = 24 * time.Hour
	switch {
	case left <= 0:
		return ExpiryPast
	case left <= 30*day:
		return ExpiryUrgent
	case left <= 60*day:
		return ExpiryNear
	case left <= 180*day:
		return ExpirySoon
	}
	return ExpiryFar
}

// AddressGroup is the [Check.Group] of the checks of public addresses.
const AddressGroup = "addresses"

// testIssuance is the result of the last test issuance on this server.
type testIssuance struct {
	mu   sync.Mutex
	last CheckResult
}

// AuthorityPage is the content of the CA page.
type AuthorityPage struct {
	AuthorityStatus
	Addresses    []CheckResult
	TestIssuance CheckResult
	Elsewhere    []Upstream
	Discovers    bool // the directory can be asked for its CAs

	UpstreamLists []enroll.UpstreamList // of CAs that the portal does not run, by CA

	Holders map[string]Holders // by issuing CA; nil while they are counted for the first time
}

// Authority returns the state of the CAs, or portal.ErrNotFound without CAs.
func (s *Service) Authority(ctx context.Context, by portal.Actor) (AuthorityPage, error) {
	checks, err := s.Checks(ctx, by)
	if err != nil {
		return AuthorityPage{}, err
	}
	if s.c.Authority == nil {
		return AuthorityPage{}, portal.ErrNotFound
	}
	p := AuthorityPage{AuthorityStatus: s.c.Authority.Status(), Discovers: s.c.Discover != nil}
	if p.Holders, err = s.held(ctx); err != nil {
		return AuthorityPage{}, err
	}
	if p.Elsewhere, err = s.upstreams(ctx); err != nil {
		return AuthorityPage{}, err
	}
	if p.UpstreamLists, err = s.c.Store.UpstreamLists(ctx); err != nil {
		return AuthorityPage{}, storeErr("reading lists of other CAs", err)
	}
	p.Addresses = slices.DeleteFunc(checks, func(r CheckResult) bool { return r.Group != AddressGroup })
	s.testIssuance.mu.Lock()
	defer s.testIssuance.mu.Unlock()
	p.TestIssuance = s.testIssuance.last
	return p, nil
}

// PublishNow creates the next CRL of an issuer; see [Authority] for its errors.
func (s *Service) PublishNow(ctx context.Context, by portal.Actor, issuer string) (crl.List, error) {
	entry, err := s.authorize(ctx, by, authz.Request{Act: authz.PublishCRL})
	if err != nil {
		return crl.List{}, err
	}
	if s.c.Authority == nil || !s.c.Authority.Status().has(issuer) {
		return crl.List{}, portal.ErrNotFound
	}
	entry.Action, entry.Object = audit.CRLRequested, issuer
	if err := s.c.Store.Note(ctx, entry); err != nil {
		return crl.List{}, storeErr("recording the CRL request", err)
	}
	return s.c.Authority.PublishNow(ctx, issuer)
}

func (st AuthorityStatus) has(issuer string) bool {
	return slices.ContainsFunc(st.CAs, func(c CAStatus) bool { return c.Name == issuer })
}

// testIssueTimeout bounds a test issuance, which waits for a list and an answer.
const testIssueTimeout = 20 * time.Second

// TestIssue tests whether certificates can be issued, verified and revoked.
func (s *Service) TestIssue(ctx context.Context, by portal.Actor) error {
	entry, err := s.authorize(ctx, by, authz.Request{Act: authz.TestIssue})
	if err != nil {
		return err
	}
	if s.c.Authority == nil {
		return portal.ErrNotFound
	}
	noted := entry
	noted.Action = audit.TestIssued
	if err := s.c.Store.Note(ctx, noted); err != nil {
		return storeErr("recording a test", err)
	}
	ctx, cancel := context.WithTimeout(ctx, testIssueTimeout)
	defer cancel()
	began := s.c.Now()
	findings := s.c.Authority.TestIssue(ctx, entry)
	s.testIssuance.mu.Lock()
	defer s.testIssuance.mu.Unlock()
	s.testIssuance.last = CheckResult{At: began, Findings: findings}
	return nil
}
