package replicas

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"certportal/internal/test/pgtest"
	"certportal/internal/test/testkit"
	"certportal/internal/test/toxiproxy"
)

// broken is a way in which a database is out of order, and what readiness says of it.
type broken struct {
	name, says string
	readable   bool // what only reads goes on
	start, end func(t *testing.T)
}

// sickDatabase is a database that a test brings out of order.
type sickDatabase struct {
	server  *pgtest.Server
	proxy   *toxiproxy.Proxy
	direct  string // address
	through string // address by the proxy
}

func newSickDatabase(t *testing.T) *sickDatabase {
	t.Helper()
	d := &sickDatabase{server: &pgtest.Server{Options: []string{"wal_level=replica", "max_connections=24"}}}
	t.Cleanup(d.server.Stop)
	d.direct = d.server.Database(t)
	u := testkit.Must(url.Parse(d.direct))(t)
	d.proxy = toxiproxy.Start(t).Proxy(t, u.Host)
	u.Host = d.proxy.Address
	d.through = u.String()
	return d
}

// admin runs a statement beside the portal.
func (d *sickDatabase) admin(t *testing.T, statements ...string) {
	t.Helper()
	// A connection of its own: it may write where the default is that nothing may.
	db := testkit.Must(sql.Open("pgx", d.direct+"&default_transaction_read_only=off"))(t)
	defer db.Close()
	for _, statement := range statements {
		testkit.Must(db.ExecContext(context.WithoutCancel(t.Context()), statement))(t)
	}
}

// endOthers ends the connections of the portal.
const endOthers = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"

// fillUp takes every connection that the server has, until the function that it returns is called.
func (d *sickDatabase) fillUp(t *testing.T) (end func()) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	db := testkit.Must(sql.Open("pgx", d.direct+"&application_name=test"))(t)
	var held []*sql.Conn
	testkit.Eventually(t, "all connections are taken", func() bool {
		for {
			c, err := db.Conn(ctx)
			if err != nil {
				break
			}
			held = append(held, c)
		}
		if len(held) == 0 {
			return false
		}
		var others int
		err := held[0].QueryRowContext(ctx, `SELECT count(pg_terminate_backend(pid, 1000)) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name <> 'test'`).Scan(&others)
		return err == nil && others == 0
	})
	return func() {
		for _, c := range held {
			c.Close()
		}
		db.Close()
	}
}

// ways are the ways in which the database is out of order.
func (d *sickDatabase) ways() []broken {
	var end func()
	return []broken{
		{"read-only", "read-only", true,
			func(t *testing.T) {
				d.admin(t, "ALTER DATABASE test1 SET default_transaction_read_only = on", endOthers)
			},
			func(t *testing.T) { d.admin(t, "ALTER DATABASE test1 RESET default_transaction_read_only") }},
		{"a standby", "standby", false, func(t *testing.T) { d.server.Demote(t) }, func(t *testing.T) { d.server.Promote(t) }},
		{"out of connections", "too many clients", false,
			func(t *testing.T) { end = d.fillUp(t) }, func(t *testing.T) { end() }},
		{"slow", "context deadline exceeded", false,
			func(t *testing.T) { d.proxy.Latency(t, 5*time.Second) }, func(t *testing.T) { d.proxy.Mend(t) }},
	}
}

