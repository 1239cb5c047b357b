// Package helpdesk is what the helpdesk does: find people, see their devices and failed
// attempts, give them pickup codes, and block a device on their request. Pages and
// commands call its [Service], which reads both people from the directory and asks
// package authz before it reads or changes anything.
//
// It refuses codes for oneself, for protected people and, to helpdesk, for staff
// (attack A3); codes without a statement how the person was recognized; codes for
// people who may have no certificate; and, where two people are required, approval by
// the maker (attack A4). Refusals are recorded. The package never handles a person's
// key, file or password: a certificate is made when the person redeems the code.
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

// CodesPerHour is the default of Config.PerHour.
const CodesPerHour = 20

// Directory is where the service reads people.
type Directory interface {
	// Person reads one person, with roles and protection. It returns portal.ErrNotFound
	// when the directory does not know them, and a *portal.UnreadableError when it does not
	// let their entry be read in full.
	Person(ctx context.Context, id portal.PersonID) (portal.Person, error)

	// People reads many people, without roles. Unknown ids are left out. Those whose
	// entries cannot be read are a *portal.UnreadableError next to the others.
	People(ctx context.Context, ids []portal.PersonID) ([]portal.Person, error)

	// Search returns at most limit people with a name that begins with the query, and
	// whether there are more. They come without roles. Entries that cannot be read are
	// reported as by People.
	Search(ctx context.Context, query string, limit int) (found []portal.Person, more bool, err error)
}

// Store holds invitations, attempt counters and the audit log. Every method that
// changes something is one transaction that includes its audit entries.
type Store interface {
	// Invite records an invitation and ends the person's earlier open or waiting ones.
	// It returns portal.ErrConflict when the id or the code is in use.
	Invite(context.Context, signin.InvitationOffer) error

	// Invitation returns an invitation in any state, or portal.ErrNotFound.
	Invitation(context.Context, signin.InvitationID) (signin.Invitation, error)

	// ApproveInvitation activates the code of a waiting invitation. It returns
	// portal.ErrConflict when the invitation is not waiting, and when the approver made
	// it or is the person it is for.
	ApproveInvitation(ctx context.Context, id signin.InvitationID, approver portal.PersonID, at time.Time, entry audit.Entry) error

	// WaitingInvitations lists invitations that wait for approval, oldest first, at most
	// limit.
	WaitingInvitations(ctx context.Context, now time.Time, limit int) ([]signin.Invitation, error)

	// Invited returns the open or waiting invitation of a person, expired or not, or
	// portal.ErrNotFound.
	Invited(ctx context.Context, person portal.PersonID) (signin.Invitation, error)

	// Try counts an act before it is done. Above the limit it is not allowed, and a
	// pause starts.
	Try(ctx context.Context, key string, limit signin.Limit, now time.Time) (signin.Tries, error)

	// GiveBack uncounts one act.
	GiveBack(ctx context.Context, key string) error

	// PausedUntil returns when the pause of a counter ends; the zero time without one.
	PausedUntil(ctx context.Context, key string, now time.Time) (time.Time, error)

	// FindDevices returns devices with a name that begins with the query, or with the
	// query as serial of a certificate, at most limit.
	FindDevices(ctx context.Context, query string, limit int) ([]portal.Device, error)

	// EntriesAbout returns the newest audit entries about a person, at most limit; only
	// those of the given actions, if any.
	EntriesAbout(ctx context.Context, person portal.PersonID, limit int, actions ...audit.Action) ([]audit.Entry, error)

	// DeviceNames returns the names of devices of the person, removed ones included, by
	// their ids and by the serials of their certificates, as far as there are such.
	DeviceNames(ctx context.Context, person portal.PersonID, objects []string) (map[string]string, error)

	// Note records an audit entry that belongs to no other change.
	Note(context.Context, audit.Entry) error
}

// Config configures a [Service]. Fields are required unless they say otherwise.
type Config struct {
	Directory Directory
	Store     Store
	Registrar *enroll.Registrar
	SignIn    *signin.Service // hashes pickup codes and names attempt counters

	CodeLife time.Duration // how long a code is valid; default signin.InvitationLife
	PerHour  int           // codes that one staff member may make per hour; default CodesPerHour

	// SecondPerson is how many certificates an administrator may end within an hour, here
	// and on the administrator's pages together; more need a second administrator there.
	// Optional; 0 is no bound.
	SecondPerson int

	// CodeAlone makes codes valid without a password when the maker saw the person. All
	// codes are then mailed to the person and shown to no staff, who could hold the
	// person's certificate with them.
	CodeAlone bool

	// SecondApprover makes codes valid only after another staff member approved them.
	// Codes are then mailed too: their maker never sees them.
	SecondApprover bool

	// Mail sends codes. Optional; without it, codes that must be mailed are refused.
	Mail CodeMail

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default()
}

// CodeMail sends pickup codes to the address that the directory has for their person.
type CodeMail interface {
	// Reaches reports whether that address is usable.
	Reaches(to portal.Person) bool

	// SendCode sends the code at once. waiting says that a second person must approve it.
	SendCode(ctx context.Context, to portal.Person, code string, until time.Time, waiting bool) error
}

// Service implements the acts of the helpdesk. It is safe for concurrent use.
type Service struct {
	c Config
}

// New checks the configuration.
func New(c Config) (*Service, error) {
	if c.Directory == nil || c.Store == nil || c.Registrar == nil || c.SignIn == nil {
		return nil, errors.New("helpdesk: a required part is missing")
	}
	if c.CodeLife < 0 || c.PerHour < 0 || c.SecondPerson < 0 {
		return nil, errors.New("helpdesk: a limit is negative")
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

// CodeLife is how long a code is valid.
func (s *Service) CodeLife() time.Duration { return s.c.CodeLife }

// SecondApprover reports whether codes need approval by a second person.
func (s *Service) SecondApprover() bool { return s.c.SecondApprover }

// MailsCodes reports whether codes go to the person's mail address and are shown to no
// staff.
func (s *Service) MailsCodes() bool { return s.c.CodeAlone || s.c.SecondApprover }

// authorize asks the policy and returns the actor in the role that may do the act. It
// records refusals under the given action.
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

// person reads the person an act concerns. It denies acts on accounts that cannot be
// read.
func (s *Service) person(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	p, err := s.c.Directory.Person(ctx, id)
	var unread *portal.UnreadableError
	switch {
	case errors.Is(err, portal.ErrNotFound):
		return portal.Person{}, fmt.Errorf("reading person: %w", portal.ErrNotFound)
	case errors.As(err, &unread):
		s.c.Log.Warn("account cannot be read: nothing is done for it", "person", id, "err", err)
		return portal.Person{}, &authz.Error{Reason: ReasonUnread}
	}
	return p, portal.AsOutage(portal.PartDirectory, "reading person", err)
}

// entry returns an audit entry about an act of staff on a person.
func (s *Service) entry(by portal.Actor, target portal.Person, action audit.Action) audit.Entry {
	return audit.Entry{
		At: s.c.Now(), Action: action, Actor: string(by.Person), Role: string(by.Role),
		Person: string(target.ID), Address: by.Address, Request: by.Request,
	}
}

// record records a refusal. If that does not work, the refusal remains in force.
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

// storeErr wraps faults of the store as outages and passes other answers on.
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
