package web_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"golang.org/x/net/html"

	"certportal/ca/crl"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/testkit"
	"certportal/web"
)

// nilLists is a publisher with a fault.
type nilLists struct{}

func (nilLists) CRL(string) (crl.List, bool) { panic("no lists") }

func isHTML(n *html.Node) bool { return n.Data == "html" }

// onPlain is a browser on the plain http side.
func (p *testPortal) onPlain() *browser {
	b := p.browser(linux)
	b.base = p.plain.URL
	return b
}

// TestA14_PlainSide holds that plain http gives away what is signed and takes
// nothing.
func TestA14_PlainSide(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.onPlain()
	tests := []struct {
		method, path string
		status       int
		location     string
	}{
		{"GET", "/ca", 200, ""},
		{"GET", "/ca/root.cer", 200, ""},
		{"HEAD", "/ca/root.cer", 200, ""},
		{"GET", "/ca/chain.p7b", 200, ""},
		{"GET", "/crl/issuing.crl", 200, ""},
		{"GET", "/crl/none.crl", 404, ""},
		{"GET", "/", 308, "/"},
		{"GET", "/login?next=%2Fnew", 308, "/login?next=%2Fnew"},
		{"HEAD", "/devices/x", 308, "/devices/x"},
		{"GET", "//evil.example/", 308, "//evil.example/"},
		{"POST", "/login", 404, ""},
		{"POST", "/ca", 404, ""},
		{"POST", "/crl/issuing.crl", 404, ""},
		{"PUT", "/new", 404, ""},
	}
	for _, tt := range tests {
		got := b.do(tt.method, tt.path, nil, "Host", "evil.example")
		want := tt.location
		if want != "" {
			want = p.https.URL + want
		}
		if got.status != tt.status || got.location() != want {
			t.Errorf("%s %s: got %d to %q, want %d to %q", tt.method, tt.path, got.status, got.location(), tt.status, want)
		}
		if got.header.Get("Strict-Transport-Security") != "" || len(got.header.Values("Set-Cookie")) != 0 {
			t.Errorf("%s %s: HSTS or a cookie over plain http", tt.method, tt.path)
		}
		if got.header.Get("Content-Security-Policy") == "" || got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: security headers are missing", tt.method, tt.path)
		}
	}
}

// TestA14_NoNegotiation sends the headers a relay would.
func TestA14_NoNegotiation(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	device := p.signedIn("anna", iPhone).enrol("Anna's iPhone", "ios")
	for _, r := range p.routes() {
		for _, scheme := range []string{"NTLM TlRMTVNTUAABAAAAB4IIAAAAAAAAAAAAAAAAAAAAAAA=", "Negotiate YII=", "Basic YW5uYTp4"} {
			got := p.browser(linux).do(r.method, r.path(device), nil, "Authorization", scheme)
			if got.header.Get("WWW-Authenticate") != "" {
				t.Errorf("%s %s offers %q", r.method, r.pattern, got.header.Get("WWW-Authenticate"))
			}
			if strings.HasPrefix(r.pattern, "/devices") && got.status != 303 {
				t.Errorf("%s %s: got %d, want the sign-in page", r.method, r.pattern, got.status)
			}
		}
	}
}

