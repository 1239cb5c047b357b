package autotls_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/autotls"
	"certportal/internal/portal"
	"certportal/internal/test/pebble"
	"certportal/internal/test/testkit"
	"certportal/store"
)

const host, checkHost = "certificates.corp.example", "check.corp.example"

// installation is a database with the plain-http side of one replica before it.
type installation struct {
	db     *store.DB
	plain  *httptest.Server
	port   int
	shift  atomic.Int64 // of the clock
	silent atomic.Bool  // no answer is given
	asked  atomic.Int64
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	in := &installation{}
	in.db = testkit.Must(store.Open(t.Context(), store.Config{URL: filepath.Join(t.TempDir(), "portal.db"), Secret: secret()}))(t)
	t.Cleanup(func() { in.db.Close() })
	in.plain = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in.asked.Add(1)
		answer, err := in.db.HTTPChallenge(r.Context(), strings.TrimPrefix(r.URL.Path, "/.well-known/acme-challenge/"), in.now())
		if err != nil || in.silent.Load() {
			http.NotFound(w, r)
			return
		}
		w.Write([]byte(answer))
	}))
	t.Cleanup(in.plain.Close)
	in.port = testkit.Must(strconv.Atoi(testkit.Must(url.Parse(in.plain.URL))(t).Port()))(t)
	return in
}

func secret() (s portal.Secret) {
	copy(s[:], "secret of the installation")
	return s
}

func (in *installation) now() time.Time { return time.Now().Add(time.Duration(in.shift.Load())) }

// replica makes a manager with a folder of its own.
func (in *installation) replica(t *testing.T, s *pebble.Server, change func(*autotls.Config)) *autotls.Manager {
	t.Helper()
	c := autotls.Config{
		Directory: s.Directory, Names: []string{host, checkHost}, Contacts: []string{"pki@corp.example"}, Roots: roots(t, s.CAFile),
		Folder: filepath.Join(t.TempDir(), "tls"), Store: in.db, Secret: secret(), Holder: t.TempDir(), Agent: "certportal/test",
		Now: in.now, Log: testkit.NewLog(t).Logger(),
	}
	if change != nil {
		change(&c)
	}
	return autotls.New(c)
}

func roots(t *testing.T, file string) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(testkit.Must(os.ReadFile(file))(t)) {
		t.Fatal("no root")
	}
	return pool
}

// leaf looks once and returns the serial number of the certificate in use; empty for none.
func leaf(t *testing.T, m *autotls.Manager) string {
	t.Helper()
	if err := m.Look(t.Context()); err != nil {
		t.Logf("look: %v", err)
	}
	pair := m.Certificate()
	if pair == nil {
		return ""
	}
	for _, name := range []string{host, checkHost} {
		testkit.NoError(t, pair.Leaf.VerifyHostname(name))
	}
	return pair.Leaf.SerialNumber.Text(16)
}

func failure(t *testing.T, m *autotls.Manager) autotls.Failure {
	t.Helper()
	return testkit.Must(m.State(t.Context()))(t).Failure
}

// wantFailure compares what an operator reads.
func wantFailure(t *testing.T, m *autotls.Manager, want ...string) {
	t.Helper()
	f := failure(t, m)
	for _, text := range want {
		if !strings.Contains(f.Text, text) {
			t.Errorf("failure %q, want %q in it", f.Text, text)
		}
	}
	if f.Since.IsZero() || !f.Again.After(f.Since) {
		t.Errorf("failure since %s, again at %s", f.Since, f.Again)
	}
}

