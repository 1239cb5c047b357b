package enroll

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"certportal/ca"
	"certportal/ca/fetch"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

// Config is what a registrar works with. Fields are required unless they say
// otherwise or have a default.
type Config struct {
	Directory portal.Directory
	Issuer    Issuer
	Profile   *ca.Profile
	Keys      *KeyPool
	Store     Store

	// DeviceKeys lets devices make their own keys. Default: the registrar makes every
	// key.
	DeviceKeys bool

	// Chain gives what a device needs between a certificate and the root: the issuing CA
	// and what is above it, without the root. For nil it is that of the CA that issues now.
	Chain func(leaf *x509.Certificate) []*x509.Certificate

	// Upstream issues in the place of Issuer. Optional. Upstreams are all that issued
	// before or may, that one included: their requests and revocations go on.
	Upstream  *Upstream
	Upstreams []*Upstream

	// AuthorityChanged is called when the store says that another authority issues now, or
	// has a certificate of an unknown one: the next Prepare of Issuer is under the one that
	// issues, and Chain knows all. Optional.
	AuthorityChanged func(context.Context) error

	// Quota is the number of devices that may work at the same time for one
	// person. Default 5.
	Quota int

	// PerHour is how many certificates a person may ask for within an hour: each one that
	// is replaced is listed in the CRL that every client fetches. Zero is no limit.
	PerHour int

	// RenewFrom is how long before its end a certificate may be renewed, and Overlap
	// how long it then works beside the new one. Default 60 and 7 days.
	RenewFrom, Overlap time.Duration

	// CodeRequired refuses a certificate without an invitation, but for one that a
	// device asks for with the key of the one before.
	CodeRequired bool

	// EnrollProtected lets protected people enrol. Default: they are refused,
	// because a lost phone with such a certificate gives control over the domain.
	EnrollProtected bool

	// EnrollGroup is what people call the group that may enrol. Optional.
	EnrollGroup string

	// Lists fetches the revocation lists of other CAs. Optional.
	Lists *fetch.Client

	// Revoked is called after certificates were revoked, so that the revocation
	// list is renewed at once. It must not block. Optional.
	Revoked func()

	// Clock is the clock that replicas share. Default: Now, which is never wrong.
	Clock Clock

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default()
}

// Clock is the clock of the records.
type Clock interface {
	// Now is the time by which the sweep decides what is over.
	Now(context.Context) (time.Time, error)

	// Fault says why this machine's clock is not to be used: nothing is issued and swept. It
	// is nil while the clocks agree.
	Fault() error
}

// localClock is the clock of a portal that is alone with its records.
type localClock func() time.Time

// Now implements Clock.
func (c localClock) Now(context.Context) (time.Time, error) { return c(), nil }

// Fault implements Clock.
func (localClock) Fault() error { return nil }

// Registrar decides whether a certificate may be issued, records it, has it
// signed and encrypts the result. It is the only way to a person's certificate, but for
// the short-lived ones of [TestIssuer].
type Registrar struct {
	c       Config
	rules   Rules
	persons keyedMutex

	finisher finisher

	signers   signers
	upstreams map[string]*Upstream // by name
	inFlight  map[string]chan struct{}
	submits   sync.WaitGroup

	pagesAskFrom atomic.Int64 // from when on pages ask the directory, Unix nanoseconds
}

// DefaultQuota is the number of devices of a person where no setting says
// otherwise.
const DefaultQuota = 5

// New checks the configuration and returns a registrar.
func New(c Config) (*Registrar, error) {
	switch {
	case c.Directory == nil, c.Issuer == nil, c.Profile == nil, c.Keys == nil, c.Store == nil, c.Chain == nil:
		return nil, errors.New("registrar: a required part is missing")
	case c.Quota < 0, c.PerHour < 0, c.RenewFrom < 0, c.Overlap < 0:
		return nil, errors.New("registrar: a limit is negative")
	}
	if c.Quota == 0 {
		c.Quota = DefaultQuota
	}
	if c.RenewFrom == 0 {
		c.RenewFrom = DefaultRenewFrom
	}
	if c.Overlap == 0 {
		c.Overlap = DefaultOverlap
	}
	if c.AuthorityChanged == nil {
		c.AuthorityChanged = func(context.Context) error { return nil }
	}
	if c.Revoked == nil {
		c.Revoked = func() {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Clock == nil {
		c.Clock = localClock(c.Now)
	}
	if c.Lists == nil {
		c.Lists = new(fetch.Client)
	}
	c.Log = cmp.Or(c.Log, slog.Default())
	upstreams, inFlight, err := byName(c.Upstreams, c.Upstream)
	if err != nil {
		return nil, err
	}
	return &Registrar{
		c: c, signers: signers{c.Chain, upstreams, c.AuthorityChanged}, upstreams: upstreams, inFlight: inFlight,
		rules: Rules{
			RequireSID: c.Directory.RequiresSID(), EnrollProtected: c.EnrollProtected, EnrollGroup: c.EnrollGroup,
		},
		finisher: finisher{store: c.Store, sign: c.Issuer.Sign, revoked: c.Revoked, now: c.Now, log: c.Log, left: new(leftovers)},
	}, nil
}

// IssuesElsewhere reports whether a CA that the portal does not run issues.
func (r *Registrar) IssuesElsewhere() bool { return r.c.Upstream != nil }

// Quota is the number of devices a person may have working at the same time.
func (r *Registrar) Quota() int { return r.c.Quota }

// Chain gives what a device needs between a certificate and the root; for nil, between
// one that is issued now and the root. It is shared: do not change it.
func (r *Registrar) Chain(leaf *x509.Certificate) []*x509.Certificate {
	if leaf == nil && r.c.Upstream != nil {
		return r.c.Upstream.chain(nil)
	}
	for _, u := range r.upstreams {
		if leaf != nil && u.issued(leaf) {
			return u.chain(leaf)
		}
	}
	return r.c.Chain(leaf)
}

// Person reads a person afresh from the directory.
func (r *Registrar) Person(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	p, err := r.c.Directory.Person(ctx, id)
	return p, portal.AsOutage(portal.PartDirectory, "reading person", err)
}

// Devices lists a person's devices, newest first.
func (r *Registrar) Devices(ctx context.Context, person portal.PersonID) ([]portal.Device, error) {
	devices, err := r.c.Store.Devices(ctx, person)
	return devices, portal.AsOutage(portal.PartStore, "listing devices", err)
}

// Device finds a device of the person, or ErrNotFound.
func (r *Registrar) Device(ctx context.Context, person portal.PersonID, id portal.DeviceID) (portal.Device, error) {
	device, err := r.c.Store.Device(ctx, person, id)
	return device, portal.AsOutage(portal.PartStore, "finding device", err)
}

// NoteDeniedAct records that the policy refused an act: which one, why, and on
// which route.
func (r *Registrar) NoteDeniedAct(ctx context.Context, by portal.Actor, route, act, why string) error {
	e := by.Entry(r.c.Now(), audit.AccessRefused)
	e.Object, e.Detail = route, map[string]string{"act": act, "reason": why}
	return portal.AsOutage(portal.PartStore, "recording a refused act", r.c.Store.Note(ctx, e))
}
