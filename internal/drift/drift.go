// Package drift compares certificates with the directory while they are valid.
//
// A certificate is valid for a year and authenticates without asking the directory.
// Every few minutes the watch therefore compares every certificate holder with the
// directory. When an account is disabled, expired or gone, or became protected, its
// certificates are revoked after a grace period; a revocation is final. When UPN or SID
// differ, the certificate is reported as a mismatch and stays valid: it gives access to
// nothing that was not its holder's. When another account has the UPN of a certificate
// now, servers that map by UPN would take the holder for that account: it is revoked at
// once. An account that the portal may not read in full is a mismatch too: its state is
// unknown, so its other mismatches stay as they are, and the watch goes on with the other
// people.
//
// Because revocations cannot be undone, the watch stops on implausible answers: about
// people it did not ask for; no answer; another directory than before; none of the
// people known; or more than a share of them changed at once. It then revokes nothing
// until the directory recovers or an administrator allows it to continue.
//
// The watch keeps no state in memory: mismatches, grace periods and the stop are stored
// with audit entries in the transactions that change them. Restarts lose nothing. Of
// replicas one works at a time, under a lease in the store: every transaction checks it, so
// that a watch which lost it, because it was too slow, changes nothing more. The revocation
// reason is affiliationChanged (RFC 5280 section 5.3.1).
package drift

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"certportal/internal/portal"
)

// Defaults of the configuration. DefaultEvery and DefaultGrace together keep the bound
// of attack A11: at most 15 minutes from disabling an account to its certificates in
// the CRL.
const (
	DefaultEvery = 5 * time.Minute
	DefaultGrace = 10 * time.Minute
	DefaultShare = 0.05
)

// Directory is where the watch reads people. Errors other than portal.ErrNotFound say
// that the directory did not answer.
type Directory interface {
	// People returns those of the people that the directory knows, in any order. A
	// *portal.UnreadableError says that the result lacks some whose entries cannot be
	// read.
	People(ctx context.Context, ids []portal.PersonID) ([]portal.Person, error)

	// Person returns one person, portal.ErrNotFound, or a *portal.UnreadableError. Its
	// Protected is the directory's decision.
	Person(ctx context.Context, id portal.PersonID) (portal.Person, error)

	// Protected returns people who may be protected by their groups. Together with
	// those that People says are protected it must contain all that are: the watch then
	// reads each with Person.
	Protected(ctx context.Context) (map[portal.PersonID]bool, error)

	// UPNOwners returns the accounts that have the UPNs now, by UPN as asked. An account
	// that is no person may have an empty id.
	UPNOwners(ctx context.Context, upns []string) (map[string][]portal.PersonID, error)
}

// ProtectedAction is what the watch does about holders who became protected, whose
// certificates would give control over the domain (attack A3).
type ProtectedAction string

// The actions.
const (
	ProtectedRevoke ProtectedAction = "revoke" // revoke after the grace period
	ProtectedAlarm  ProtectedAction = "alarm"  // record and report only
	ProtectedIgnore ProtectedAction = "ignore" // protected people may have certificates
)

// Config configures a [Watch]. Directory and Store are required.
type Config struct {
	Directory Directory
	Store     Store

	// Source identifies the directory by something that changes only when its people
	// do, such as kind and domain.
	Source string

	// Revoked is called after certificates were revoked, so that the CRL is updated at
	// once. It must not block. Optional.
	Revoked func()

	// Every is the longest time between two passes. Default DefaultEvery.
	Every time.Duration

	// Grace is the time from first seeing that an account ended to the revocation of
	// its certificates. Default DefaultGrace.
	Grace time.Duration

	// Share is the largest part of all holders, above 0 and at most 1, that may change
	// within 24 hours; three may always. Default DefaultShare.
	Share float64

	// Protected is what to do about people who became protected. Default
	// ProtectedRevoke.
	Protected ProtectedAction

	// Hold says why nothing may be revoked on this machine now: its clock is wrong. Optional.
	Hold func() error

	// Replicas says that other portals use the store: the lease is kept between passes.
	Replicas bool

	// Holder names this watch, different for each process. Default random.
	Holder string

	// Clock is the time of the store, which all watches share. Default Now.
	Clock func(context.Context) (time.Time, error)

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default()
}

// Watch compares certificates with the directory, one pass at a time.
type Watch struct {
	c          Config
	renewEvery time.Duration

	mu     sync.Mutex
	logged time.Time // when the stop was last logged; guarded by mu
}

// New checks the configuration. It reads nothing.
func New(c Config) (*Watch, error) {
	if c.Directory == nil || c.Store == nil {
		return nil, errors.New("drift watch: a required part is missing")
	}
	if c.Every < 0 || c.Grace < 0 || c.Share < 0 || c.Share > 1 {
		return nil, fmt.Errorf("drift watch: every %v, grace %v, share %v", c.Every, c.Grace, c.Share)
	}
	return &Watch{c: c.withDefaults(), renewEvery: renewEvery}, nil
}

func (c Config) withDefaults() Config {
	if c.Every == 0 {
		c.Every = DefaultEvery
	}
	if c.Grace == 0 {
		c.Grace = DefaultGrace
	}
	if c.Share == 0 {
		c.Share = DefaultShare
	}
	if c.Protected == "" {
		c.Protected = ProtectedRevoke
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
	if c.Hold == nil {
		c.Hold = func() error { return nil }
	}
	if c.Holder == "" {
		c.Holder = rand.Text()
	}
	if c.Clock == nil {
		c.Clock = func(context.Context) (time.Time, error) { return c.Now(), nil }
	}
	return c
}

// Grace returns the time from recording that an account ended to revoking its certificates.
func (w *Watch) Grace() time.Duration { return w.c.Grace }

// AccountEnded reports whether a change is the end of an account. Its certificates are
// revoked after the grace period, its sessions at once.
func AccountEnded(c portal.Change) bool {
	switch c {
	case portal.AccountGone, portal.AccountDisabled, portal.AccountExpired:
		return true
	}
	return false
}
