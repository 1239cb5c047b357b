// Package admin is the administrator's work: finding one certificate among a
// million, ending one, a device's, a person's or many, stopping all issuing, and
// saying what needs attention. Pages, commands and whatever comes later go through
// its [Service], which asks package access before anything is read or done.
//
// It refuses an order over many certificates without a second administrator, an
// approval by who made it, and an order that stands for longer than a day: what was
// counted is what is ended. It never makes a certificate, and nothing it does can be
// undone: a revocation is final.
//
// The package knows no page and no SQL. Reason codes are those of RFC 5280 section
// 5.3.1.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/portal"
)

// DefaultSecondPerson is how many certificates one administrator may end at once
// where no setting says otherwise.
const DefaultSecondPerson = 20

// Config is what a service works with. Fields are required unless they say
// otherwise.
type Config struct {
	Store Store

	// Revoked is called after certificates were ended, so that the revocation list is
	// renewed at once. It must not block. Optional.
	Revoked func()

	// SecondPerson is how many certificates one administrator may end at once; more
	// wait for another one. Default DefaultSecondPerson.
	SecondPerson int

	// Concerns says what of the parts around this one needs attention. It must answer
	// within a page's time. Optional.
	Alerts func(context.Context) []Alert

	Authority Authority // optional; without it nothing is told of the CAs

	Checks *Checks                              // optional
	Staff  func(context.Context) (Staff, error) // optional

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default()
}

// Service does the administrator's work. It is safe for concurrent use.
type Service struct {
	c            Config
	statsCache   statsCache
	testIssuance testIssuance
	wake         chan struct{}
}

// New checks the configuration.
func New(c Config) (*Service, error) {
	if c.Store == nil {
		return nil, errors.New("admin: records are missing")
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
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Service{c: c, wake: make(chan struct{}, 1)}, nil
}

// SecondPerson is how many certificates one administrator may end at once.
func (s *Service) SecondPerson() int { return s.c.SecondPerson }

// may asks the policy, and records a no. The returned entry names actor and role;
// who uses it fills in the rest.
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

// about names the person an act is about, for the policy.
func target(id portal.PersonID) *portal.Person { return &portal.Person{ID: id} }

// storeErr marks a fault of the store as one, and lets answers through.
func storeErr(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, portal.ErrNotFound), errors.Is(err, portal.ErrConflict):
		return fmt.Errorf("%s: %w", doing, err)
	}
	return &portal.Outage{Part: portal.PartStore, Err: fmt.Errorf("%s: %w", doing, err)}
}
