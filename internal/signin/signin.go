// Package signin decides who is let in: by password, by the claim of an identity
// provider, by a pickup code from the helpdesk, or by a hand-off from a desktop.
//
// Every try is counted before it is made, per account under all its spellings and per
// network, so that the pause comes before the directory's own lockout. A wrong, an
// unknown and a locked name look alike until the right password is given. Codes are
// stored as Argon2id hashes.
package signin

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

// How many wrong passwords bring a pause, and how long it and the window of
// counting last, where no setting says otherwise. Three tries in fifteen minutes
// stay below every lock that directories usually have; an office of many people
// shares one address.
const (
	DefaultTries        = 3
	DefaultAddressTries = 100
	DefaultWindow       = 15 * time.Minute
)

// DefaultTimeout is how long the directory may take over a whole sign-in where no
// setting says otherwise.
const DefaultTimeout = 5 * time.Second

// MaxCredential bounds name and password before anything is asked, in bytes.
const MaxCredential = 1024

// Config is what signing in needs. All but Directory and Store
// is optional.
type Config struct {
	Directory    portal.Directory
	Store        Store
	NeverLocks   bool          // the directory locks no account by itself; false assumes a low threshold until StayBelow
	CodeAlone    bool          // codes that were made for it stand for a password
	Secret       portal.Secret // of the installation, signs the cookies of known browsers; default: one of this process
	Tries        int           // wrong passwords of one account in Window; default DefaultTries
	AddressTries int           // wrong passwords from one network in Window; default DefaultAddressTries
	Window       time.Duration // default DefaultWindow
	Timeout      time.Duration // for all questions to the directory together; default DefaultTimeout
	Now          func() time.Time
	Log          *slog.Logger
}

// Service checks passwords, with a pause after too many wrong ones. The pause is
// per account under all its spellings and comes before the directory's own lock;
// another is per network, for those who try one password on many accounts.
type Service struct {
	c       Config
	account atomic.Pointer[budgets]
	known   knownBrowsers
	hashing chan struct{} // holds one token for each code being hashed
}

// New checks the configuration.
func New(c Config) (*Service, error) {
	if c.Directory == nil || c.Store == nil {
		return nil, errors.New("sign-in: a required part is missing")
	}
	if c.Tries < 0 || c.AddressTries < 0 || c.Window < 0 || c.Timeout < 0 {
		return nil, errors.New("sign-in: a limit is negative")
	}
	c.Tries = cmp.Or(c.Tries, DefaultTries)
	c.AddressTries = cmp.Or(c.AddressTries, DefaultAddressTries)
	c.Window = cmp.Or(c.Window, DefaultWindow)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Secret.IsZero() {
		rand.Read(c.Secret[:]) // never returns an error, see crypto/rand
	}
	s := &Service{c: c, known: knownBrowsers{c.Secret.Key("certportal known browsers")}, hashing: make(chan struct{}, codeHashers)}
	s.assume()
	if c.NeverLocks {
		s.StayBelow(0, 0)
	}
	return s, nil
}

// Wrong says that name and password do not belong together, how many tries the client
// has left, MaxTriesCounted at most, and how long the pause is that begins when there is
// none. It is ErrCredentials.
type Wrong struct {
	Left  int
	Pause time.Duration
}

// Error includes the tries left.
func (w *Wrong) Error() string {
	return fmt.Sprintf("%v, %d tries left", portal.ErrCredentials, w.Left)
}

// Unwrap makes a Wrong an ErrCredentials.
func (w *Wrong) Unwrap() error { return portal.ErrCredentials }

// Authenticate checks a password. It returns *Wrong, a *Refusal with PausedSignIn
// or PausedAddress or with what the directory says of an account whose password
// was right, or an *Outage. An empty or blank password never reaches the
// directory, where it could count as an anonymous success (RFC 4513 section
// 5.1.2).
func (s *Service) Authenticate(ctx context.Context, login, password string, by portal.Actor) (portal.Person, error) {
	login = strings.TrimSpace(login)
	asking, cancel := context.WithTimeout(ctx, s.c.Timeout)
	defer cancel()
	visit, err := s.begin(ctx, asking, login, by)
	if err != nil {
		return portal.Person{}, err
	}
	person, err := s.ask(asking, login, password)
	var refusal *portal.Refusal
	switch {
	case errors.Is(err, portal.ErrCredentials):
		s.note(ctx, by, person, "credentials", by.Person)
		return portal.Person{}, s.wrong(ctx, visit, by)
	case errors.As(err, &refusal):
		// The password was right: this was no guess. The directory does not count it
		// as one either.
		s.note(ctx, by, person, string(refusal.Reason), person.ID)
		return portal.Person{}, errors.Join(err, s.giveBack(ctx, visit.keys()...))
	case errors.Is(err, portal.ErrUnanswered):
		// The directory may still count it as wrong, and so does the portal: who
		// makes the directory slow gets no tries for nothing.
		s.note(ctx, by, person, "unanswered", by.Person)
		return portal.Person{}, portal.AsOutage(portal.PartDirectory, "signing in", err)
	case err != nil:
		// The directory's fault is not a wrong password.
		return portal.Person{}, errors.Join(portal.AsOutage(portal.PartDirectory, "signing in", err), s.giveBack(ctx, visit.keys()...))
	}
	if err := s.forgive(ctx, visit); err != nil {
		return portal.Person{}, err
	}
	return person, s.signedIn(ctx, by, person, "password")
}

