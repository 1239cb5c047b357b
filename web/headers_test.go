package web_test

import (
	"net/http"
	"strings"
	"testing"

	"certportal/web"
)

// TestA16_HeadersEverywhere asks for every route, signed in and not, and for
// every kind of error.
func TestA16_HeadersEverywhere(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	device := b.enrol("Anna's iPhone", "ios")
	href, _ := b.download(device)
	type request struct{ method, path string }
	var all []request
	for _, r := range p.routes() {
		path := r.path(device)
		if strings.HasPrefix(r.pattern, "/d/") {
			path = href
		}
		all = append(all, request{r.method, path})
	}
	all = append(all, request{"GET", "/nowhere"}, request{"POST", "/nowhere"}, request{"DELETE", "/"},
		request{"GET", "//evil.example/"}, request{"GET", "/static/none.css"}, request{"GET", "/d/x/y.p12"},
		request{"OPTIONS", "/login"}, request{"FROB", "/login"}, request{"GET", "/devices/none"})
	for _, r := range all {
		for who, agent := range map[string]*browser{"anna": b, "stranger": p.browser(linux)} {
			if r.path == "/logout" {
				agent = p.signedIn("ben", linux)
			}
			checkHeaders(t, who+" "+r.method+" "+r.path, agent.do(r.method, r.path, nil))
		}
	}
}

func checkHeaders(t *testing.T, what string, got answer) {
	t.Helper()
	want := map[string]string{
		"Strict-Transport-Security": "max-age=31536000",
		"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; " +
			"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
		"Cross-Origin-Opener-Policy": "same-origin", "X-Robots-Tag": "noindex",
		"Server": "", "Www-Authenticate": "", "X-Powered-By": "",
	}
	for name, value := range want {
		if got.header.Get(name) != value {
			t.Errorf("%s: %s: got %q, want %q", what, name, got.header.Get(name), value)
		}
	}
	if len(got.header.Get("X-Request-Id")) != 8 {
		t.Errorf("%s: X-Request-Id: got %q", what, got.header.Get("X-Request-Id"))
	}
	kind, keep := got.header.Get("Content-Type"), got.header.Get("Cache-Control")
	if strings.HasPrefix(kind, "text/") && !strings.HasSuffix(kind, "charset=utf-8") {
		t.Errorf("%s: Content-Type: got %q, want a charset", what, kind)
	}
	if strings.HasPrefix(kind, "text/html") && keep != "no-store" {
		t.Errorf("%s: Cache-Control: got %q, want no-store on a page", what, keep)
	}
	resource := got.header.Get("Cross-Origin-Resource-Policy")
	public := strings.HasPrefix(keep, "public") && strings.HasPrefix(kind, "application/")
	if public != (resource == "cross-origin") && resource != "same-origin" && keep != "public, max-age=3600" {
		t.Errorf("%s: Cross-Origin-Resource-Policy: got %q", what, resource)
	}
}

func TestCookies(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.browser(iPhone)
	signIn := b.post("/login", "username", "anna", "password", password)
	language := b.get("/login?lang=de")
	for _, a := range []answer{signIn, b.get("/help?lang=de")} {
		for _, line := range a.header.Values("Set-Cookie") {
			cookie, err := http.ParseSetCookie(line)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(cookie.Name, "__Host-") || !cookie.Secure || !cookie.HttpOnly ||
				cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Domain != "" || len(line) > 4096 {
				t.Errorf("got %q", line)
			}
			if cookie.Name == sessionCookie && (cookie.MaxAge != 0 || !cookie.Expires.IsZero() || len(cookie.Value) != 43) {
				t.Errorf("session: got %q, want 43 characters until the browser closes", line)
			}
		}
	}
	if language.status != 303 {
		t.Errorf("sign-in page when signed in: got %d", language.status)
	}
	for _, path := range []string{"/", "/help", "/ca", "/ca/root.cer", "/crl/issuing.crl", "/nowhere", "/login?lang=xx"} {
		if got := p.browser(linux).get(path).header.Values("Set-Cookie"); len(got) != 0 {
			t.Errorf("%s sets %q for a stranger", path, got)
		}
	}
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.browser(linux)
	lang := func(a answer) string {
		n := a.node(isHTML)
		if n == nil {
			return ""
		}
		return attr(n, "lang")
	}
	if got := lang(b.get("/login", "Accept-Language", "de-AT,de;q=0.9")); got != "de" {
		t.Errorf("Accept-Language: got %q, want de", got)
	}
	if got := lang(b.get("/login?lang=zh-Hans", "Accept-Language", "de")); got != "zh-Hans" {
		t.Errorf("?lang=: got %q, want zh-Hans", got)
	}
	if got := lang(b.get("/help", "Accept-Language", "de")); got != "zh-Hans" {
		t.Errorf("next page: got %q, want the choice remembered", got)
	}
	if got := lang(b.get("/nowhere")); got != "zh-Hans" {
		t.Errorf("error page: got %q, want zh-Hans", got)
	}
}

