// Package desk is the helpdesk's work: finding a person, seeing what they have and
// what went wrong, giving them a pickup code, and blocking a device when they ask
// for it. Pages, commands and whatever comes later go through its [Service], which
// reads both people afresh and asks package access before anything is read or done.
//
// It refuses a code for oneself, for protected people and, to helpdesk, for staff
// (attack A3); a code that nobody says how the person was recognised for; one for
// somebody who may have no certificate; and, where two people are asked for, a code
// that its maker approves (attack A4). It holds no key, file or password of
// anybody, and there is no way from here to one: a certificate is made when its
// person redeems the code.
//
// What it refuses is recorded. The package knows no page and no SQL.
package helpdesk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/signin"
)

// CodesPerHour is how many codes one of the staff may make within an hour where no
// setting says otherwise.
const CodesPerHour = 20

// Directory says who people are, and finds them by what others call them.
type Directory interface {
	// Person reads somebody afresh, roles and protection included. It returns
	// enroll.ErrNotFound when the directory does not know them.
	Person(ctx context.Context, id portal.PersonID) (portal.Person, error)

	// People reads many, without roles. Those it does not know are left out.
	People(ctx context.Context, ids []portal.PersonID) ([]portal.Person, error)

	// Search finds people by the beginning of names, at most limit, and says whether
	// there are more. They come without roles.
	Search(ctx context.Context, query string, limit int) (found []portal.Person, more bool, err error)
}

// Records is what the service works on. Every method that changes something is one
// transaction, its ledger entries included.
type Store interface {
	signin.Invitations

	// FindDevices finds devices by the beginning of the name, or by the whole serial
	// of a certificate; at most limit.
	FindDevices(ctx context.Context, query string, limit int) ([]portal.Device, error)

	// EntriesAbout gives the newest entries about somebody, of certain actions where
	// there are any named; at most limit.
	EntriesAbout(ctx context.Context, person portal.PersonID, limit int, actions ...audit.Action) ([]audit.Entry, error)

	// PausedUntil tells when the pause of a key of tries ends; the zero time when there
	// is none.
	PausedUntil(ctx context.Context, key string, now time.Time) (time.Time, error)

	// Note records an entry that stands for itself.
	Note(context.Context, audit.Entry) error
}

// Registrar is what the service asks of the registrar.
type Registrar interface {
	// Judge says whether somebody may have a certificate: nil or a *enroll.Refusal.
	Judge(portal.Person) error

	// Devices lists a person's devices, newest first.
	Devices(context.Context, portal.PersonID) ([]portal.Device, error)

	// Device finds a device of the person, or enroll.ErrNotFound.
	Device(context.Context, portal.PersonID, portal.DeviceID) (portal.Device, error)

	// Block ends all that a device holds, for good.
	Block(context.Context, portal.Actor, enroll.Block) error
}

// Codes hashes pickup codes as redeeming does, and knows what tries count under.
type Codes interface {
	// AccountKey is what wrong passwords of an account count under.
	AccountKey(ctx context.Context, login string) (string, error)

	// HashPickupCode is the key under which an invitation is kept.
	HashPickupCode(context.Context, signin.PickupCode) ([32]byte, error)
}

// Config is what a service works with. Fields are required unless they say
// otherwise.
type Config struct {
	Directory Directory
	Store     Store
	Registrar Registrar
	Attempts  signin.Attempts
	Codes     Codes

	CodeLife time.Duration // how long a code may be used; default enroll.InvitationLife
	PerHour  int           // codes one of the staff may make within an hour; default CodesPerHour

	// CodeAlone lets a code stand for a password when its maker saw the person.
	CodeAlone bool

	// SecondApprover keeps a code from working until another one of the staff
	// approved it.
	SecondApprover bool

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default()
}

// Service does the helpdesk's work. It is safe for concurrent use.
type Service struct {
	c Config
}

// New checks the configuration.
func New(c Config) (*Service, error) {
	if c.Directory == nil || c.Store == nil || c.Registrar == nil || c.Attempts == nil || c.Codes == nil {
		return nil, errors.New("desk: a required part is missing")
	}
	if c.CodeLife < 0 || c.PerHour < 0 {
		return nil, errors.New("desk: a limit is negative")
	}
	c.CodeLife = cmp.Or(c.CodeLife, signin.InvitationLife)
	c.PerHour = cmp.Or(c.PerHour, CodesPerHour)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Service{c: c}, nil
}

// CodeLife is how long a code may be used.
func (s *Service) CodeLife() time.Duration { return s.c.CodeLife }

// SecondApprover reports whether a code works only when a second person approved.
func (s *Service) SecondApprover() bool { return s.c.SecondApprover }

// may asks the policy, and records a no under refused. The returned By is the
// actor in the role that may.
func (s *Service) authorize(ctx context.Context, by portal.Actor, q authz.Request, refused audit.Action) (portal.Actor, error) {
	q.Actor = by.Staff()
	role, err := authz.Decide(q)
	if err == nil {
		by.Role = role
		return by, nil
	}
	if by.Role, _ = authz.CanAny(by.Staff(), q.Act); by.Role == "" {
		by.Role = portal.Employee
	}
	target := portal.Person{}
	if q.Target != nil {
		target = *q.Target
	}
	s.record(ctx, by, target, refused, "", map[string]string{
		"act": string(q.Act), "reason": string(authz.ReasonOf(err)),
	})
	return by, err
}

// person reads afresh whom an act is about.
func (s *Service) person(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	p, err := s.c.Directory.Person(ctx, id)
	switch {
	case errors.Is(err, portal.ErrNotFound):
		return portal.Person{}, fmt.Errorf("reading person: %w", portal.ErrNotFound)
	case err != nil:
		return portal.Person{}, &portal.Outage{Part: portal.PartDirectory, Err: fmt.Errorf("reading person: %w", err)}
	}
	return p, nil
}

// entry opens a ledger entry for an act of staff about a person.
func (s *Service) entry(by portal.Actor, target portal.Person, action audit.Action) audit.Entry {
	return audit.Entry{
		At: s.c.Now(), Action: action, Actor: string(by.Person), Role: string(by.Role),
		Person: string(target.ID), Address: by.Address, Request: by.Request,
	}
}

// note records a no. It stands even when it cannot be recorded: nothing was done.
func (s *Service) record(ctx context.Context, by portal.Actor, target portal.Person, action audit.Action, object string, detail map[string]string) {
	e := s.entry(by, target, action)
	e.Object, e.Detail = object, detail
	if target.UPN != "" {
		detail["upn"] = target.UPN
	}
	if err := s.c.Store.Note(context.WithoutCancel(ctx), e); err != nil {
		s.c.Log.Error("recording a refusal", "action", action, "request", by.Request, "err", err)
	}
}

// storeErr marks a fault of the store as one, and lets answers through.
func storeErr(doing string, err error) error {
	var outage *portal.Outage
	switch {
	case err == nil:
		return nil
	case errors.As(err, &outage), errors.Is(err, portal.ErrNotFound), errors.Is(err, portal.ErrConflict):
		return fmt.Errorf("%s: %w", doing, err)
	}
	return &portal.Outage{Part: portal.PartStore, Err: fmt.Errorf("%s: %w", doing, err)}
}
