// Package app assembles the portal: it opens the parts in the order of their
// dependencies, runs the listeners and the background work, and renews the portal's
// own TLS certificate.
//
// Commands that do not serve use a Program, OpenLDAP and OpenWatch.
package app

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/ca/fetch"
	"certportal/ca/ocsp"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/doctor"
	"certportal/cmd/certportal/internal/localca"
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

// App is one running installation. The exported fields are for commands.
type App struct {
	program  Program
	Settings *config.Settings

	log *slog.Logger
	Now func() time.Time

	DB             *store.DB
	CA             *localca.CA
	PassphraseMade bool // a passphrase file was made in this run
	People         Directory
	Builtin        *directory.Builtin // nil with another directory
	ldap           *directory.LDAP    // nil with the built-in one
	watch          *drift.Watch
	scep           *scep.Server     // nil when off
	mail           *notify.Notifier // nil when off
	audit          *auditmonitor.Monitor
	Registrar      *enroll.Registrar
	own            *enroll.OwnIssuer // of the portal's own certificates
	upstream       *enroll.Upstream  // the CA elsewhere that issues; nil for the portal's own
	upstreams      []*enroll.Upstream
	SignIn         *signin.Service
	desk           *helpdesk.Service
	doctor         *doctor.Doctor
	admin          *admin.Service
	keys           *enroll.KeyPool
	lists          *crl.Publisher
	company        *fetch.Watch // of the lists above the issuing CAs
	ocsp           ocsp.Group
	changed        chan struct{} // the issuing CAs changed
	journal        *crl.Journal
	tls            *serverCertificate
	renderer       *page.Renderer
	web            *web.Server
	further        []web.Anchor // CA certificates of the settings

	loops    loops
	stopping atomic.Bool // a signal came
	closeBy  time.Time   // when closing ends at the latest; zero before a signal
	fresh    freshConnections
	ops      http.Handler // health and metrics
	requests ops.Requests
	answers  ops.Answers                                 // online
	signer   func() ([]*x509.Certificate, crypto.Signer) // of Apple profiles

	Public      config.Addresses
	https, http net.Listener
	opsPort     net.Listener // nil when off
	checkPort   net.Listener // likewise
	revokerPort net.Listener // likewise
	errorLog    *log.Logger  // of all servers, with a limit of lines
	lock        *os.File
	clock       *databaseClock
}

// Open opens all parts in the order of their dependencies. It opens the listeners and
// answers no request before Serve. Call Close also after an error.
func Open(ctx context.Context, program Program, s *config.Settings, term *config.Terminal, log *slog.Logger) (*App, error) {
	return openAt(ctx, program, s, term, log, time.Now)
}

// openAt is Open on a machine with another clock.
func openAt(ctx context.Context, program Program, s *config.Settings, term *config.Terminal, log *slog.Logger, now func() time.Time) (*App, error) {
	p := &App{program: program, Settings: s, log: log, Now: now, changed: make(chan struct{}, 1)}
	for _, step := range []func(context.Context, *config.Terminal) error{
		p.openFolder, p.openRecords, p.listen, p.openCA, p.openOwn, p.openPeople, p.openTLS, p.openOCSP, p.openUpstreams, p.openRegistrar, p.openAudit, p.openSCEP, p.openMail, p.openDesk, p.openAdmin, p.openPages, p.openOps, p.clearUp,
	} {
		if err := step(ctx, term); err != nil {
			return p, err
		}
	}
	return p, nil
}

// openFolder checks the files that the settings name, then makes the data folder.
func (p *App) openFolder(context.Context, *config.Terminal) (err error) {
	if err := p.Settings.CheckFiles(); err != nil {
		return err
	}
	if p.renderer, err = p.Settings.Renderer(); err != nil {
		return err
	}
	if err := os.MkdirAll(p.Settings.Data, 0o700); err != nil {
		return fmt.Errorf("making data folder: %w", err)
	}
	p.lock, err = LockData(p.Settings)
	return err
}

func (p *App) openRecords(ctx context.Context, _ *config.Terminal) (err error) {
	if p.DB, err = p.program.OpenStore(ctx, p.Settings, p.log); err != nil {
		return err
	}
	p.openClock(ctx)
	return nil
}

// listen takes the ports early: the addresses go into certificates.
func (p *App) listen(ctx context.Context, _ *config.Terminal) (err error) {
	var lc net.ListenConfig
	if p.https, err = lc.Listen(ctx, "tcp", p.Settings.Listen); err != nil {
		return fmt.Errorf("listen: %w", explainListen(p.Settings.Listen, err))
	}
	if p.http, err = lc.Listen(ctx, "tcp", p.Settings.ListenHTTP); err != nil {
		return fmt.Errorf("listen_http: %w", explainListen(p.Settings.ListenHTTP, err))
	}
	if err := errors.Join(p.listenOps(ctx), p.listenCheck(ctx), p.listenRevoker(ctx)); err != nil {
		return err
	}
	if p.Public, err = p.Settings.PublicAddresses(p.https.Addr(), p.http.Addr(), p.checkAddress()); err != nil {
		return err
	}
	if err := p.writeLastStart(); err != nil {
		p.log.Warn("the command doctor will not know the addresses of this start", "err", err)
	}
	return nil
}

