package web_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"log/slog"
	"net/http/httptest"
	"net/url"
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
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
	"certportal/web"
	"certportal/web/page"
)

// password is the password of all people.
const password = fixture.Password

const (
	iPhone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) " +
		"Version/26.1 Mobile/15E148 Safari/604.1"
	android = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) " +
		"Chrome/142.0.0.0 Mobile Safari/537.36"
	linux = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
)

// fixedLists serves one list of the issuing CA.
type fixedLists struct{ list crl.List }

func (f *fixedLists) CRL(issuer string) (crl.List, bool) {
	return f.list, issuer == f.list.Issuer
}

// testPortal is a portal over HTTP on a temporary SQLite file, with an EC hierarchy.
type testPortal struct {
	t         testing.TB
	clock     *testkit.Clock
	log       *testkit.Log
	db        *store.DB
	file      string // of the database
	people    *directory.Builtin
	directory *faultyDirectory // people, as the portal sees them
	registrar *enroll.Registrar
	admin     *admin.Service
	config    web.Config
	server    *web.Server
	lists     *fixedLists
	codes     mailedCodes
	responder *ocsp.Responder
	https     *httptest.Server
	plain     *httptest.Server
	root      *x509.Certificate
	issuing   *x509.Certificate
}

// renderer is made once: parsing the templates takes its time.
var renderer = sync.OnceValues(func() (*page.Renderer, error) {
	return page.New(page.Config{
		Org: "Example", Helpdesk: page.Helpdesk{Phone: "+49 89 1234"}, Location: time.UTC,
	})
})

// newPortal starts a portal with the employees anna and ben, and hedi of the helpdesk.
func newPortal(t testing.TB, change ...func(*web.Config)) *testPortal {
	t.Helper()
	h := fixture.Hierarchy(t, ca.ECP256)
	p := &testPortal{t: t, clock: testkit.NewClock(), log: testkit.NewLog(t), root: h.Root, issuing: h.Issuing, file: fixture.SQLite(t)}
	log := p.log.DebugLogger()
	p.db = fixture.Open(t, "sqlite:"+p.file, func(c *store.Config) { c.Log = log })
	p.people = testkit.Must(directory.NewBuiltin(p.db))(t)
	p.directory = &faultyDirectory{Directory: p.people}
	p.add("anna", "Anna Muster", "Anna")
	p.add("ben", "Ben Other", "Ben")
	p.add("hedi", "Hedi Help", "Hedi", portal.Helpdesk)
	p.registrar = p.newRegistrar(h, log)
	p.start(h, log, change)
	return p
}

func (p *testPortal) add(login, name, given string, roles ...portal.Role) {
	p.t.Helper()
	err := p.db.AddAccount(p.t.Context(), portal.Account{PasswordHash: fixture.PasswordHash(p.t), Person: portal.Person{
		ID: portal.PersonID("id-of-" + login), Login: login, UPN: login + "@example.com", Name: name,
		GivenName: given, Mail: login + "@example.com", Roles: roles, MayEnroll: true,
	}}, audit.Entry{At: p.clock.Now(), Action: audit.AccountAdded, Actor: "system", Role: "system"})
	testkit.NoError(p.t, err)
}

// newCodeRegistrar is a registrar over the same records that requires a pickup code.
func (p *testPortal) newCodeRegistrar() *enroll.Registrar {
	p.t.Helper()
	return p.newRegistrar(fixture.Hierarchy(p.t, ca.ECP256), p.config.Log, func(c *enroll.Config) { c.CodeRequired = true })
}

func (p *testPortal) newRegistrar(h *ca.Hierarchy, log *slog.Logger, change ...func(*enroll.Config)) *enroll.Registrar {
	p.t.Helper()
	issuer := testkit.Must(ca.NewIssuer(ca.IssuerConfig{Certificate: h.Issuing, Signer: h.IssuingKey, Publication: ca.Publication{
		CRLURLs: []string{"http://example.com/crl/issuing.crl"}, OCSPURLs: []string{"http://example.com/ocsp"},
	}}))(p.t)
	config := enroll.Config{
		Directory: p.directory, Issuer: issuer, Profile: fixture.UserProfile(p.t), Keys: enroll.NewKeyPool(ca.ECP256, 0, log),
		Store: p.db, DeviceKeys: true,
		Chain: fixture.Chain(h), Now: p.clock.Now, Log: log,
	}
	for _, f := range change {
		f(&config)
	}
	return testkit.Must(enroll.New(config))(p.t)
}

func (p *testPortal) start(h *ca.Hierarchy, log *slog.Logger, change []func(*web.Config)) {
	p.t.Helper()
	signIn := testkit.Must(signin.New(signin.Config{
		Directory: p.directory, Store: p.db, NeverLocks: true, CodeAlone: true, Now: p.clock.Now, Log: log,
	}))(p.t)
	p.lists = &fixedLists{crl.List{
		Issuer: "issuing", Number: 1, ThisUpdate: testkit.Noon, NextUpdate: testkit.Noon.Add(72 * time.Hour),
		DER: bytes.Repeat([]byte("a list of revoked certificates "), 100),
	}}
	p.https = httptest.NewUnstartedServer(nil)
	origin := &url.URL{Scheme: "https", Host: p.https.Listener.Addr().String()}
	config := web.Config{
		Registrar: p.registrar, SignIn: signIn, Store: p.db, CRLs: p.lists, Renderer: testkit.Must(renderer())(p.t), Helpdesk: p.newHelpdesk(signIn), Admin: p.newAdmin(), OCSP: p.newResponder(h, log),
		Anchors: []web.Anchor{
			{Name: "root", Cert: h.Root, Own: true},
			{Name: "issuing", Cert: h.Issuing, Own: true, Issuing: true},
		},
		Org: "Example", PublicURL: origin, Secret: fixture.Secret(), Log: log, Now: p.clock.Now,
	}
	for _, c := range change {
		c(&config)
	}
	p.config = config
	p.server = testkit.Must(web.New(config))(p.t)
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
func (p *testPortal) certificates(login string) map[portal.Status]int {
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

// entries counts the audit entries of an action.
func (p *testPortal) entries(action audit.Action) int {
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
