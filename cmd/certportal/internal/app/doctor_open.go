package app

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/doctor"
	"certportal/cmd/certportal/internal/hsm"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/portal"
	"certportal/store"
)

// How long the command "doctor" waits: with these it ends within 15 seconds.
const (
	// CheckLimit is that of a check, which waits for database and CA, too.
	CheckLimit = 12 * time.Second

	openLimit     = 10 * time.Second // deriving the key of the CA takes long on a busy machine
	databaseLimit = 5 * time.Second
)

// OpenDoctor opens the doctor of an installation beside its portal, which may run or not.
// A part that does not open is the finding of its check. It changes nothing. Where the
// passphrase is given at the start of the portal, it is read from in, which must end and is no
// terminal. Call done in the end, unless a check did not end.
func OpenDoctor(ctx context.Context, version string, s *config.Settings, wrong *config.Mistakes, in io.Reader, log *slog.Logger) (d *doctor.Doctor, done func()) {
	tokens := localca.Tokens(s)
	c := outsideConfig(s, tokens, log)
	c.Outside = &doctor.Outside{Wrong: wrong, Running: isRunning(s), Served: hasServed(s), Unseen: isUnseen(s), Version: version, RunningVersion: startedVersion(s)}
	c.Public, _ = addressesNow(s) // an address that is wrong is reported with the settings
	if folder, err := ca.OpenFolder(s.Path("ca")); err == nil {
		c.Company = newCompanyWatch(func() *ca.Folder { return folder }, time.Now, log)
	}
	if s.Directory.Kind != config.KindBuiltin {
		c.Directory, _ = OpenLDAP(s, time.Now, log) // likewise
		c.EnrollPeople = enrollPeople(c.Directory)
	}
	d = doctor.New(c)
	opened := make(chan doctor.Parts, 1)
	go func() {
		p := openParts(ctx, s, c.Public, in, log)
		d.Supply(p)
		opened <- p
	}()
	return d, func() {
		_ = tokens.Close()
		if c.Directory != nil {
			_ = c.Directory.Close()
		}
		p := <-opened
		if p.CA != nil {
			_ = p.CA.Close()
		}
		if p.DB != nil {
			_ = p.DB.Close()
		}
	}
}

// outsideConfig is what the doctor asks other servers with.
func outsideConfig(s *config.Settings, tokens *hsm.Tokens, log *slog.Logger) doctor.Config {
	return doctor.Config{
		Settings: s, Now: time.Now, Log: log,
		OCSP:         func() *ocsp.Health { return nil }, // its state is in the memory of the portal
		TLS:          func() *x509.Certificate { return servedByFiles(s) },
		CheckTargets: func(ctx context.Context) []portal.Finding { return listFindings(ctx, s) },
		CheckMail:    func(ctx context.Context) []portal.Finding { return mailFindings(ctx, s) },
		Upstreams:    func() ([]doctor.Upstream, error) { return upstreamsToCheck(s, tokens, time.Now) },
		Provider:     func(ctx context.Context) error { return askProvider(ctx, s, time.Now, log) },
		ProfileSigner: func() ([]*x509.Certificate, crypto.Signer) {
			pair, err := tls.LoadX509KeyPair(s.Apple.SignerCertificate, s.Apple.SignerKey)
			if err != nil {
				return nil, nil
			}
			return chainAndKey(&pair)
		},
	}
}

// openParts opens database and CA side by side, then what needs both.
func openParts(ctx context.Context, s *config.Settings, public config.Addresses, in io.Reader, log *slog.Logger) (p doctor.Parts) {
	ctx, cancel := context.WithTimeout(ctx, openLimit)
	defer cancel()
	dbCtx, cancelDB := context.WithTimeout(ctx, databaseLimit)
	defer cancelDB()
	db := within(dbCtx, func(ctx context.Context) (*store.DB, error) { return OpenAsIs(ctx, s, log) })
	key := within(ctx, func(context.Context) (*localca.CA, error) {
		return localca.Open(s, public.HTTP, &config.Terminal{In: in, Out: io.Discard})
	})
	p.DB, p.DBErr = db()
	p.CA, p.CAErr = key()
	if p.CA == nil || p.DB == nil {
		return p
	}
	lists, err := within(ctx, func(ctx context.Context) (*crl.Publisher, error) { return joinParts(ctx, s, p, public, log) })()
	if err != nil {
		p.CA, p.CAErr = nil, err
	}
	p.Lists = lists
	return p
}

// joinParts reads from the database which issuing CAs are in use, and their lists.
func joinParts(ctx context.Context, s *config.Settings, p doctor.Parts, public config.Addresses, log *slog.Logger) (*crl.Publisher, error) {
	if err := p.CA.BelongsTo(ctx, p.DB); err != nil {
		return nil, err
	}
	if err := p.CA.Follow(ctx, p.DB, time.Now, log, nil); err != nil {
		return nil, err
	}
	p.DB.UseSecret(p.CA.Secret)
	lists, err := crl.New(crl.Config{Store: p.DB, Authorities: Authorities(p.CA, s, public.HTTP), Now: time.Now, Log: log})
	if err != nil {
		return nil, err
	}
	return lists, lists.Read(ctx)
}

// within starts to open a part; the function it returns waits for it until ctx ends.
func within[T any](ctx context.Context, open func(context.Context) (T, error)) func() (T, error) {
	type result struct {
		part T
		err  error
	}
	opened := make(chan result, 1)
	go func() {
		part, err := open(ctx)
		opened <- result{part, err}
	}()
	return func() (none T, err error) {
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
	if cert := acmeServed(s, time.Now()); cert != nil {
		return cert
	}
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
