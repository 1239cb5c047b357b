package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/internal/admin"
	"certportal/internal/auditmonitor"
	"certportal/internal/directory"
	"certportal/internal/drift"
	"certportal/internal/enroll"
	"certportal/internal/helpdesk"
	"certportal/internal/notify"
	"certportal/internal/ops"
	"certportal/internal/scep"
	"certportal/internal/signin"
	"certportal/store"
	"certportal/web"
	"certportal/web/page"
)

// portal is one running installation, wired from its settings.
type App struct {
	settings *Settings
	log      *slog.Logger
	now      func() time.Time

	db        *store.DB
	authority *authority
	madePass  bool // a passphrase file was made in this run
	people    peopleSource
	builtin   *directory.Builtin // nil with another directory
	ldap      *directory.LDAP    // nil with the built-in one
	watch     *drift.Watch
	scep      *scep.Server     // nil when off
	mail      *notify.Notifier // nil when off
	audit     *auditmonitor.Monitor
	registrar *enroll.Registrar
	own       *enroll.OwnIssuer // of the portal's own certificates
	signIn    *signin.Service
	desk      *helpdesk.Service
	admin     *admin.Service
	keys      *enroll.KeyPool
	lists     *crl.Publisher
	ocsp      *ocsp.Responder
	journal   *crl.Journal
	tls       *serverCertificate
	renderer  *page.Renderer
	web       *web.Server

	ops      http.Handler // health and metrics
	requests ops.Requests
	answers  ops.Answers                                 // online
	signer   func() ([]*x509.Certificate, crypto.Signer) // of Apple profiles

	public      addresses
	https, http net.Listener
	opsPort     net.Listener // nil when off
	lock        *os.File
}

// openExisting opens a database that is there: a command that only looks or
// changes must not make an empty portal where the folder is mistyped.
func (s *Settings) openExisting(ctx context.Context, log *slog.Logger) (*store.DB, error) {
	if s.Database == "" && s.DatabaseFile == "" {
		if _, err := os.Stat(s.path("portal.db")); err != nil {
			return nil, fmt.Errorf("there is no portal in %s; name its folder with --data or its settings with --config: %w", s.Data, err)
		}
	}
	return s.openStore(ctx, log)
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
	return store.Open(ctx, store.Config{URL: url, Log: log, Node: s.Node})
}

// newPortal opens everything, in the order in which one thing needs the other.
// Nothing is served before start. Close it also after an error.
func newPortal(ctx context.Context, s *Settings, term *terminal, log *slog.Logger) (*App, error) {
	p := &App{settings: s, log: log, now: time.Now}
	for _, step := range []func(context.Context, *terminal) error{
		p.openFolder, p.openRecords, p.listen, p.openCA, p.openOwn, p.openPeople, p.openTLS, p.openOCSP, p.openRegistrar, p.openAudit, p.openSCEP, p.openDesk, p.openMail, p.openAdmin, p.openPages, p.openOps, p.clearUp,
	} {
		if err := step(ctx, term); err != nil {
			return p, err
		}
	}
	return p, nil
}

// openFolder checks what the settings name before anything is made.
func (p *App) openFolder(context.Context, *terminal) (err error) {
	if err := p.settings.checkFiles(); err != nil {
		return err
	}
	if p.renderer, err = p.settings.renderer(); err != nil {
		return err
	}
	if err := os.MkdirAll(p.settings.Data, 0o700); err != nil {
		return fmt.Errorf("making data folder: %w", err)
	}
	p.lock, err = lockData(p.settings)
	return err
}

func (p *App) openRecords(ctx context.Context, _ *terminal) (err error) {
	p.db, err = p.settings.openStore(ctx, p.log)
	return err
}

// listen takes the ports early: the addresses go into certificates.
func (p *App) listen(ctx context.Context, _ *terminal) (err error) {
	var lc net.ListenConfig
	if p.https, err = lc.Listen(ctx, "tcp", p.settings.Listen); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if p.http, err = lc.Listen(ctx, "tcp", p.settings.ListenHTTP); err != nil {
		return fmt.Errorf("listen_http: %w", err)
	}
	if err := p.listenOps(ctx); err != nil {
		return err
	}
	p.public, err = p.settings.publicAddresses(p.https.Addr(), p.http.Addr())
	return err
}

