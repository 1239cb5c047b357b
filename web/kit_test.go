package web_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/store"
	"certportal/web"
	"certportal/web/page"
)

// password is that of everybody in these tests.
const password = "correct horse battery"

const (
	iPhone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) " +
		"Version/26.1 Mobile/15E148 Safari/604.1"
	android = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) " +
		"Chrome/142.0.0.0 Mobile Safari/537.36"
	linux = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
)

// clock is the time of one portal, moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// journal collects the log of one portal.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// fixedLists serves one list of the issuing CA.
type fixedLists struct{ list crl.List }

func (f *fixedLists) CRL(issuer string) (crl.List, bool) {
	return f.list, issuer == f.list.Issuer
}

// portal is a whole portal on a temporary SQLite file, with an EC hierarchy.
type site struct {
	t         testing.TB
	clock     *clock
	log       *journal
	db        *store.DB
	file      string // of the database
	people    *directory.Builtin
	moody     *moody // people, as the portal sees them
	registrar *enroll.Registrar
	admin     *admin.Service
	config    web.Config
	server    *web.Server
	lists     *fixedLists
	responder *ocsp.Responder
	https     *httptest.Server
	plain     *httptest.Server
	root      *x509.Certificate
	issuing   *x509.Certificate
}

// hierarchy is made once: keys and lints take their time.
var hierarchy = sync.OnceValues(func() (*ca.Hierarchy, error) {
	return ca.CreateHierarchy(ca.HierarchyConfig{
		Organization: "Example", RootKind: ca.ECP256, IssuingKind: ca.ECP256,
	}, start)
})

// start is when every test begins.
var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// newSite starts a portal with anna, ben and hedi of the helpdesk.
func newSite(t testing.TB, change ...func(*web.Config)) *site {
	t.Helper()
	h, err := hierarchy()
	if err != nil {
		t.Fatal(err)
	}
	p := &site{t: t, clock: &clock{now: start}, log: &journal{}, root: h.Root, issuing: h.Issuing}
	p.file = filepath.Join(t.TempDir(), "portal.db")
	log := slog.New(slog.NewTextHandler(p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if p.db, err = store.Open(t.Context(), store.Config{URL: "sqlite:" + p.file, Log: log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.db.Close() })
	if p.people, err = directory.NewBuiltin(p.db); err != nil {
		t.Fatal(err)
	}
	p.moody = &moody{Directory: p.people}
	p.add("anna", "Anna Muster", "Anna")
	p.add("ben", "Ben Other", "Ben")
	p.add("hedi", "Hedi Help", "Hedi", portal.Helpdesk)
	p.registrar = p.newRegistrar(h, log)
	p.start(h, log, change)
	return p
}

func (p *site) add(login, name, given string, roles ...portal.Role) {
	p.t.Helper()
	hash, err := passwordHash()
	if err != nil {
		p.t.Fatal(err)
	}
	err = p.db.AddAccount(p.t.Context(), portal.Account{PasswordHash: hash, Person: portal.Person{
		ID: portal.PersonID("id-of-" + login), Login: login, UPN: login + "@example.com", Name: name,
		GivenName: given, Mail: login + "@example.com", Roles: roles, MayEnroll: true,
	}}, audit.Entry{At: p.clock.Now(), Action: audit.AccountAdded, Actor: "system", Role: "system"})
	if err != nil {
		p.t.Fatal(err)
	}
}

// passwordHash is the hash of password, made by a directory of its own, once: it
// is slow by design.
var passwordHash = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "certportal-web")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(folder)
	db, err := store.Open(context.Background(), store.Config{URL: filepath.Join(folder, "people.db")})
	if err != nil {
		return "", err
	}
	defer db.Close()
	people, err := directory.NewBuiltin(db)
	if err != nil {
		return "", err
	}
	_, err = people.Add(context.Background(), directory.NewAccount{
		Login: "x", UPN: "x@example.com", Password: password,
	}, audit.Entry{})
	if err != nil {
		return "", err
	}
	account, err := db.AccountByLogin(context.Background(), "x")
	return account.PasswordHash, err
})

