// Package drift watches whether the directory still says what certificates say.
//
// A certificate lives for a year and opens a mailbox without asking anybody. The
// watch therefore compares everybody who holds one that works with the
// directory, every few minutes. Whose account is switched off, has run out or is
// gone loses the certificates after a grace, for good; where UPN or SID differ
// the certificate is marked, and stays, because it opens nothing that was not
// its holder's.
//
// Ending certificates cannot be undone, so the watch refuses to believe much: an
// answer that speaks of somebody else, a directory that does not answer, that
// is another one than before, that knows none of the people asked for, or in which more than a share of them
// changed at once. Then it stops, says so, and ends nothing until the directory
// is well again or an administrator lets it.
//
// The watch holds no state: marks, graces and the stop live in the store, with
// ledger entries in the transactions that change them, so that a restart forgets
// nothing and replicas may watch together. It follows RFC 5280 section 5.3.1 for
// the reason that stands in the revocation list (affiliationChanged).
package drift

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"certportal/internal/portal"
)

// What holds where the configuration says nothing. Together the first two keep
// the promise of attack A11: from switching an account off to its certificate in
// the revocation list it takes 15 minutes at most.
const (
	DefaultEvery = 5 * time.Minute
	DefaultGrace = 10 * time.Minute
	DefaultShare = 0.05
)

// Directory is what the watch asks of a directory. An error of either method but
// enroll.ErrNotFound says that the directory could not be asked.
type Directory interface {
	// People reads those of the people that it knows, afresh, in any order.
	People(ctx context.Context, ids []portal.PersonID) ([]portal.Person, error)

	// Person reads one person afresh, or returns enroll.ErrNotFound.
	Person(ctx context.Context, id portal.PersonID) (portal.Person, error)
}

// Config is what a watch works with. Directory and Records are required.
type Config struct {
	Directory Directory
	Store     Store

	// Source names the directory in a way that stays while its people are the same,
	// such as its kind and domain.
	Source string

	// Revoked is called after certificates were revoked, so that the revocation
	// list is renewed at once. It must not block. Optional.
	Revoked func()

	// Every is the longest time between two looks. Default DefaultEvery.
	Every time.Duration

	// Grace is the time from first seeing that an account ended to the end of its
	// certificates. Default DefaultGrace.
	Grace time.Duration

	// Share is the part of all holders, above 0 and at most 1, of whom no more may
	// change within 24 hours; three always may. Default DefaultShare.
	Share float64

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default()
}

// Watch compares certificates with the directory. One Watch makes one pass after
// the other; several, on replicas, may work at the same time.
type Watch struct {
	c      Config
	mu     sync.Mutex
	logged time.Time // when the stop was last logged; under turn
}

// New checks the configuration. Nothing is read before Run or Once.
func New(c Config) (*Watch, error) {
	if c.Directory == nil || c.Store == nil {
		return nil, errors.New("drift watch: a required part is missing")
	}
	if c.Every < 0 || c.Grace < 0 || c.Share < 0 || c.Share > 1 {
		return nil, fmt.Errorf("drift watch: every %v, grace %v, share %v", c.Every, c.Grace, c.Share)
	}
	if c.Every == 0 {
		c.Every = DefaultEvery
	}
	if c.Grace == 0 {
		c.Grace = DefaultGrace
	}
	if c.Share == 0 {
		c.Share = DefaultShare
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
	return &Watch{c: c}, nil
}

// Ends reports whether a change ends certificates. The others ask for new ones.
func Revokes(c portal.Change) bool {
	switch c {
	case portal.AccountGone, portal.AccountDisabled, portal.AccountExpired:
		return true
	}
	return false
}
