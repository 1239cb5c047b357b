// Package web serves the portal's pages, and files for machines that verify
// certificates: routes, sessions, security headers, and the handlers, which parse a
// request, call the registrar, and render a page of package page.
//
// It refuses requests that try to decide more than they may: unknown form fields,
// cross-site POSTs, bodies over a limit, redirects to other sites. Only a same-origin
// POST changes anything; success is answered with 303, so that a reload repeats
// nothing. The exceptions are the response of the identity provider, which signs in
// the browser that started the sign-in, and the check page, which notes what a certificate
// proves. A session is 32 random bytes in a cookie, and
// the store cannot open it. The log holds no token, password or query.
//
// The package follows RFC 9110 (HTTP), RFC 9111 (caching), RFC 6265bis (cookies and
// their prefixes), RFC 6797 (HSTS) and RFC 6749 section 4.1 (authorization code flow).
// It never touches SQL, LDAP or the signing of certificates.
package web

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/internal/admin"
	"certportal/internal/enroll"
	"certportal/internal/helpdesk"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/web/page"
)

// Limits bounds what one client or one session may use. A zero field means its
// default.
type Limits struct {
	Body          int64         // bytes of a request body; default 64 KiB
	SignIns       int           // POST /login per minute and address; default 240, because an office shares one address; also for each step of SSO
	Requests      int           // pages per minute and address; default 6000
	Services      int           // requests to Services per minute and address; default 60, because each wrong one writes an audit entry
	Downloads     int           // downloads per minute and address; default 600, because each makes the file again
	Idle          time.Duration // a session ends after this time without use; default 15 minutes
	Lifetime      time.Duration // a session ends after this time at the latest; default 8 hours
	StaffLifetime time.Duration // the same for helpdesk and administrators; default 4 hours
}

// Config configures a Server. Fields are required unless they say otherwise.
type Config struct {
	Registrar *enroll.Registrar
	SignIn    *signin.Service
	Store     Store
	CRLs      CRLSource
	Renderer  *page.Renderer

	// Secret is that of the installation. Sessions are keyed by it, so that rows planted
	// in the database are none.
	Secret portal.Secret

	// Helpdesk serves the pages of the helpdesk. Optional; without it there are no
	// such pages, and no pickup codes.
	Helpdesk  *helpdesk.Service
	CodeAlone bool // a pickup code may replace the password
	Mails     bool // the portal sends mail: the pages say so

	// Anchors are the certificates under /ca: the portal's own root and issuing
	// CA, and every further root a device must trust.
	Anchors []Anchor

	// Org is the company's name as file names carry it.
	Org string

	// PublicURL is the https origin people use, such as https://certs.example.com.
	PublicURL *url.URL

	// CheckURL is the https origin of the check page, which must not be PublicURL. Optional;
	// without it the pages offer no test.
	CheckURL *url.URL

	// CheckHeader is the header in which a trusted proxy that ends TLS for the check page
	// sends the certificate of the client. Optional.
	CheckHeader string

	// SSO lets people sign in at an identity provider. Optional.
	SSO *SSO

	// ProfileSigner returns what signs Apple profiles at this moment: a certificate,
	// its chain, and its key; best the TLS certificate. It must be safe for
	// concurrent use. Optional; unsigned profiles are never sent, so without it
	// iPhones and Macs get the plain file.
	ProfileSigner func() (chain []*x509.Certificate, key crypto.Signer)

	Apple    Apple     // optional
	Exchange *Exchange // optional; without it the pages promise no mailbox
	SCEP     *SCEP     // optional; without it the portal makes every key

	// Admin serves the administrator's pages. Optional; without it there are none.
	Admin *admin.Service

	// ExchangeScript makes the PowerShell that sets up Exchange for this portal. Optional.
	ExchangeScript func() ([]byte, error)

	// OCSP answers OCSP requests, on both sides. Optional.
	OCSP OCSPResponder

	// OCSPHealth returns the state of the OCSP responder, from memory. Optional;
	// without it, or when it returns nil, the pages show the CRLs alone.
	OCSPHealth func() *ocsp.Health

	// Challenge gives the answer to an ACME server that asks for a token over plain http;
	// portal.ErrNotFound for an unknown one. Optional; nil means there is no such address.
	Challenge func(ctx context.Context, token string, now time.Time) (string, error)

	// Served is called after every response with the side and the status; 0 for a
	// response that was cut off. Optional; it must not block.
	Served func(secure bool, status int)

	// Services are handlers for machines by path, such as "/scep", on both sides, with
	// the limits, log and body bound of the pages. Optional.
	Services map[string]http.Handler

	// UsernameExample shows on the sign-in page how names look. Optional.
	UsernameExample string

	// TrustedProxies are the addresses of reverse proxies whose X-Forwarded-For
	// is believed. Optional; empty means that clients connect directly.
	TrustedProxies []netip.Prefix

	Limits Limits           // optional
	Log    *slog.Logger     // optional, default slog.Default()
	Now    func() time.Time // optional, default time.Now
}

// Store keeps the sessions and languages of people, and reads the audit log.
type Store interface {
	sessionRecords
	auditRecords
	mailRecords

	// SetLanguage saves the language in which the person last read the pages: "en",
	// "de" or "zh-Hans". Their mail is written in it.
	SetLanguage(ctx context.Context, person portal.PersonID, language string) error
}

// CRLSource returns the newest CRLs, from memory.
type CRLSource interface {
	// CRL returns the list of an issuer, such as "root" or "issuing", and false when
	// there is none.
	CRL(issuer string) (crl.List, bool)
}

