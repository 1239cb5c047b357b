package doctor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/internal/ops"
	"certportal/internal/succession"
)

// probeInterval is how long a successful write counts as a working store.
const probeInterval = 5 * time.Second

// maxLag is how far OCSP answers may lag behind the store on a server that is ready.
const maxLag = time.Minute

// Ready returns the readiness checks: the store takes writes, the clock is that of the
// database, the CA is open, CRLs and
// OCSP answers are current.
func (d *Doctor) Ready() []ops.Check {
	return []ops.Check{
		{Name: "store", Look: d.probeStore()},
		{Name: "clock", Look: func(context.Context) error { return clocks{d}.fault() }},
		{Name: "ca", Look: func(context.Context) error { return errors.Join(d.c.CA.Ready(), d.absent()) }},
		{Name: "lists", Look: func(context.Context) error { return d.crlsFrom(crl.Ending) }},
		{Name: "ocsp", Look: func(context.Context) error { return d.ocspCurrent() }},
	}
}

// ReadyPlain returns the readiness checks of the plain-http side, which needs no database: no
// list has ended, online answers are signed, of each CA that has certificates in use, and the
// clock is right.
func ReadyPlain(d *Doctor) []ops.Check {
	return []ops.Check{
		{Name: "clock", Look: func(context.Context) error { return clocks{d}.fault() }},
		{Name: "ca", Look: func(context.Context) error { return d.absent() }},
		{Name: "lists", Look: func(context.Context) error { return d.crlsFrom(crl.Ended) }},
		{Name: "ocsp", Look: func(context.Context) error { return signerLives(d.c.OCSP(), d.c.Now()) }},
	}
}

// absent names the CAs whose files another machine has and this one not. Mail servers that ask
// here about their certificates would hear that the list is not found, and refuse the phones;
// those of a revoked CA are refused anyway.
func (d *Doctor) absent() error {
	var errs []error
	for _, r := range d.c.CA.Line.Missing() {
		if (r.State == succession.Active || r.State == succession.Retiring) && d.c.Now().Before(r.NotAfter) {
			errs = append(errs, fmt.Errorf("the files of issuing CA %s are not on this machine: bring them with certportal ca copy-to and ca copy-from", r.Name))
		}
	}
	return errors.Join(errs...)
}

// probeStore writes to the store, at most once in probeInterval.
func (d *Doctor) probeStore() func(context.Context) error {
	var mu sync.Mutex
	var written time.Time
	return func(ctx context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if age := time.Since(written); age < probeInterval {
			return nil
		}
		if err := d.c.DB.Probe(ctx); err != nil {
			return err
		}
		written = time.Now()
		return nil
	}
}

// crlsFrom returns an error that names each complete CRL that is missing or of that level, or
// a worse one.
func (d *Doctor) crlsFrom(level crl.Level) error {
	var errs []error
	for _, h := range d.c.Lists.Health() {
		of, _ := d.c.CA.Line.Named(h.Issuer)
		switch {
		case h.Delta, of.Record.State == succession.Pending: // nothing asks for its list yet
		case h.List.Number == 0:
			errs = append(errs, fmt.Errorf("there is no revocation list of %s", h.Issuer))
		case h.Level >= level:
			errs = append(errs, fmt.Errorf("the revocation list of %s ends at %s", h.Issuer, h.List.NextUpdate.UTC().Format(time.RFC3339)))
		}
	}
	return errors.Join(errs...)
}

// ocspCurrent returns why OCSP answers of this server are stale or missing.
func (d *Doctor) ocspCurrent() error {
	h := d.c.OCSP()
	if err := signerLives(h, d.c.Now()); err != nil || h == nil {
		return err
	}
	if !h.Followed.IsZero() && d.c.Now().Sub(h.Followed) > maxLag {
		return fmt.Errorf("online answers do not follow the records since %s", h.Followed.UTC().Format(time.RFC3339))
	}
	return nil
}

// signerLives returns why no online answers are signed here.
func signerLives(h *ocsp.Health, now time.Time) error {
	switch {
	case h == nil:
		return nil
	case h.Signer == nil:
		return errors.New("nobody signs online answers")
	case !now.Before(h.Signer.NotAfter):
		return fmt.Errorf("the signer of online answers ended at %s", h.Signer.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}