func TestAnchors(t *testing.T) {
	t.Parallel()
	other := &x509.Certificate{}
	p := newPortal(t, func(c *web.Config) {
		*other = *c.Anchors[0].Cert
		c.Anchors = append(c.Anchors, web.Anchor{Name: "exchange", Cert: other})
	})
	b := p.onPlain()
	for name, want := range map[string]*x509.Certificate{"root": p.root, "issuing": p.issuing, "exchange": other} {
		got := b.get("/ca/" + name + ".cer")
		if cert, err := x509.ParseCertificate(got.body); err != nil || !cert.Equal(want) {
			t.Errorf("%s.cer: got another certificate (%v)", name, err)
		}
		if kind := got.header.Get("Content-Type"); kind != "application/x-x509-ca-cert" {
			t.Errorf("%s.cer: got type %q", name, kind)
		}
		block, _ := pem.Decode(b.get("/ca/" + name + ".pem").body)
		if block == nil || !strings.EqualFold(string(block.Bytes), string(want.Raw)) {
			t.Errorf("%s.pem: got another certificate", name)
		}
	}
	chain, rest := pem.Decode(b.get("/ca/chain.pem").body)
	if chain == nil || string(chain.Bytes) != string(p.issuing.Raw) || !strings.Contains(string(rest), "CERTIFICATE") {
		t.Error("chain.pem does not begin with the issuing CA")
	}
	bag, err := pkcs7.Parse(b.get("/ca/chain.p7b").body)
	if err != nil || len(bag.Certificates) != 2 {
		t.Errorf("chain.p7b: got %v, want two certificates", err)
	}
	if got := b.get("/ca/none.cer"); got.status != 404 {
		t.Errorf("unknown anchor: got %d, want 404", got.status)
	}
	page := p.browser(iPhone).get("/ca")
	if page.status != 200 || strings.Count(string(page.body), ".cer") < 3 {
		t.Errorf("page: got %d with %d links", page.status, strings.Count(string(page.body), ".cer"))
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.onPlain()
	got := b.get("/crl/issuing.crl", "Accept-Encoding", "identity")
	if got.header.Get("Content-Type") != "application/pkix-crl" || string(got.body) != string(p.lists.list.DER) {
		t.Errorf("got %d bytes of %q", len(got.body), got.header.Get("Content-Type"))
	}
	if keep := got.header.Get("Cache-Control"); keep != "public, max-age=3600" {
		t.Errorf("Cache-Control: got %q", keep)
	}
	if modified := got.header.Get("Last-Modified"); modified != testkit.Noon.Format(http.TimeFormat) {
		t.Errorf("Last-Modified: got %q", modified)
	}
	tag := got.header.Get("ETag")
	if again := b.get("/crl/issuing.crl", "If-None-Match", tag, "Accept-Encoding", "identity"); again.status != 304 || len(again.body) != 0 {
		t.Errorf("known list: got %d", again.status)
	}
	p.clock.Advance(72*time.Hour - time.Minute)
	if keep := b.get("/crl/issuing.crl").header.Get("Cache-Control"); keep != "public, max-age=60" {
		t.Errorf("a minute before its end: got %q", keep)
	}
	p.lists.list.Number, p.lists.list.DER = 2, []byte("another list")
	if again := b.get("/crl/issuing.crl", "If-None-Match", tag); again.status != 200 || string(again.body) != "another list" {
		t.Errorf("new list: got %d, %q", again.status, again.body)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*web.Config)
	}{
		{"plain address", func(c *web.Config) { u := *c.PublicURL; u.Scheme = "http"; c.PublicURL = &u }},
		{"address with path", func(c *web.Config) { u := *c.PublicURL; u.Path = "/portal"; c.PublicURL = &u }},
		{"no address", func(c *web.Config) { c.PublicURL = nil }},
		{"no registrar", func(c *web.Config) { c.Registrar = nil }},
		{"no own anchor", func(c *web.Config) { c.Anchors = nil }},
		{"anchor without certificate", func(c *web.Config) { c.Anchors = append(c.Anchors, web.Anchor{Name: "x"}) }},
		{"anchor twice", func(c *web.Config) { c.Anchors = append(c.Anchors, c.Anchors[0]) }},
		{"anchor named chain", func(c *web.Config) { c.Anchors[0].Name = "chain" }},
		{"anchor named like a path", func(c *web.Config) { c.Anchors[0].Name = "../x" }},
	}
	var good web.Config
	newPortal(t, func(c *web.Config) { good = *c })
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good
			c.Anchors = append([]web.Anchor(nil), good.Anchors...)
			tt.change(&c)
			if _, err := web.New(c); err == nil {
				t.Error("got a server, want a refusal")
			}
		})
	}
}

// TestClientAddress believes X-Forwarded-For from a trusted proxy alone.
func TestClientAddress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		proxies   []netip.Prefix
		forwarded string
		want      string
	}{
		{"no proxy", nil, "192.0.2.7", "127.0.0.1"},
		{"trusted proxy", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, "192.0.2.7", "192.0.2.7"},
		{"client wrote the header first", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, "198.51.100.1, 192.0.2.7", "192.0.2.7"},
		{"with a port", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, "203.0.113.10:5544", "203.0.113.10"},
		{"IPv6 with a port", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, "[2001:db8::7]:443", "2001:db8::7"},
		{"IPv6 in brackets", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, `"[2001:db8::7]"`, "2001:db8::7"},
		{"IPv4 within IPv6", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, "::ffff:192.0.2.7", "192.0.2.7"},
		{"proxy within IPv6", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, "192.0.2.7, ::ffff:127.0.0.9", "192.0.2.7"},
		{"zone", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("fe80::/10")}, "192.0.2.7, fe80::1%eth0", "192.0.2.7"},
		{"unknown", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, "unknown", "127.0.0.1"},
		{"unknown behind an address", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, "198.51.100.1, unknown", "127.0.0.1"},
		{"hidden name", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, "_hidden", "127.0.0.1"},
		{"no header", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, "", "127.0.0.1"},
		{"client among the proxies", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, "127.0.0.77, 127.0.0.5", "127.0.0.77"},
		{"other proxy", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, "192.0.2.7", "127.0.0.1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPortal(t, func(c *web.Config) { c.TrustedProxies = tt.proxies })
			for range 3 {
				p.browser(linux).get("/help", "X-Forwarded-For", tt.forwarded)
			}
			if n := strings.Count(p.log.String(), "a trusted proxy sends"); n > 1 || n == 0 && tt.want == "127.0.0.1" && tt.proxies != nil && tt.name != "other proxy" {
				t.Errorf("logged %d times", n)
			}
			if log := p.log.String(); !strings.Contains(log, "address="+tt.want+" ") {
				t.Errorf("got %s, want address %s", log, tt.want)
			}
		})
	}
}

