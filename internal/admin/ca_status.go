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
	"certportal/internal/portal"
)

// Authority is the CA of the installation, as far as an administrator looks at it and
// tries it out.
type Authority interface {
	// Standing tells how it stands, from memory.
	Status() AuthorityStatus

	// PublishNow makes and publishes the next list of an issuer. The error is
	// revocation.ErrBusy while another server makes one, and ca.ErrNoRootKey where the
	// key is kept elsewhere.
	PublishNow(ctx context.Context, issuer string) (crl.List, error)

	// TestIssue issues a certificate for a made-up name, verifies it, revokes it, and
	// tells of each step. The entry says who asked.
	TestIssue(ctx context.Context, by audit.Entry) []portal.Finding
}

// Standing is how the CAs stand on the server that answers.
type AuthorityStatus struct {
	CAs    []CAStatus
	Online *ocsp.Health // nil where nothing is answered online
	Sealed bool         // the issuing key does not open
	Away   bool         // the root's key is kept elsewhere
}

// StandingCA is one CA with its lists, the complete one first.
type CAStatus struct {
	Name        string // "root" or "issuing"
	Certificate *x509.Certificate
	Lists       []crl.Health
}

// Nearness is how near the end of a certificate is that takes long to replace.
type ExpiryLevel string

// The steps: each asks for more haste.
const (
	ExpiryFar    ExpiryLevel = "far"
	ExpirySoon   ExpiryLevel = "soon" // within 180 days
	ExpiryNear   ExpiryLevel = "near" // within 60
	ExpiryUrgent ExpiryLevel = "now"  // within 30
	ExpiryPast   ExpiryLevel = "over"
)

// NearnessOf tells how near an end is that is so far away.
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

// AddressGroup is the name under which the checks of the public addresses run
// together; see [Check.Group].
const AddressGroup = "addresses"

// trialKeeper remembers what the last test certificate of this server came to.
type testIssuance struct {
	mu   sync.Mutex
	last CheckResult
}

// AuthorityPage is what the page of the CAs shows.
type AuthorityPage struct {
	AuthorityStatus
	Addresses    []CheckResult
	TestIssuance CheckResult
}

// Authority tells how the CAs stand. ErrNotFound says that there are none to look at.
func (s *Service) Authority(ctx context.Context, by portal.Actor) (AuthorityPage, error) {
	checks, err := s.Checks(ctx, by)
	if err != nil {
		return AuthorityPage{}, err
	}
	if s.c.Authority == nil {
		return AuthorityPage{}, portal.ErrNotFound
	}
	p := AuthorityPage{AuthorityStatus: s.c.Authority.Status()}
	p.Addresses = slices.DeleteFunc(checks, func(r CheckResult) bool { return r.Group != AddressGroup })
	s.testIssuance.mu.Lock()
	defer s.testIssuance.mu.Unlock()
	p.TestIssuance = s.testIssuance.last
	return p, nil
}

// PublishNow makes the next list of an issuer at once; see [Authority] for its errors.
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
		return crl.List{}, storeErr("recording the order of a list", err)
	}
	return s.c.Authority.PublishNow(ctx, issuer)
}

func (st AuthorityStatus) has(issuer string) bool {
	return slices.ContainsFunc(st.CAs, func(c CAStatus) bool { return c.Name == issuer })
}

// TestIssue tries whether certificates can be issued, verified and revoked.
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
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	began := s.c.Now()
	findings := s.c.Authority.TestIssue(ctx, entry)
	s.testIssuance.mu.Lock()
	defer s.testIssuance.mu.Unlock()
	s.testIssuance.last = CheckResult{At: began, Took: s.c.Now().Sub(began), Findings: findings}
	return nil
}
