package succession

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
)

const (
	// refreshEvery is how often a replica looks for a change that another one made.
	refreshEvery = time.Second

	// retireEvery is how often it looks whether the last certificate of a retiring
	// authority has ended, and how long after it left at the earliest: what was reserved
	// under it before is recorded by then.
	retireEvery = time.Hour
)

// Config configures a Line. Store and Folder are required.
type Config struct {
	Store Store

	// Folder gives the authorities of the CA's folder. It is called about every second. With
	// an error it gives those that it last read.
	Folder func() ([]ca.Authority, error)

	// Opens reports why an authority cannot issue, nil if it can. A planned one that cannot is
	// not activated. Optional.
	Opens func(ca.Authority) error

	// Due reports why this process may not activate and retire by its clock now. Optional:
	// without it, as in a command, it carries out no plan.
	Due func() error

	// Changed is called after a state or the folder changed. It must not block. Optional.
	Changed func()

	Now func() time.Time // default time.Now
	Log *slog.Logger     // default slog.Default()
}

// Line is the line of issuing CAs of an installation, as one process knows it. It is safe
// for concurrent use.
type Line struct {
	c     Config
	known atomic.Pointer[snapshot]

	refreshing chan struct{} // semaphore of one, guards the rest
	retireFrom time.Time     // when to look again whether one can be retired
	trouble    string        // logged last, so that the same one is logged once
}

// snapshot is the state at one moment; it never changes.
type snapshot struct {
	all     []Authority // recorded and in the folder, in the order of their numbers
	missing []Record    // recorded and not in the folder
}