// TestIssueAndRenew orders a certificate, keeps it over a restart and renews it when a third of
// its life is left; the server forgot the account meanwhile.
func TestIssueAndRenew(t *testing.T) {
	in := newInstallation(t)
	s := pebble.Start(t, pebble.Config{HTTPPort: in.port, Validity: time.Hour})
	folder := filepath.Join(t.TempDir(), "tls")
	same := func(c *autotls.Config) { c.Folder = folder }
	m := in.replica(t, s, same)
	if m.Certificate() != nil {
		t.Error("a certificate before the first order")
	}
	first := leaf(t, m)
	if first == "" {
		t.Fatalf("no certificate: %+v\n%s", failure(t, m), s.Log())
	}
	testkit.Equal(t, "again", leaf(t, m), first)
	for _, file := range []string{"acme.pem", "acme-account.key"} {
		testkit.Equal(t, file, testkit.Must(os.Stat(filepath.Join(folder, file)))(t).Mode().Perm(), os.FileMode(0o600))
	}
	in.shift.Store(int64(39 * time.Minute))
	again := in.replica(t, s, same)
	if again.Certificate() == nil {
		t.Error("the copy in the folder is not in use after a restart")
	}
	testkit.Equal(t, "with more than a third left", leaf(t, again), first)

	s.Stop()
	in.shift.Store(int64(41 * time.Minute))
	testkit.Equal(t, "while the server is away", leaf(t, again), first)
	wantFailure(t, again, "does not answer")
	testkit.Equal(t, "tries", failure(t, again).Tries, 1)
	testkit.Equal(t, "before the pause is over", leaf(t, again), first)
	testkit.Equal(t, "tries", failure(t, again).Tries, 1)

	s = pebble.Start(t, pebble.Config{HTTPPort: in.port, Port: s.Port})
	m = in.replica(t, s, same) // its root is another one now
	in.shift.Store(int64(50 * time.Minute))
	second := leaf(t, m)
	if second == "" || second == first {
		t.Fatalf("serial number %q after %q: %+v\n%s", second, first, failure(t, m), s.Log())
	}
	testkit.Equal(t, "failure", failure(t, m), autotls.Failure{})
	testkit.Equal(t, "tokens that are left", tokens(t, in), 0)
	in.shift.Store(int64(200 * 24 * time.Hour))
	if m.Certificate() != nil {
		t.Error("a certificate that has ended is in use")
	}
}

func tokens(t *testing.T, in *installation) int {
	t.Helper()
	var n int
	testkit.NoError(t, in.db.One(t.Context(), "SELECT count(*) FROM acme_challenges", nil, &n))
	return n
}

// TestReplicas: of two replicas one orders, with the answers given by the other; the other
// takes the certificate over, also into its folder.
func TestReplicas(t *testing.T) {
	in := newInstallation(t)
	s := pebble.Start(t, pebble.Config{HTTPPort: in.port})
	folder := filepath.Join(t.TempDir(), "tls")
	changed := 0
	a, b := in.replica(t, s, nil), in.replica(t, s, func(c *autotls.Config) {
		c.Folder, c.Changed = folder, func() { changed++ }
	})
	done := make(chan error)
	go func() { done <- b.Look(context.WithoutCancel(t.Context())) }()
	first := leaf(t, a)
	testkit.NoError(t, <-done)
	testkit.Equal(t, "orders", strings.Count(s.Log(), "Issued certificate serial"), 1)
	if first == "" {
		first = leaf(t, a) // b ordered
	}
	testkit.Equal(t, "the certificate of both", leaf(t, b), first)
	testkit.Equal(t, "changes", changed, 1)
	testkit.Equal(t, "in the folder", autotls.Served(folder, []string{host, checkHost}, in.now()).SerialNumber.Text(16), first)
	entries := testkit.Must(in.db.Entries(t.Context(), 0, 10))(t)
	if len(entries) != 1 || entries[0].Action != audit.TLSOrdered || entries[0].Object != first {
		t.Errorf("audit log: %+v", entries)
	}

	stranger := in.replica(t, s, func(c *autotls.Config) { c.Secret = portal.Secret{1} })
	if third := leaf(t, stranger); third == "" || third == first {
		t.Errorf("with another secret: %q after %q: it must order one of its own", third, first)
	}
}

// late is a store in which another replica orders after this one looked.
type late struct {
	autotls.Store
	before func()
}

func (l late) LeaseACME(ctx context.Context, id, holder string, now, until time.Time) error {
	l.before()
	return l.Store.LeaseACME(ctx, id, holder, now, until)
}

// TestReplicaOrdersMeanwhile: a replica that gets the lease right after another one ordered
// takes that certificate over.
func TestReplicaOrdersMeanwhile(t *testing.T) {
	in := newInstallation(t)
	s := pebble.Start(t, pebble.Config{HTTPPort: in.port})
	a := in.replica(t, s, nil)
	first := ""
	b := in.replica(t, s, func(c *autotls.Config) { c.Store = late{in.db, func() { first = leaf(t, a) }} })
	if second := leaf(t, b); second == "" || second != first {
		t.Errorf("got %q, and the other replica %q", second, first)
	}
	testkit.Equal(t, "orders", strings.Count(s.Log(), "Issued certificate serial"), 1)
	in.shift.Store(int64(61 * 24 * time.Hour))
	testkit.NoError(t, in.db.LeaseACME(t.Context(), autotls.ID(s.Directory, []string{host, checkHost}), "x", in.now(), in.now().Add(time.Minute)))
}

