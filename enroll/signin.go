package enroll

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"certportal/ledger"
)

// How many tries an account has before a pause, and how long both last. Behind a
// directory that locks accounts the limit must stay below that of the directory.
const (
	SignInTries  = 5
	SignInWindow = 15 * time.Minute
)

// MaxCredential bounds name and password before anything is asked, in bytes.
const MaxCredential = 1024

// SignInConfig is what signing in needs; Now and Log are optional.
type SignInConfig struct {
	Directory Directory
	Attempts  Attempts
	Records   interface {
		Note(context.Context, ledger.Entry) error
	}
	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default()
}

// SignIn checks passwords, with a pause after too many wrong ones. The pause is
// per account under all its spellings and comes before the directory's own lock.
type SignIn struct {
	c SignInConfig
}

// NewSignIn checks the configuration.
func NewSignIn(c SignInConfig) (*SignIn, error) {
	if c.Directory == nil || c.Attempts == nil || c.Records == nil {
		return nil, errors.New("sign-in: a required part is missing")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &SignIn{c: c}, nil
}

// Wrong says that name and password do not belong together, and how many tries
// are left before a pause. It is ErrCredentials.
type Wrong struct{ Left int }

// Error tells the tries left.
func (w *Wrong) Error() string { return fmt.Sprintf("%v, %d tries left", ErrCredentials, w.Left) }

// Unwrap makes a Wrong an ErrCredentials.
func (w *Wrong) Unwrap() error { return ErrCredentials }

// Authenticate checks a password. It returns *Wrong, a *Refusal with PausedSignIn
// or with what the directory says of an account whose password was right, or an
// *Outage. An empty or blank password never reaches the directory, where it could
// count as an anonymous success (RFC 4513 section 5.1.2).
func (s *SignIn) Authenticate(ctx context.Context, login, password string, by By) (Person, error) {
	login = strings.TrimSpace(login)
	canonical, err := s.c.Directory.Canonical(ctx, clip(login))
	if err != nil {
		return Person{}, outage(PartDirectory, "signing in", err)
	}
	key, now := "sign-in "+canonical, s.c.Now()
	tries, err := s.c.Attempts.Try(ctx, key, SignInTries, SignInWindow, now)
	if err != nil {
		return Person{}, outage(PartStore, "counting tries", err)
	}
	if !tries.Allowed {
		return Person{}, &Refusal{Reason: PausedSignIn, Until: tries.Until}
	}
	person, err := s.ask(ctx, login, password)
	if errors.Is(err, ErrCredentials) {
		s.note(ctx, by, person, ledger.SignInRefused, "credentials")
		return Person{}, &Wrong{Left: tries.Left}
	}
	var refusal *Refusal
	if errors.As(err, &refusal) {
		s.note(ctx, by, person, ledger.SignInRefused, string(refusal.Reason))
		return Person{}, err
	}
	if err != nil {
		// The directory's fault is not a wrong password.
		return Person{}, errors.Join(outage(PartDirectory, "signing in", err), s.c.Attempts.GiveBack(ctx, key))
	}
	if err := s.c.Attempts.Forgive(ctx, key); err != nil {
		return Person{}, outage(PartStore, "forgetting tries", err)
	}
	// Being let in is an act: without its entry it does not happen.
	by.Person, by.Role = person.ID, person.highest()
	if err := s.c.Records.Note(ctx, by.entry(now, ledger.SignedIn)); err != nil {
		return Person{}, outage(PartStore, "recording sign-in", err)
	}
	return person, nil
}

// SignedOut records that a person left.
func (s *SignIn) SignedOut(ctx context.Context, by By) error {
	err := s.c.Records.Note(ctx, by.entry(s.c.Now(), ledger.SignedOut))
	return outage(PartStore, "recording sign-out", err)
}

func (s *SignIn) ask(ctx context.Context, login, password string) (Person, error) {
	if login == "" || strings.TrimSpace(password) == "" || len(login) > MaxCredential || len(password) > MaxCredential {
		return Person{}, ErrCredentials
	}
	return s.c.Directory.Authenticate(ctx, login, password)
}

// note records a refused try. What was typed as a name is not kept: people type
// passwords there.
func (s *SignIn) note(ctx context.Context, by By, p Person, action ledger.Action, reason string) {
	by.Person = p.ID
	e := by.entry(s.c.Now(), action)
	e.Actor, e.Role = string(p.ID), ""
	e.Detail = map[string]string{"reason": reason}
	if err := s.c.Records.Note(ctx, e); err != nil {
		s.c.Log.Error("recording a refused sign-in", "request", by.Request, "err", err)
	}
}

func clip(s string) string {
	if len(s) > MaxCredential {
		return s[:MaxCredential]
	}
	return s
}