// TestA8_ProxiesThatHideClients: behind a proxy that sends no client address the limits
// per address count the proxy; they are not gone.
func TestA8_ProxiesThatHideClients(t *testing.T) {
	t.Parallel()
	for _, forwarded := range []string{"", "unknown", "203.0.113.10:5544", "[2001:db8::7]:443"} {
		t.Run(forwarded, func(t *testing.T) {
			p := newPortal(t, func(c *web.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
			p.directory.set(portal.ErrCredentials, nil)
			b, paused := p.browser(linux), 0
			for n := range signin.DefaultAddressTries + 20 {
				form := url.Values{"username": {fmt.Sprint("made-up-", n)}, "password": {"Spring2026!"}}
				got := b.do(http.MethodPost, "/login", strings.NewReader(form.Encode()), "Content-Type", "application/x-www-form-urlencoded",
					"Origin", b.base, "Sec-Fetch-Site", "same-origin", "X-Forwarded-For", forwarded)
				if got.status == 429 {
					paused++
				}
			}
			if paused != 20 {
				t.Errorf("%d of %d tries were paused, want 20", paused, signin.DefaultAddressTries+20)
			}
		})
	}
}

// TestA17_FloodsOfFilesFillNoDisk asks for public files and plain http without end: there
// is a limit per address, and the log takes a sample.
func TestA17_FloodsOfFilesFillNoDisk(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ side, path string }{{"https", "/ca/root.pem"}, {"https", "/favicon.ico"}, {"plain", "/ca/root.pem"}} {
		t.Run(tt.side+tt.path, func(t *testing.T) {
			p := newPortal(t, func(c *web.Config) { c.Limits.Requests = 6 })
			b := p.browser(linux)
			if tt.side == "plain" {
				b.base = p.plain.URL
			}
			before, began, refused := strings.Count(p.log.String(), "msg=request"), time.Now(), 0
			for range 200 {
				if got := b.get(tt.path); got.status == 429 {
					refused++
				}
			}
			if refused != 140 {
				t.Errorf("%d of 200 were refused, want 140", refused)
			}
			most := 10 * (int(time.Since(began).Seconds()) + 2)
			if lines := strings.Count(p.log.String(), "msg=request") - before; lines > 2*most {
				t.Errorf("%d lines in the log, want %d at most", lines, 2*most)
			}
		})
	}
}

// TestA14_Challenge: with ACME the plain side answers tokens of an order, and nothing else that
// it did not answer before; without there is no such address.
func TestA14_Challenge(t *testing.T) {
	t.Parallel()
	without := newPortal(t)
	const token = "x-Q_9"
	testkit.Equal(t, "without ACME", without.onPlain().do("GET", "/.well-known/acme-challenge/"+token, nil).status, 308)
	p := newPortal(t, func(c *web.Config) { c.Challenge = without.db.HTTPChallenge })
	testkit.NoError(t, without.db.AddHTTPChallenge(t.Context(), token, token+".thumb", p.clock.Now().Add(time.Minute)))
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{"GET", token, 200}, {"HEAD", token, 200}, {"POST", token, 404}, {"GET", "other", 404}, {"GET", "", 308},
		{"GET", token + "/", 308}, {"GET", "..%2f" + token, 404}, {"GET", token + "%00", 404}, {"GET", strings.Repeat("a", 300), 404},
	} {
		got := p.onPlain().do(tt.method, "/.well-known/acme-challenge/"+tt.path, nil, "Host", "evil.example")
		if got.status != tt.status || tt.status == 200 && tt.method == "GET" && (string(got.body) != token+".thumb" || got.header.Get("Content-Type") != "application/octet-stream") {
			t.Errorf("%s %q: got %d %q", tt.method, tt.path, got.status, got.body)
		}
	}
	testkit.Equal(t, "over https", p.browser(linux).do("GET", "/.well-known/acme-challenge/"+token, nil).status, 404)
	p.clock.Advance(time.Minute)
	testkit.Equal(t, "an old token", p.onPlain().do("GET", "/.well-known/acme-challenge/"+token, nil).status, 404)
}
