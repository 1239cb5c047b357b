package app

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"strings"
	"time"

	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/doctor"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/portal"
	"certportal/store"
)

// openLimit bounds how long the command "doctor" waits for database and CA. With
// admin.CheckLimit for the checks it ends within 15 seconds.
const openLimit = 3 * time.Second

// OpenDoctor opens the doctor of an installation beside its portal, which may run or not.
// A part that does not open is the finding of its check. It changes nothing and asks for no
// passphrase. Call done in the end, unless a check did not end.
func OpenDoctor(ctx context.Context, s *config.Settings, wrong *config.Mistakes, log *slog.Logger) (d *doctor.Doctor, done func()) {
	o := &doctor.Outside{Wrong: wrong, Running: isRunning(s)}
	c := doctor.Config{
		Settings: s, Outside: o, Now: time.Now, Log: log,
		OCSP:      func() *ocsp.Health { return &ocsp.Health{} },
		TLS:       func() *x509.Certificate { return servedByFiles(s) },
		CheckMail: func(ctx context.Context) []portal.Finding { return mailFindings(ctx, s) },
		Provider:  func(ctx context.Context) error { return askProvider(ctx, s, time.Now, log) },
		ProfileSigner: func() ([]*x509.Certificate, crypto.Signer) {
			pair, err := tls.LoadX509KeyPair(s.Apple.SignerCertificate, s.Apple.SignerKey)
			if err != nil {
				return nil, nil
			}
			return chainAndKey(&pair)
		},
	}
	c.Public, _ = addressesNow(s) // an address that is wrong is reported with the settings
	openParts(ctx, &c, log)
	if s.Directory.Kind != config.KindBuiltin {
		c.Directory, _ = OpenLDAP(s, time.Now, log) // likewise
	}
	return doctor.New(c), func() {
		if c.Directory != nil {
			_ = c.Directory.Close()
		}
		if c.CA != nil {
			_ = c.CA.Close()
		}
		if c.DB != nil {
			_ = c.DB.Close()
		}
	}
}

// openParts opens database and CA side by side, then what needs both.
func openParts(ctx context.Context, c *doctor.Config, log *slog.Logger) {
	s := c.Settings
	db := within(ctx, func(ctx context.Context) (*store.DB, error) { return openAsIs(ctx, s, log) })
	key := within(ctx, func(context.Context) (*localca.CA, error) {
		return localca.Open(s, c.Public.HTTP, &config.Terminal{In: strings.NewReader(""), Out: io.Discard})
	})
	c.DB, c.Outside.DBErr = db()
	c.CA, c.Outside.CAErr = key()
	if c.CA == nil || c.DB == nil {
		return
	}
	_, err := within(ctx, func(ctx context.Context) (struct{}, error) {
		if err := c.CA.BelongsTo(ctx, c.DB); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, c.CA.Follow(ctx, c.DB, time.Now, log, nil)
	})()
	if err != nil {
		c.CA, c.Outside.CAErr = nil, err
		return
	}
	c.DB.UseSecret(c.CA.Secret)
	c.Company = newCompanyWatch(c.CA, time.Now, log)
	c.Lists, err = crl.New(crl.Config{Store: c.DB, Authorities: Authorities(c.CA, s, c.Public.HTTP), Now: time.Now, Log: log})
	if err == nil {
		err = c.Lists.Read(ctx)
	}
	if err != nil {
		log.Warn("reading revocation lists", "err", err)
	}
}

// within starts to open a part; the function it returns waits for it, at most openLimit.
func within[T any](ctx context.Context, open func(context.Context) (T, error)) func() (T, error) {
	type result struct {
		part T
		err  error
	}
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	opened := make(chan result, 1)
	go func() {
		part, err := open(ctx)
		opened <- result{part, err}
	}()
	return func() (none T, err error) {
		defer cancel()
		select {
		case r := <-opened:
			return r.part, r.err
		case <-ctx.Done():
			return none, errors.Join(errNoAnswer, ctx.Err())
		}
	}
}

// servedByFiles is the TLS certificate that a portal serves with these settings; nil
// without one.
func servedByFiles(s *config.Settings) *x509.Certificate {
	certFile, keyFile := s.TLS.Certificate, s.TLS.Key
	if certFile == "" {
		certFile, keyFile = ownServerFiles(s)
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil
	}
	return pair.Leaf
}