// Assert signs a person in on the claim of an identity provider. It returns a *Refusal
// when the directory does not know them or they may not sign in, or an *Outage.
func (s *Service) Assert(ctx context.Context, claim portal.Claim, by portal.Actor) (portal.Person, error) {
	asking, cancel := context.WithTimeout(ctx, s.c.Timeout)
	defer cancel()
	person, err := s.c.Directory.Match(asking, claim)
	switch {
	case errors.Is(err, portal.ErrNotFound):
		err = &portal.Refusal{Reason: portal.UnknownPerson}
	case err == nil && !claim.Matches(person):
		s.c.Log.Warn("the directory takes a claim for somebody it does not name to the letter", "person", person.ID, "request", by.Request)
		person, err = portal.Person{}, &portal.Refusal{Reason: portal.UnknownPerson}
	case err == nil:
		err = maySignIn(person)
	}
	var refusal *portal.Refusal
	if errors.As(err, &refusal) {
		s.note(ctx, by, person, string(refusal.Reason), person.ID)
		return portal.Person{}, err
	}
	if err != nil {
		return portal.Person{}, portal.AsOutage(portal.PartDirectory, "matching claim", err)
	}
	return person, s.signedIn(ctx, by, person, "openid")
}

// maySignIn refuses accounts that the directory would refuse. It checks passwords
// itself, but not the claims of an identity provider.
func maySignIn(p portal.Person) error {
	switch {
	case p.Disabled:
		return &portal.Refusal{Reason: portal.Disabled}
	case p.Expired:
		return &portal.Refusal{Reason: portal.Expired}
	case p.Locked:
		return &portal.Refusal{Reason: portal.Locked}
	}
	return nil
}

// signedIn records that a person signed in. That is an act: without its entry
// it does not happen.
func (s *Service) signedIn(ctx context.Context, by portal.Actor, p portal.Person, method string) error {
	by.Person, by.Role = p.ID, p.HighestRole()
	e := by.Entry(s.c.Now(), audit.SignedIn)
	e.Detail = map[string]string{"method": method}
	return portal.AsOutage(portal.PartStore, "recording sign-in", s.c.Store.Note(ctx, e))
}

// SignedOut records that a person left.
func (s *Service) SignedOut(ctx context.Context, by portal.Actor) error {
	err := s.c.Store.Note(ctx, by.Entry(s.c.Now(), audit.SignedOut))
	return portal.AsOutage(portal.PartStore, "recording sign-out", err)
}

func (s *Service) ask(ctx context.Context, login, password string) (portal.Person, error) {
	if login == "" || strings.TrimSpace(password) == "" || len(login) > MaxCredential || len(password) > MaxCredential {
		return portal.Person{}, portal.ErrCredentials
	}
	return s.c.Directory.Authenticate(ctx, login, password)
}

// note records a refused try, also when the client has disconnected: that must
// not keep a guess out of the audit log. What was typed as a name is not kept: people
// type passwords there. The actor is a person who proved to be that: by a right password,
// a claim, or the session in which they are asked again. Otherwise a stranger's guess
// would look like an act of its victim.
func (s *Service) note(ctx context.Context, by portal.Actor, p portal.Person, reason string, actor portal.PersonID) {
	by.Person = p.ID
	e := by.Entry(s.c.Now(), audit.SignInRefused)
	e.Actor, e.Role = string(actor), ""
	e.Detail = map[string]string{"reason": reason}
	if err := s.c.Store.Note(context.WithoutCancel(ctx), e); err != nil {
		s.c.Log.Error("recording a refused sign-in", "request", by.Request, "err", err)
	}
}

func truncate(s string) string {
	if len(s) > MaxCredential {
		return s[:MaxCredential]
	}
	return s
}