// TestRefusals: each failure is recorded in words, and what the server says about waiting
// holds.
func TestRefusals(t *testing.T) {
	t.Run("validation", func(t *testing.T) {
		in := newInstallation(t)
		in.silent.Store(true)
		m := in.replica(t, pebble.Start(t, pebble.Config{HTTPPort: in.port}), nil)
		testkit.Equal(t, "certificate", leaf(t, m), "")
		wantFailure(t, m, "http://c", "/.well-known/acme-challenge/", "listen_http", "404")
		testkit.Equal(t, "tokens that are left", tokens(t, in), 0)
		in.shift.Add(int64(5 * time.Minute))
		leaf(t, m)
		f := failure(t, m)
		testkit.Equal(t, "tries", f.Tries, 2)
		if wait := f.Again.Sub(in.now()); wait < 9*time.Minute || wait > 10*time.Minute {
			t.Errorf("the next order is in %s, want 10 minutes", wait)
		}
		in.silent.Store(false)
		in.shift.Add(int64(10 * time.Minute))
		if leaf(t, m) == "" {
			t.Errorf("no certificate afterwards: %+v", failure(t, m))
		}
	})
	t.Run("blocked name", func(t *testing.T) {
		in := newInstallation(t)
		m := in.replica(t, pebble.Start(t, pebble.Config{HTTPPort: in.port, Blocked: []string{checkHost}}), nil)
		testkit.Equal(t, "certificate", leaf(t, m), "")
		wantFailure(t, m, "refused", checkHost, "rejectedIdentifier")
	})
	t.Run("wrong root", func(t *testing.T) {
		in := newInstallation(t)
		other := pebble.Start(t, pebble.Config{HTTPPort: in.port})
		m := in.replica(t, pebble.Start(t, pebble.Config{HTTPPort: in.port}), func(c *autotls.Config) { c.Roots = roots(t, other.CAFile) })
		testkit.Equal(t, "certificate", leaf(t, m), "")
		wantFailure(t, m, "tls.acme.ca_file")
	})
	t.Run("clock", func(t *testing.T) {
		in := newInstallation(t)
		s := pebble.Start(t, pebble.Config{HTTPPort: in.port})
		in.shift.Store(int64(80 * 24 * time.Hour)) // the TLS certificate of the server is still valid
		m := in.replica(t, s, nil)
		testkit.Equal(t, "certificate", leaf(t, m), "")
		wantFailure(t, m, "clock of this machine", "NTP")
		in.shift.Store(int64(400 * 24 * time.Hour))
		leaf(t, m)
		wantFailure(t, m, "clock of this machine")
	})
	t.Run("held", func(t *testing.T) {
		in := newInstallation(t)
		s := pebble.Start(t, pebble.Config{HTTPPort: in.port})
		m := in.replica(t, s, func(c *autotls.Config) { c.Hold = func() error { return portal.ErrNotFound } })
		testkit.Equal(t, "certificate", leaf(t, m), "")
		testkit.Equal(t, "failure", failure(t, m), autotls.Failure{})
	})
}

// TestCustomersOnly: some servers take orders from accounts of their customers.
func TestCustomersOnly(t *testing.T) {
	in := newInstallation(t)
	key := []byte("a key of thirty-two octets or so")
	s := pebble.Start(t, pebble.Config{HTTPPort: in.port, Accounts: map[string]string{"kid-1": "YSBrZXkgb2YgdGhpcnR5LXR3byBvY3RldHMgb3Igc28"}})
	m := in.replica(t, s, nil)
	testkit.Equal(t, "without an account", leaf(t, m), "")
	wantFailure(t, m, "tls.acme.account_id")
	in.shift.Add(int64(time.Hour))
	m = in.replica(t, s, func(c *autotls.Config) { c.AccountID, c.AccountKey = "kid-2", key })
	testkit.Equal(t, "with a wrong one", leaf(t, m), "")
	wantFailure(t, m, "refused")
	in.shift.Add(int64(time.Hour))
	m = in.replica(t, s, func(c *autotls.Config) { c.AccountID, c.AccountKey = "kid-1", key })
	if leaf(t, m) == "" {
		t.Errorf("with its own: %+v", failure(t, m))
	}
}