func TestGzip(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	for _, path := range []string{"/login", "/crl/issuing.crl"} {
		small := p.browser(linux).get(path, "Accept-Encoding", "gzip")
		large := p.browser(linux).get(path, "Accept-Encoding", "identity")
		if small.header.Get("Content-Encoding") != "gzip" || large.header.Get("Content-Encoding") != "" {
			t.Errorf("%s: got encodings %q and %q", path, small.header.Get("Content-Encoding"), large.header.Get("Content-Encoding"))
		}
		if len(small.body) >= len(large.body) {
			t.Errorf("%s: got %d bytes compressed, %d not", path, len(small.body), len(large.body))
		}
		if small.header.Get("ETag") == large.header.Get("ETag") && small.header.Get("ETag") != "" {
			t.Errorf("%s: both representations have the tag %s", path, small.header.Get("ETag"))
		}
	}
}

func TestMethodNotAllowed(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	tests := []struct{ method, path, allow string }{
		{"DELETE", "/login", "GET, HEAD, POST"},
		{"GET", "/logout", "POST"},
		{"POST", "/help", "GET, HEAD"},
		{"PUT", "/ca/root.cer", "GET, HEAD"},
	}
	for _, tt := range tests {
		got := p.browser(linux).do(tt.method, tt.path, nil)
		if got.status != 405 || got.header.Get("Allow") != tt.allow {
			t.Errorf("%s %s: got %d, Allow %q, want 405, %q", tt.method, tt.path, got.status, got.header.Get("Allow"), tt.allow)
		}
	}
	if got := p.browser(linux).do("FROB", "/nowhere", nil); got.status != 404 {
		t.Errorf("unknown method nowhere: got %d, want 404", got.status)
	}
}

func TestRequestsPerAddress(t *testing.T) {
	t.Parallel()
	p := newPortal(t, func(c *web.Config) { c.Limits.Requests = 3 })
	b := p.browser(linux)
	for range 3 {
		b.get("/help")
	}
	if got := b.get("/help"); got.status != 429 {
		t.Errorf("page: got %d, want 429", got.status)
	}
	for range 5 {
		if got := b.get("/crl/issuing.crl"); got.status != 200 {
			t.Errorf("list: got %d, want 200: phones must always get it", got.status)
		}
	}
}

// TestRefusalsPerAddress holds that what is refused at the door counts too: each
// refusal is a line in the log.
func TestRefusalsPerAddress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, method, body string
		headers            []string
		status             int
	}{
		{"cross-site", http.MethodPost, "", []string{"Origin", "https://evil.example"}, 403},
		{"oversized", http.MethodPost, strings.Repeat("a", 70_000), nil, 413},
		{"oversized, other method", http.MethodDelete, strings.Repeat("a", 70_000), nil, 413},
		{"oversized reading", http.MethodGet, strings.Repeat("a", 70_000), nil, 413},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPortal(t, func(c *web.Config) { c.Limits.Requests = 3 })
			b := p.browser(linux)
			for range 3 {
				if got := b.do(tt.method, "/login", strings.NewReader(tt.body), tt.headers...); got.status != tt.status {
					t.Fatalf("got %d, want %d", got.status, tt.status)
				}
			}
			if got := b.do(tt.method, "/login", strings.NewReader(tt.body), tt.headers...); got.status != 429 {
				t.Errorf("fourth: got %d, want 429", got.status)
			}
		})
	}
}

// TestPostsCountOnce counts a form that passes both places where requests are
// counted.
func TestPostsCountOnce(t *testing.T) {
	t.Parallel()
	p := newPortal(t, func(c *web.Config) { c.Limits.Requests = 3 })
	b := p.browser(linux)
	for _, want := range []int{422, 422, 422, 429} {
		if got := b.post("/login", "username", "", "password", ""); got.status != want {
			t.Errorf("got %d, want %d", got.status, want)
		}
	}
	if got := b.get("/help"); got.status != 429 {
		t.Errorf("page: got %d, want 429: reading and acting share one count", got.status)
	}
}

func TestDownloadsPerAddress(t *testing.T) {
	t.Parallel()
	p := newPortal(t, func(c *web.Config) { c.Limits.Downloads = 3 })
	b := p.browser(linux)
	path := "/d/" + strings.Repeat("A", 43) + "/x.p12"
	for _, method := range []string{"GET", "HEAD", "GET"} {
		if got := b.do(method, path, nil); got.status != 404 {
			t.Errorf("%s: got %d, want 404", method, got.status)
		}
	}
	if got := b.get(path); got.status != 429 || got.header.Get("Retry-After") == "" {
		t.Errorf("got %d, want 429", got.status)
	}
}

// TestPanic answers a fault of the program with a page and a line in the log.
func TestPanic(t *testing.T) {
	t.Parallel()
	p := newPortal(t, func(c *web.Config) { c.CRLs = nilLists{} })
	got := p.browser(linux).get("/crl/issuing.crl")
	if got.status != 500 || got.header.Get("X-Request-Id") == "" {
		t.Errorf("got %d, want 500", got.status)
	}
	ref := got.header.Get("X-Request-Id")
	if !strings.Contains(got.text(), ref) {
		t.Errorf("the page does not name the reference %s: %s", ref, got.text())
	}
	if log := p.log.String(); !strings.Contains(log, "panic in handler") || strings.Count(log, ref) != 2 {
		t.Errorf("log: got %s", log)
	}
}
