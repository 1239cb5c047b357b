package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"certportal/ca"
	"certportal/directory"
	"certportal/enroll"
	"certportal/revocation"
	"certportal/store"
	"certportal/web"
)

// portal is one running installation, wired from its settings.
type portal struct {
	settings *Settings
	log      *slog.Logger
	now      func() time.Time

	db        *store.DB
	authority *authority
	madePass  bool // a passphrase file was made in this run
	people    *directory.Builtin
	registrar *enroll.Registrar
	signIn    *enroll.SignIn
	keys      *enroll.KeyPool
	lists     *revocation.Publisher
	tls       *serverCertificate
	web       *web.Server

	public      addresses
	https, http net.Listener
}

// openStore opens the database of the settings; the data folder is made for it.
func (s *Settings) openStore(ctx context.Context, log *slog.Logger) (*store.DB, error) {
	if err := os.MkdirAll(s.Data, 0o700); err != nil {
		return nil, fmt.Errorf("making data folder: %w", err)
	}
	url := s.Database
	if s.DatabaseFile != "" {
		secret, err := readSecret(s.DatabaseFile)
		if err != nil {
			return nil, fmt.Errorf("database_file: %w", err)
		}
		url = string(secret)
	}
	if url == "" {
		url = "sqlite:" + s.path("portal.db")
	}
	return store.Open(ctx, store.Config{URL: url, Log: log})
}