// New checks the configuration. Refresh reads the states.
func New(c Config) (*Line, error) {
	if c.Store == nil || c.Folder == nil {
		return nil, errors.New("succession: a required part is missing")
	}
	if c.Due == nil {
		c.Due = func() error { return errNoPlans }
	}
	if c.Changed == nil {
		c.Changed = func() {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	l := &Line{c: c, refreshing: make(chan struct{}, 1)}
	l.known.Store(&snapshot{})
	return l, nil
}

// All gives the authorities that are recorded and in the folder, in the order of their
// numbers. The slice is shared: do not change it.
func (l *Line) All() []Authority { return l.known.Load().all }

// Missing gives the records whose certificate is not in the folder of this machine.
func (l *Line) Missing() []Record { return l.known.Load().missing }

// Active gives the authority that issues; false when it was revoked without a next one, or
// is not in the folder of this machine.
func (l *Line) Active() (Authority, bool) {
	return l.find(func(a Authority) bool { return a.Record.State == Active })
}

// Named gives an authority by name.
func (l *Line) Named(name string) (Authority, bool) {
	return l.find(func(a Authority) bool { return a.Name == name })
}

// Of gives the authority that issued a certificate.
func (l *Line) Of(cert *x509.Certificate) (Authority, bool) {
	return l.find(func(a Authority) bool { return issued(a.Certificate, cert) })
}

func (l *Line) find(is func(Authority) bool) (Authority, bool) {
	all := l.All()
	i := slices.IndexFunc(all, is)
	if i < 0 {
		return Authority{}, false
	}
	return all[i], true
}

// Refresh reads folder and store, records what is new in the folder, and activates and
// retires what is due. A plan that has to wait is logged, once, and is no error: it must not
// stop the CAs that issue and answer.
func (l *Line) Refresh(ctx context.Context) error {
	select {
	case l.refreshing <- struct{}{}:
		defer func() { <-l.refreshing }()
	case <-ctx.Done():
		return fmt.Errorf("waiting while the issuing CAs are read: %w", ctx.Err())
	}
	waits, err := l.refresh(ctx)
	l.note(ctx, errors.Join(err, waits))
	return err
}

// refresh reports apart why plans have to wait.
func (l *Line) refresh(ctx context.Context) (waits, err error) {
	inFolder, unread := l.c.Folder()
	if unread != nil {
		unread = fmt.Errorf("reading the CA's folder: %w", unread)
	}
	records, err := l.c.Store.Authorities(ctx)
	if err != nil {
		return nil, errors.Join(unread, fmt.Errorf("reading states of issuing CAs: %w", err))
	}
	listed, err := l.c.Store.RevokedAuthorities(ctx)
	if err != nil {
		return nil, errors.Join(unread, fmt.Errorf("reading revoked issuing CAs: %w", err))
	}
	acted, err := l.record(ctx, inFolder, records, listed)
	err = errors.Join(unread, err)
	carried, waits := l.carryOut(ctx, inFolder, records)
	if acted || carried {
		again, failed := l.c.Store.Authorities(ctx)
		if failed != nil {
			return waits, errors.Join(err, fmt.Errorf("reading states of issuing CAs: %w", failed))
		}
		records = again
	}
	next := join(inFolder, records)
	if !same(l.known.Swap(next), next) {
		l.c.Changed()
	}
	return waits, err
}

// Run refreshes every second until the context ends.
func (l *Line) Run(ctx context.Context) {
	ticker := time.NewTicker(refreshEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		_ = l.Refresh(ctx) // logged
	}
}

// note logs a trouble when it begins and when it is over.
func (l *Line) note(ctx context.Context, err error) {
	text := ""
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		text = err.Error()
	}
	if text != "" && text != l.trouble {
		l.c.Log.Error("following the issuing CAs", "err", err)
	}
	l.trouble = text
}

// record records what is new in the folder, and revokes what an older copy of the records has
// in another state. It reports whether anything was done. An error about one authority does
// not stop the others.
func (l *Line) record(ctx context.Context, inFolder []ca.Authority, records []Record, listed []Listed) (acted bool, err error) {
	now := l.c.Now()
	for _, a := range inFolder {
		if !slices.ContainsFunc(records, func(r Record) bool { return r.Name == a.Name }) {
			err, acted = errors.Join(err, done(l.add(ctx, a, len(records) == 0 && a.Name == ca.FirstAuthority, now))), true
		}
	}
	for _, r := range records {
		if gone, revoked := revokedAgain(r, inFolder, listed); revoked {
			err, acted = errors.Join(err, done(l.c.Store.RevokeAuthority(ctx, gone, gone.Entry("system")))), true
		}
	}
	return acted, err
}

// done is the error of an act, nil where another replica was first.
func done(err error) error {
	if errors.Is(err, ErrState) {
		return nil
	}
	return err
}

// revokedAgain reports whether a recorded authority that is not revoked is listed as such.
func revokedAgain(r Record, inFolder []ca.Authority, listed []Listed) (Revocation, bool) {
	if r.State == Revoked || len(listed) == 0 {
		return Revocation{}, false
	}
	for _, a := range inFolder {
		if a.Name != r.Name || !belongs(r, a) {
			continue
		}
		again, err := RevocationOf(a, false, 0, time.Time{})
		i := slices.IndexFunc(listed, func(l Listed) bool {
			// Companies begin their serial numbers anew: the end tells certificates apart.
			return err == nil && l.Serial == again.Serial && l.NotAfter.Unix() == again.NotAfter.Unix()
		})
		if i >= 0 {
			again.Reason, again.At = listed[i].Reason, listed[i].At
			return again, true
		}
	}
	return Revocation{}, false
}

// add records an authority of the folder: the only one of an installation as active, any
// other as pending.
func (l *Line) add(ctx context.Context, a ca.Authority, first bool, now time.Time) error {
	r := RecordOf(a, now)
	if first {
		r.State, r.Activated = Active, now
	}
	return l.c.Store.AddAuthority(ctx, r, entry(audit.CAAdded, a.Name, now, map[string]string{
		"state": string(r.State), "sha256": ca.Fingerprint(a.Certificate), "until": a.Certificate.NotAfter.UTC().Format(time.RFC3339),
	}))
}

// join pairs the records with the folder.
func join(inFolder []ca.Authority, records []Record) *snapshot {
	s := &snapshot{}
	for _, r := range records {
		i := slices.IndexFunc(inFolder, func(a ca.Authority) bool { return a.Name == r.Name && belongs(r, a) })
		if i < 0 {
			s.missing = append(s.missing, r)
			continue
		}
		s.all = append(s.all, Authority{inFolder[i], r})
	}
	return s
}

// same reports whether two snapshots have the same authorities in the same states.
func same(a, b *snapshot) bool {
	equal := func(x, y Authority) bool { return x.Record == y.Record }
	return slices.EqualFunc(a.all, b.all, equal) && slices.Equal(a.missing, b.missing)
}