func (p *App) openCA(ctx context.Context, term *terminal) (err error) {
	p.authority, err = openAuthority(p.settings, term)
	switch {
	case noAuthority(err):
		p.authority, p.madePass, err = createAuthority(ctx, p.settings, p.db, p.public.http, term, p.now())
	case err == nil:
		err = p.authority.belongsTo(ctx, p.db)
	}
	if err != nil {
		return err
	}
	if p.authority.sealed != nil {
		p.log.Error("the CA's key does not open: pages and revocation lists are served, nothing is issued; "+
			"mend the passphrase and start again", "err", p.authority.sealed)
	}
	return p.openLists(ctx)
}

func (p *App) openOwn(context.Context, *terminal) (err error) {
	p.own, err = enroll.NewOwnIssuer(enroll.OwnConfig{
		Store: p.db, Issuer: p.authority.issuingIssuer, Revoked: p.revoked, Now: p.now, Log: p.log,
	})
	return err
}

// openOwnIssuer gives the issuer of the portal's own certificates; nil while the CA is
// sealed.
func (p *App) openOwnIssuer() *enroll.OwnIssuer {
	if p.authority.sealed != nil {
		return nil
	}
	return p.own
}

func (p *App) openTLS(ctx context.Context, _ *terminal) error {
	p.tls = &serverCertificate{
		settings: p.settings, ca: p.authority, own: p.own, statuses: p.db, public: p.public, now: p.now, log: p.log,
	}
	return p.tls.refresh(ctx)
}

func (p *App) openRegistrar(context.Context, *terminal) error {
	c := p.settings.Certificates
	profile, err := ca.NewProfile(ca.ProfileConfig{
		Name: "User", Validity: p.settings.validity(), ExtKeyUsages: c.Usages,
		CRLURLs:    []string{crlURL(p.public.http, issuingName)},
		IssuerURLs: []string{certificateURL(p.public.http, issuingName)},
		OCSPURLs:   []string{ocspURL(p.public.http)},
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
		Records: p.db, Inventory: p.db, Pickups: p.db, Challenges: p.db, Quota: c.Devices, PerHour: c.PerHour, Attempts: p.db,
		RenewFrom: days(c.RenewFromDays), Overlap: days(c.OverlapDays),
		CodeRequired:    p.settings.Helpdesk.CodeRequired,
		EnrollProtected: p.settings.Directory.InsecureEnrollProtected, EnrollGroup: p.settings.Directory.Groups.EnrollName,
		Chain: p.authority.chain(), Revoked: p.revoked, Now: p.now, Log: p.log,
	})
	if err != nil {
		return err
	}
	limits := p.settings.SignIn
	p.signIn, err = signin.New(signin.Config{
		Directory: p.people, Attempts: p.db, Records: p.db, Now: p.now, Log: p.log,
		Tries: limits.Tries, AddressTries: limits.TriesPerAddress, Window: limits.Window,
		Timeout: p.settings.Directory.Timeout, Invitations: p.db, CodeAlone: p.settings.Helpdesk.CodeAlone,
	})
	if err != nil {
		return err
	}
	p.watch, err = p.settings.openWatch(p.people, p.db, p.revoked, p.now, p.log)
	return err
}

// clearUp finishes what a crash left. Alone with its database, the portal knows
// that no reservation is in use; beside replicas it waits until one is stale.
func (p *App) clearUp(ctx context.Context, _ *terminal) error {
	before := p.now()
	if p.db.Shared() {
		before = p.registrar.Stale()
	}
	return p.registrar.Sweep(ctx, before)
}

// close gives back ports and database.
func (p *App) close() error {
	var errs []error
	for _, l := range []net.Listener{p.https, p.http, p.opsPort} {
		if l == nil {
			continue
		}
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if p.ldap != nil {
		errs = append(errs, p.ldap.Close())
	}
	if p.journal != nil {
		errs = append(errs, p.journal.Close())
	}
	if p.db != nil {
		errs = append(errs, p.db.Close())
	}
	if p.lock != nil {
		errs = append(errs, p.lock.Close())
	}
	return errors.Join(errs...)
}