// newPortal opens everything, in the order in which one thing needs the other.
// Nothing is served before start. Close it also after an error.
func newPortal(ctx context.Context, s *Settings, term *terminal, log *slog.Logger) (*portal, error) {
	p := &portal{settings: s, log: log, now: time.Now}
	for _, step := range []func(context.Context, *terminal) error{
		p.openRecords, p.listen, p.openCA, p.openPeople, p.openTLS, p.openRegistrar, p.openPages, p.clearUp,
	} {
		if err := step(ctx, term); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (p *portal) openRecords(ctx context.Context, _ *terminal) (err error) {
	p.db, err = p.settings.openStore(ctx, p.log)
	return err
}

// listen takes the ports early: the addresses go into certificates.
func (p *portal) listen(ctx context.Context, _ *terminal) (err error) {
	var lc net.ListenConfig
	if p.https, err = lc.Listen(ctx, "tcp", p.settings.Listen); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if p.http, err = lc.Listen(ctx, "tcp", p.settings.ListenHTTP); err != nil {
		return fmt.Errorf("listen_http: %w", err)
	}
	p.public, err = p.settings.publicAddresses(p.https.Addr(), p.http.Addr())
	return err
}

func (p *portal) openCA(ctx context.Context, term *terminal) (err error) {
	p.authority, err = openAuthority(p.settings, term)
	if noAuthority(err) {
		var secret []byte
		if secret, p.madePass, err = p.settings.newPassphrase(term); err != nil {
			return err
		}
		p.authority, err = createAuthority(ctx, p.settings, p.db, p.public.http, secret, p.now())
	}
	if err != nil {
		return err
	}
	if p.authority.sealed != nil {
		p.log.Error("the CA's key does not open: pages and revocation lists are served, nothing is issued; "+
			"mend the passphrase and start again", "err", p.authority.sealed)
	}
	p.lists, err = revocation.New(revocation.Config{Lists: p.db, Authorities: p.authority.lists(), Now: p.now, Log: p.log})
	if err != nil {
		return err
	}
	// A sealed CA serves the last lists and cannot make new ones.
	if err := p.lists.Refresh(ctx); err != nil && p.authority.sealed == nil {
		return err
	}
	return nil
}

func (p *portal) openPeople(context.Context, *terminal) (err error) {
	p.people, err = directory.NewBuiltin(p.db)
	return err
}

func (p *portal) openTLS(ctx context.Context, _ *terminal) error {
	p.tls = &serverCertificate{
		settings: p.settings, ca: p.authority, records: p.db, public: p.public, now: p.now, log: p.log,
	}
	return p.tls.refresh(ctx)
}

func (p *portal) openRegistrar(context.Context, *terminal) error {
	c := p.settings.Certificates
	profile, err := ca.NewProfile(ca.ProfileConfig{
		Name: "User", Validity: p.settings.validity(), ExtKeyUsages: c.Usages,
		CRLURLs:    []string{crlURL(p.public.http, issuingName)},
		IssuerURLs: []string{certificateURL(p.public.http, issuingName)},
		RequireSID: p.people.RequiresSID(),
	})
	if err != nil {
		return err
	}
	size := c.PreparedKeys
	if c.Key == ca.ECP256 || c.Key == ca.ECP384 {
		size = 0 // made faster than fetched
	}
	p.keys = enroll.NewKeyPool(c.Key, size, p.log)
	p.registrar, err = enroll.New(enroll.Config{
		Directory: p.people, Issuer: p.authority.issuer(), Profile: profile, Keys: p.keys,
		Records: p.db, Inventory: p.db, Pickups: p.db, Quota: c.Devices,
		Chain: p.authority.chain(), Revoked: p.lists.Nudge, Now: p.now, Log: p.log,
	})
	if err != nil {
		return err
	}
	p.signIn, err = enroll.NewSignIn(enroll.SignInConfig{
		Directory: p.people, Attempts: p.db, Records: p.db, Now: p.now, Log: p.log,
	})
	return err
}

// clearUp finishes what a crash left. Alone with its database, the portal knows
// that no reservation is in use; beside replicas it waits until one is stale.
func (p *portal) clearUp(ctx context.Context, _ *terminal) error {
	before := p.now()
	if p.db.Shared() {
		before = p.registrar.Stale()
	}
	return p.registrar.Sweep(ctx, before)
}

// serve answers until the context ends, then finishes what was begun.
func (p *portal) serve(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	secure, plain := p.servers()
	failed := make(chan error, 2)
	go func() { failed <- secure.ServeTLS(p.https, "", "") }()
	go func() { failed <- plain.Serve(p.http) }()
	clocks := p.runClocks(ctx)
	p.log.Info("serving", "version", version, "https", p.https.Addr().String(), "http", p.http.Addr().String(),
		"public", p.public.https.String())
	p.warnOfCAEnd()

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	stop()
	// The ending context must not cut short what is being answered.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	err = errors.Join(err, secure.Shutdown(grace), plain.Shutdown(grace))
	clocks.Wait()
	p.log.Info("stopped")
	return err
}

// warnOfCAEnd tells in time that the issuing CA ends: half a year before it
// could not sign a certificate of full length any more.
func (p *portal) warnOfCAEnd() {
	end := p.authority.folder.Issuing().NotAfter
	if left := end.Sub(p.now()) - p.settings.validity(); left < 180*24*time.Hour {
		p.log.Warn("the issuing CA must be renewed: certificates of full length cannot be signed much longer", "ends", end)
	}
}

// shutdownGrace is how long open requests have after a signal.
const shutdownGrace = 12 * time.Second

// runClocks starts what happens by time: keys ahead, revocation lists, the
// sweep, the TLS certificate.
func (p *portal) runClocks(ctx context.Context) *sync.WaitGroup {
	var clocks sync.WaitGroup
	clocks.Go(func() { p.keys.Run(ctx) })
	clocks.Go(func() { p.lists.Run(ctx) })
	every(ctx, &clocks, time.Minute, func() {
		if err := p.registrar.Sweep(ctx, p.registrar.Stale()); err != nil && ctx.Err() == nil {
			p.log.Error("sweeping", "err", err)
		}
		for what, prune := range map[string]func(context.Context, time.Time) (int, error){
			"sessions": p.db.PruneSessions, "tries": p.db.PruneAttempts,
		} {
			if _, err := prune(ctx, p.now()); err != nil && ctx.Err() == nil {
				p.log.Error("pruning", "what", what, "err", err)
			}
		}
	})
	every(ctx, &clocks, 12*time.Hour, func() {
		if err := p.tls.refresh(ctx); err != nil && ctx.Err() == nil {
			p.log.Error("refreshing the TLS certificate", "err", err)
		}
	})
	return &clocks
}

// every calls do at an interval until the context ends.
func every(ctx context.Context, group *sync.WaitGroup, interval time.Duration, do func()) {
	group.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				do()
			}
		}
	})
}

// servers are the two http servers, with a bound on everything a client can
// draw out.
func (p *portal) servers() (secure, plain *http.Server) {
	errorLog := slog.NewLogLogger(newCalmHandler(p.log.Handler(), p.now), slog.LevelWarn)
	server := func(h http.Handler) *http.Server {
		return &http.Server{
			Handler: h, ErrorLog: errorLog,
			ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
			WriteTimeout: 60 * time.Second, IdleTimeout: 75 * time.Second,
			MaxHeaderBytes: 16 << 10,
		}
	}
	secure, plain = server(p.web.Handler()), server(p.web.PlainHandler())
	secure.TLSConfig = p.tls.config()
	return secure, plain
}

// close gives back ports and database.
func (p *portal) close() error {
	var errs []error
	for _, l := range []net.Listener{p.https, p.http} {
		if l == nil {
			continue
		}
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if p.db != nil {
		errs = append(errs, p.db.Close())
	}
	return errors.Join(errs...)
}