// OCSPResponder answers OCSP requests: [ocsp.Responder], with or without metrics.
type OCSPResponder interface {
	Respond(ctx context.Context, request []byte) ocsp.Answer
}

// Server answers requests. It holds what all handlers share; the handlers are methods
// of the groups in routes.go. It is safe for concurrent use.
type Server struct {
	registrar *enroll.Registrar
	signIn    *signin.Service
	store     Store
	sessions  *sessionStore
	crls      *crlCache
	gzip      *compressor
	renderer  *page.Renderer
	zone      *time.Location    // of the pages: days of a filter are in it
	helpdesk  *helpdesk.Service // nil without
	codeAlone bool
	mails     bool
	trust     atomic.Pointer[anchors]
	org       string
	public    *url.URL
	checkURL  *url.URL               // nil without a check page
	script    func() ([]byte, error) // for Exchange; nil without
	sso       *SSO                   // nil without
	profiles  *profiles              // nil without
	exchange  *Exchange              // nil without
	scep      *SCEP                  // nil without
	admin     *admin.Service         // nil without
	ocsp      OCSPResponder          // nil without
	ocspState func() *ocsp.Health
	served    func(secure bool, status int)
	challenge func(ctx context.Context, token string, now time.Time) (string, error) // nil without ACME
	services  map[string]http.Handler
	example   string
	limits    Limits
	addresses *addressFinder
	log       *slog.Logger
	sampled   *slog.Logger // for lines that clients cause without limit
	now       func() time.Time

	https, plain, check http.Handler

	phones [phoneLocks]sync.Mutex // see [ownDevices.lockPhone]
}

// New checks the configuration and builds the routes. It refuses missing parts, a
// public address that is not an https origin, and anchors with the same name.
func New(c Config) (*Server, error) {
	if c.Registrar == nil || c.SignIn == nil || c.Store == nil || c.CRLs == nil || c.Renderer == nil || c.Secret.IsZero() {
		return nil, errors.New("web: a required part is missing")
	}
	if err := checkOrigin(c.PublicURL); err != nil {
		return nil, err
	}
	if c.Registrar.CodeRequired() && c.Helpdesk == nil {
		return nil, errors.New("web: pickup codes are required, but there is no helpdesk to give them")
	}
	if err := c.SSO.check(); err != nil {
		return nil, err
	}
	trust, err := newAnchors(c.Anchors)
	if err != nil {
		return nil, err
	}
	profiles, err := newProfiles(c)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(c.Exchange.check(), c.SCEP.check()); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	limits := c.Limits.withDefaults()
	s := &Server{
		registrar: c.Registrar, signIn: c.SignIn, store: c.Store, renderer: c.Renderer, zone: c.Renderer.Location(),
		sessions: &sessionStore{records: c.Store, now: c.Now, idle: limits.Idle, key: c.Secret.Key("certportal sessions"), log: c.Log},
		gzip:     &compressor{},
		org:      c.Org, public: c.PublicURL, checkURL: c.CheckURL, script: c.ExchangeScript, sso: c.SSO, example: c.UsernameExample,
		profiles: profiles, exchange: c.Exchange, scep: c.SCEP, services: c.Services, admin: c.Admin,
		helpdesk: c.Helpdesk, codeAlone: c.CodeAlone, mails: c.Mails,
		limits: limits, log: c.Log, now: c.Now, ocsp: c.OCSP, ocspState: c.OCSPHealth, served: c.Served, challenge: c.Challenge,
	}
	s.trust.Store(&trust)
	s.sampled = slog.New(LimitLines(c.Log.Handler(), time.Now)) // lines a second by the machine's clock
	s.addresses = &addressFinder{proxies: c.TrustedProxies, log: c.Log}
	s.crls = &crlCache{source: c.CRLs, gzip: s.gzip}
	if s.https, err = s.newHandler(); err != nil {
		return nil, err
	}
	s.plain, s.check = s.newPlainHandler(), s.newCheckHandler(c.CheckHeader)
	return s, nil
}

// Handler answers the https side: pages, files and PKI addresses.
func (s *Server) Handler() http.Handler { return s.https }

// PlainHandler answers plain http: trust anchors, CRLs and OCSP, which are signed and
// must be reachable before the portal's certificate is trusted. Other GET and HEAD
// requests are redirected to https; it accepts no form and sets no cookie.
func (s *Server) PlainHandler() http.Handler { return s.plain }

// withDefaults sets the optional fields that are called.
func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.OCSPHealth == nil {
		c.OCSPHealth = func() *ocsp.Health { return nil }
	}
	if c.Served == nil {
		c.Served = func(bool, int) {}
	}
	return c
}

// withDefaults sets the zero fields.
func (l Limits) withDefaults() Limits {
	if l.Body == 0 {
		l.Body = 64 << 10
	}
	if l.SignIns == 0 {
		l.SignIns = 240
	}
	if l.Requests == 0 {
		l.Requests = 6000
	}
	if l.Services == 0 {
		l.Services = 60
	}
	if l.Downloads == 0 {
		l.Downloads = 600
	}
	if l.Idle == 0 {
		l.Idle = 15 * time.Minute
	}
	if l.Lifetime == 0 {
		l.Lifetime = 8 * time.Hour
	}
	if l.StaffLifetime == 0 {
		l.StaffLifetime = 4 * time.Hour
	}
	return l
}

// checkOrigin refuses addresses that cannot be the portal's own: cookies with the
// __Host- prefix need https and the root path.
func checkOrigin(u *url.URL) error {
	if u == nil || u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("web: public address %v is not an https address", u)
	}
	if u.User != nil || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("web: public address %v holds more than scheme, host and port", u.Redacted())
	}
	return nil
}