// strictRegistrar is another registrar over the same records, which wants a pickup
// code.
func (p *site) strictRegistrar() *enroll.Registrar {
	p.t.Helper()
	h, err := hierarchy()
	if err != nil {
		p.t.Fatal(err)
	}
	return p.newRegistrar(h, p.config.Log, func(c *enroll.Config) { c.CodeRequired = true })
}

func (p *site) newRegistrar(h *ca.Hierarchy, log *slog.Logger, change ...func(*enroll.Config)) *enroll.Registrar {
	p.t.Helper()
	issuer, err := ca.NewIssuer(ca.IssuerConfig{Certificate: h.Issuing, Signer: h.IssuingKey})
	if err != nil {
		p.t.Fatal(err)
	}
	profile, err := ca.NewProfile(ca.ProfileConfig{
		Name: "User", CRLURLs: []string{"http://example.com/crl/issuing.crl"}, OCSPURLs: []string{"http://example.com/ocsp"},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	config := enroll.Config{
		Directory: p.moody, Issuer: issuer, Profile: profile, Keys: enroll.NewKeyPool(ca.ECP256, 0, log),
		Store: p.db, DeviceKeys: true,
		Chain: []*x509.Certificate{h.Issuing}, Now: p.clock.Now, Log: log,
	}
	for _, f := range change {
		f(&config)
	}
	r, err := enroll.New(config)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

func (p *site) start(h *ca.Hierarchy, log *slog.Logger, change []func(*web.Config)) {
	p.t.Helper()
	signIn, err := signin.New(signin.Config{
		Directory: p.moody, Store: p.db, CodeAlone: true, Now: p.clock.Now, Log: log,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	renderer, err := page.New(page.Config{
		Org: "Example", Helpdesk: page.Helpdesk{Phone: "+49 89 1234"}, Location: time.UTC,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.lists = &fixedLists{crl.List{
		Issuer: "issuing", Number: 1, ThisUpdate: start, NextUpdate: start.Add(72 * time.Hour),
		DER: bytes.Repeat([]byte("a list of revoked certificates "), 100),
	}}
	p.https = httptest.NewUnstartedServer(nil)
	origin := &url.URL{Scheme: "https", Host: p.https.Listener.Addr().String()}
	config := web.Config{
		Registrar: p.registrar, SignIn: signIn, Store: p.db, CRLs: p.lists, Renderer: renderer, Helpdesk: p.newDesk(signIn), Admin: p.newAdmin(), OCSP: p.newResponder(h, log),
		Anchors: []web.Anchor{
			{Name: "root", Cert: h.Root, Own: true},
			{Name: "issuing", Cert: h.Issuing, Own: true, Issuing: true},
		},
		Org: "Example", PublicURL: origin, Log: log, Now: p.clock.Now,
	}
	for _, c := range change {
		c(&config)
	}
	p.config = config
	if p.server, err = web.New(config); err != nil {
		p.t.Fatal(err)
	}
	p.https.Config.Handler = p.server.Handler()
	p.https.StartTLS()
	p.plain = httptest.NewServer(p.server.PlainHandler())
	p.t.Cleanup(func() {
		p.https.Close()
		p.plain.Close()
		if log := p.log.String(); strings.Contains(log, "rendering page") {
			p.t.Errorf("a page was not rendered: %s", log)
		}
	})
}

// certificates counts the certificates of a person, by status.
func (p *site) certificates(login string) map[portal.Status]int {
	p.t.Helper()
	account, err := p.db.AccountByLogin(p.t.Context(), login)
	if err != nil {
		p.t.Fatal(err)
	}
	devices, err := p.db.Devices(p.t.Context(), account.ID)
	if err != nil {
		p.t.Fatal(err)
	}
	count := map[portal.Status]int{}
	for _, d := range devices {
		count[d.Certificate.Status]++
	}
	return count
}

// entries counts the ledger entries of an action.
func (p *site) entries(action audit.Action) int {
	p.t.Helper()
	all, err := p.db.Entries(context.Background(), 0, 10_000)
	if err != nil {
		p.t.Fatal(err)
	}
	n := 0
	for _, e := range all {
		if e.Action == action {
			n++
		}
	}
	return n
}

func newSerial(t *testing.T) ca.Serial {
	t.Helper()
	serial, err := ca.NewSerial(nil)
	if err != nil {
		t.Fatal(err)
	}
	return serial
}