// TestServerErrors puts a proxy in front of the server: problems that it has on bad days only.
func TestServerErrors(t *testing.T) {
	in := newInstallation(t)
	s := pebble.Start(t, pebble.Config{HTTPPort: in.port})
	var fault atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool]
	proxy := httptest.NewTLSServer(proxyTo(t, s, &fault))
	t.Cleanup(proxy.Close)
	m := in.replica(t, s, func(c *autotls.Config) {
		c.Directory, c.Roots = proxy.URL+"/dir", x509.NewCertPool()
		c.Roots.AddCert(proxy.Certificate())
	})
	set := func(f func(w http.ResponseWriter, r *http.Request) bool) { fault.Store(&f) }

	set(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/order-plz") {
			return false
		}
		w.Header().Set("Retry-After", "90000")
		problem(w, 429, "rateLimited", "too many certificates\x1b[31m already issued")
		return true
	})
	testkit.Equal(t, "certificate", leaf(t, m), "")
	wantFailure(t, m, "no further orders", "too many certificates [31m already issued (rateLimited)")
	if wait := failure(t, m).Again.Sub(in.now()); wait < 24*time.Hour || wait > 26*time.Hour {
		t.Errorf("the next order is in %s, and the server asked for 25 hours", wait)
	}
	in.shift.Add(int64(25*time.Hour + time.Minute))

	set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			w.Header().Set("Replay-Nonce", "stale")
			problem(w, 400, "badNonce", "no good")
			return true
		}
		return false
	})
	testkit.Equal(t, "certificate with no good nonce", leaf(t, m), "")
	wantFailure(t, m, "badNonce")
	in.shift.Add(int64(time.Hour))

	set(func(w http.ResponseWriter, r *http.Request) bool {
		w.WriteHeader(http.StatusBadGateway)
		w.Write([]byte(strings.Repeat("<html>", 10_000)))
		return true
	})
	testkit.Equal(t, "certificate behind a broken balancer", leaf(t, m), "")
	wantFailure(t, m, "status 502", "not as an ACME server does")
	in.shift.Add(int64(time.Hour))

	// Bodies without an end: the portal must not keep them in memory.
	const endless = 64 << 20
	var sent atomic.Int64 // the handler may still write when the answer was read
	send := func(w http.ResponseWriter) {
		for sent.Store(0); sent.Load() < endless; sent.Add(1 << 16) {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	}
	set(func(w http.ResponseWriter, r *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		send(w)
		return true
	})
	testkit.Equal(t, "certificate with an endless error", leaf(t, m), "")
	wantFailure(t, m, "status 403", "not as an ACME server does")
	if n := sent.Load(); n >= endless {
		t.Errorf("all %d bytes of an error were read", n)
	}
	in.shift.Add(int64(2 * time.Hour))
	set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/dir" {
			return false
		}
		w.Write([]byte(`{"meta": {"website": "` + strings.Repeat("x", 1<<20) + `"}, "newOrder": "https://localhost/"}`))
		return true
	})
	testkit.Equal(t, "certificate with a large directory", leaf(t, m), "")
	wantFailure(t, m, "larger than 1 MiB")
	in.shift.Add(int64(2 * time.Hour))

	var posts atomic.Int64
	set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		if posts.Add(1)%2 == 0 {
			w.Header().Set("Replay-Nonce", "stale")
			problem(w, 400, "badNonce", "no good")
			return true
		}
		return false
	})
	if leaf(t, m) == "" {
		t.Errorf("with every second nonce refused: %+v", failure(t, m))
	}
}

func problem(w http.ResponseWriter, status int, kind, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"type": "urn:ietf:params:acme:error:" + kind, "detail": detail, "status": status})
}

// proxyTo passes requests on, with the Host that the server makes its addresses of.
func proxyTo(t *testing.T, s *pebble.Server, fault *atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]) http.Handler {
	t.Helper()
	to := testkit.Must(url.Parse("https://localhost:" + strconv.Itoa(s.Port)))(t)
	p := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host },
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots(t, s.CAFile)}},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f := fault.Load(); f != nil && (*f)(w, r) {
			return
		}
		p.ServeHTTP(w, r)
	})
}