// The database is read-only, a standby, out of connections, or slow by 5 s for each answer. The
// portal lives, readiness says why it is red, pages say what to do next, lists and known online
// answers go on, nothing is half done, and all goes on when the database is well again.
func TestF5_DatabaseIsOutOfOrder(t *testing.T) {
	slow(t)
	t.Parallel() // it waits most of the time
	d := newSickDatabase(t)
	c := newClusterOn(t, []string{d.through})
	b := direct(t, c.portals[0])
	c.add("anna")
	phone := b.newBrowser(t)
	testkit.NoError(t, phone.signIn(t.Context(), "anna"))
	f := testkit.Must(phone.enrol(t.Context(), "First phone"))(t)
	c.keep(f)
	c.onlineGood(t, b, f)
	phone.watch = nil // its refusals are wanted
	for _, way := range d.ways() {
		t.Run(way.name, func(t *testing.T) {
			request := rand.Text()
			way.start(t)
			c.whileBroken(t, b, phone, way, request)
			c.onlineGood(t, b, f)
			way.end(t)
			testkit.Eventually(t, "it issues again", func() bool {
				f, err := phone.enrolBy(t.Context(), "Phone, "+way.name, request)
				if err == nil {
					c.keep(f)
					again := testkit.Must(phone.enrolBy(t.Context(), "Phone, "+way.name, request))(t)
					testkit.Equal(t, "serial of the form sent again", again.leaf.SerialNumber.Cmp(f.leaf.SerialNumber), 0)
				}
				return err == nil
			})
			testkit.Eventually(t, "readiness is green", func() bool { return c.portals[0].ready(t.Context(), "/readyz") == nil })
			c.nothingPending()
		})
	}
	lost, twice := c.check()
	testkit.Equal(t, "certificates lost", lost, 0)
	testkit.Equal(t, "serials twice", twice, 0)
	t.Log(c.portals[0].run("audit", "verify"))
}

// whileBroken looks at what people and monitoring see. The pages are asked for at once.
func (c *cluster) whileBroken(t *testing.T, b *balancer, phone *browser, way broken, request string) {
	t.Helper()
	ctx, p := t.Context(), c.portals[0]
	var asking sync.WaitGroup
	see := func(what string, usable bool, do func() (answer, error)) {
		asking.Go(func() {
			began := time.Now()
			a, _ := do()
			t.Logf("%s: %d after %s", what, a.status, time.Since(began).Round(100*time.Millisecond))
			if usable && a.status < 400 {
				return
			}
			if a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "We cannot reach our records right now") {
				t.Errorf("%s: %v", what, a.is(http.StatusServiceUnavailable))
			}
		})
	}
	other := b.newBrowser(t)
	other.watch = nil
	see("form", false, func() (answer, error) {
		return phone.post(ctx, "/new", "name", "Phone, "+way.name, "platform", "android", "request", request)
	})
	see("devices", way.readable, func() (answer, error) { return phone.get(ctx, "/") })
	see("sign-in", false, func() (answer, error) {
		return other.post(ctx, "/login", "username", "anna", "password", password)
	})
	for path, address := range map[string]string{"/login": "https://" + publicName, "/ca/root.cer": "https://" + publicName, "/crl/issuing.crl": "http://" + plainName} {
		a := testkit.Must(other.get(ctx, address+path))(t)
		testkit.Equal(t, path, a.status, http.StatusOK)
	}
	var text string
	// On a busy machine the time may end before the database says why.
	testkit.Eventually(t, "readiness is red and says "+way.says, func() bool {
		var status int
		status, text = p.onOps(ctx, "/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(text, way.says)
	})
	asking.Wait()
	t.Logf("readiness: %s", text)
	for _, path := range []string{"/readyz/plain", "/healthz", "/metrics"} {
		testkit.NoError(t, p.ready(ctx, path))
	}
}

// onlineGood asks the portal whether a certificate is good.
func (c *cluster) onlineGood(t *testing.T, b *balancer, f file) {
	t.Helper()
	issuing := certificate(t, filepath.Join(c.portals[0].data, "ca", "issuing.crt"))
	question := testkit.Must(ocsp.CreateRequest(f.leaf, issuing, nil))(t)
	req := testkit.Must(http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+plainName+"/ocsp", bytes.NewReader(question)))(t)
	req.Header.Set("Content-Type", "application/ocsp-request")
	a := testkit.Must(b.newBrowser(t).ask(req))(t)
	found := testkit.Must(ocsp.ParseResponseForCert([]byte(a.body), f.leaf, issuing))(t)
	testkit.Equal(t, "online answer", found.Status, ocsp.Good)
}

// onOps asks for health.
func (p *instance) onOps(ctx context.Context, path string) (status int, body string) {
	p.t.Helper()
	req := testkit.Must(http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.port("9843")+path, nil))(p.t)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	content, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(content)
}
