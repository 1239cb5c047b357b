// Package admin is what administrators do: search certificates and devices, revoke one
// certificate or those of a device, a person or many people, stop all issuing, export
// records, run health checks, and see what needs attention. Pages and commands call its
// [Service], which asks package authz before it reads or changes anything.
//
// A bulk revocation of more than a few certificates needs a second administrator, who
// cannot be its maker, and expires after a day; it revokes exactly the certificates
// that were counted. The package issues no certificates. A revocation is final.
//
// Reason codes are those of RFC 5280 section 5.3.1.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"certportal/ca/upstream/adcs/discovery"
	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// DefaultSecondPerson is the default of Config.SecondPerson.
const DefaultSecondPerson = 20

// Config configures a [Service]. Fields are required unless they say otherwise.
type Config struct {
	Store Store

	// Revoked is called after certificates were revoked, so that the CRL is updated at
	// once. It must not block. Optional.
	Revoked func()

	// SecondPerson is how many certificates one administrator may revoke within an hour,
	// in all ways together; more need a second administrator. Default
	// DefaultSecondPerson.
	SecondPerson int

	// Alerts returns alerts of other parts. It must answer within the time of a page.
	// Optional.
	Alerts func(context.Context) []Alert

	Authority Authority // optional; without it there is no CA page

	Checks *Checks // optional

	Upstreams Upstreams // optional

	// Discover reads the CAs and templates that Active Directory knows. Optional: nil
	// without it.
	Discover func(context.Context) (discovery.Survey, error)

	Mails bool // the portal sends mail

	// RoleGroups lists the members of what gives a role, at most limit of each. Optional.
	RoleGroups func(ctx context.Context, limit int) ([]portal.RoleGroup, error)

	Zone *time.Location // of the days on pages; default UTC

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default()
}

// Service implements the acts of administrators. It is safe for concurrent use.
type Service struct {
	c            Config
	counts       recent[counts]
	staff        recent[Staff]
	holders      recent[map[string]Holders]
	testIssuance testIssuance
	wake         chan struct{}
}

// New checks the configuration.
func New(c Config) (*Service, error) {
	if c.Store == nil {
		return nil, errors.New("admin: store is missing")
	}
	if c.SecondPerson < 0 {
		return nil, fmt.Errorf("admin: second person from %d certificates on", c.SecondPerson)
	}
	if c.SecondPerson == 0 {
		c.SecondPerson = DefaultSecondPerson
	}
	if c.Revoked == nil {
		c.Revoked = func() {}
	}
	if c.Zone == nil {
		c.Zone = time.UTC
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Service{c: c, wake: make(chan struct{}, 1)}, nil
}

// SecondPerson is how many certificates one administrator may revoke within an hour.
func (s *Service) SecondPerson() int { return s.c.SecondPerson }

// authorize asks the policy and records refusals. It returns an audit entry with actor
// and role; the caller fills in the rest.
func (s *Service) authorize(ctx context.Context, by portal.Actor, q authz.Request) (audit.Entry, error) {
	q.Actor = by.Staff()
	e := audit.Entry{
		At: s.c.Now(), Actor: string(by.Person), Address: by.Address, Request: by.Request,
	}
	role, err := authz.Decide(q)
	if err == nil {
		e.Role = string(role)
		return e, nil
	}
	denied := e
	denied.Action, denied.Role = audit.AccessRefused, string(by.Staff().HighestRole())
	denied.Detail = map[string]string{"act": string(q.Act), "reason": string(authz.ReasonOf(err))}
	if q.Target != nil {
		denied.Person = string(q.Target.ID)
	}
	if err := s.c.Store.Note(ctx, denied); err != nil {
		s.c.Log.Error("recording a refusal", "act", q.Act, "err", err)
	}
	return e, err
}

// target returns a person for the policy, which needs only the id.
func target(id portal.PersonID) *portal.Person { return &portal.Person{ID: id} }

// storeErr wraps faults of the store as outages and passes other answers on.
func storeErr(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, portal.ErrNotFound), errors.Is(err, portal.ErrConflict), errors.Is(err, enroll.ErrSecondPerson):
		return fmt.Errorf("%s: %w", doing, err)
	}
	return &portal.Outage{Part: portal.PartStore, Err: fmt.Errorf("%s: %w", doing, err)}
}