func (p *App) openCA(ctx context.Context, term *config.Terminal) (err error) {
	if err := localca.Finish(ctx, p.Settings, p.DB); err != nil {
		return err
	}
	p.CA, err = localca.Open(p.Settings, p.Public.HTTP, term)
	switch {
	case localca.NotCreated(err) && p.clock.Fault() != nil:
		return fmt.Errorf("no CA is created: %w", p.clock.Fault())
	case localca.NotCreated(err):
		p.CA, p.PassphraseMade, err = localca.Create(ctx, p.Settings, p.DB, p.Public.HTTP, term, p.Now())
	case err == nil:
		err = p.CA.BelongsTo(ctx, p.DB)
	}
	if err != nil {
		return err
	}
	p.CA.Hold = p.clock.Fault
	if err := p.CA.Follow(ctx, p.DB, p.Now, p.log, p.authoritiesChanged); err != nil {
		return err
	}
	if p.CA.Sealed != nil {
		p.log.Error("the CA's key does not open: pages and revocation lists are served, nothing is issued, "+
			"sessions and codes from before do not count; mend the passphrase and start again", "err", p.CA.Sealed)
	}
	if err := p.CA.Ready(); err != nil && p.CA.Sealed == nil && p.clock.Fault() == nil {
		p.log.Error("the issuing key cannot be used: pages and revocation lists are served, nothing is issued until it can", "err", err)
	}
	p.DB.UseSecret(p.CA.Secret)
	return p.openLists(ctx)
}

func (p *App) openOwn(context.Context, *config.Terminal) (err error) {
	p.own, err = enroll.NewOwnIssuer(enroll.OwnConfig{
		Store: p.DB, Issuer: p.CA.Active, Revoked: p.revoked, Now: p.Now, Log: p.log,
	})
	return err
}

// openOwnIssuer gives the issuer of the portal's own certificates; nil while the CA is
// sealed.
func (p *App) openOwnIssuer() *enroll.OwnIssuer {
	if p.CA.Sealed != nil {
		return nil
	}
	return p.own
}

func (p *App) openTLS(ctx context.Context, _ *config.Terminal) error {
	p.tls = &serverCertificate{
		settings: p.Settings, localCA: p.CA, own: p.own, statuses: p.DB, public: p.Public, now: p.Now, log: p.log,
	}
	var err error
	if p.tls.acme, err = p.openACME(); err != nil {
		return err
	}
	return p.tls.refresh(ctx)
}

// userProfile is the profile of people's certificates.
func userProfile(s *config.Settings, requireSID bool) (*ca.Profile, error) {
	return ca.NewProfile(ca.ProfileConfig{
		Name: "User", Validity: s.Validity(), ExtKeyUsages: s.Certificates.Usages, Subject: s.Certificates.Subject, RequireSID: requireSID,
	})
}

func (p *App) openRegistrar(context.Context, *config.Terminal) error {
	c := p.Settings.Certificates
	profile, err := userProfile(p.Settings, p.People.RequiresSID())
	if err != nil {
		return err
	}
	size := c.PreparedKeys
	if c.Key == ca.ECP256 || c.Key == ca.ECP384 {
		size = 0 // generated faster than stored ones are fetched
	}
	p.keys = enroll.NewKeyPool(c.Key, size, p.log)
	p.Registrar, err = enroll.New(enroll.Config{
		Directory: p.People, Issuer: p.CA.Issuer(), Profile: profile, Keys: p.keys,
		Store: withSteps(p.DB), DeviceKeys: p.upstream == nil, Quota: c.Devices, PerHour: c.PerHour,
		RenewFrom: config.Days(c.RenewFromDays), Overlap: config.Days(c.OverlapDays),
		CodeRequired:    p.Settings.Helpdesk.CodeRequired,
		EnrollProtected: p.Settings.Directory.InsecureEnrollProtected, EnrollGroup: p.Settings.Directory.Groups.EnrollName,
		Upstream: p.upstream, Upstreams: p.upstreams, Lists: upstreamLists(p.upstreams),
		Clock: p.clock, Chain: p.CA.Chain, AuthorityChanged: p.CA.Line.Refresh, Revoked: p.revoked, Now: p.Now, Log: p.log,
	})
	if err != nil {
		return err
	}
	limits := p.Settings.SignIn
	p.SignIn, err = signin.New(signin.Config{
		Directory: p.People, Store: p.DB, Secret: p.CA.Secret, Now: p.Now, Log: p.log,
		Tries: limits.Tries, AddressTries: limits.TriesPerAddress, Window: limits.Window,
		NeverLocks: p.Settings.Directory.Kind == config.KindBuiltin,
		Timeout:    p.Settings.Directory.Timeout, CodeAlone: p.Settings.Helpdesk.CodeAlone,
	})
	if err != nil {
		return err
	}
	p.watch, err = OpenWatch(p.Settings, p.People, p.DB, p.revoked, p.clock.Fault, p.Now, p.log)
	return err
}

// clearUp revokes reservations that a crash left. With SQLite no other process can
// hold one; with PostgreSQL a replica may, so only stale ones are revoked.
func (p *App) clearUp(ctx context.Context, _ *config.Terminal) error {
	if p.DB.Shared() {
		return p.sweep(ctx)
	}
	return p.Registrar.Sweep(ctx, p.Now())
}

// sweep revokes and forgets what is over by the database's time, unless this machine's clock
// is wrong.
func (p *App) sweep(ctx context.Context) error {
	if p.clock.Fault() != nil {
		return nil // logged, and seen in the readiness
	}
	now, err := p.clock.Now(ctx)
	if err != nil {
		return err
	}
	errs := []error{p.Registrar.Sweep(ctx, now.Add(-enroll.ReservationLife))}
	for what, prune := range map[string]func(context.Context, time.Time) (int, error){
		"sessions": p.DB.PruneSessions, "tries": p.DB.PruneAttempts, "challenges": p.DB.PruneChallenges,
		"floods": p.DB.NoteFloods, "campaigns": p.DB.EndCampaigns,
	} {
		if _, err := prune(ctx, now); err != nil {
			errs = append(errs, fmt.Errorf("pruning %s: %w", what, err))
		}
	}
	return errors.Join(errs...)
}
