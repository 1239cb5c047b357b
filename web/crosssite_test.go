package web_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

// route is a line of the route table.
type route struct{ method, pattern string }

// routes reads the table out of the handler, so that a route added later cannot
// be forgotten here.
func (p *testPortal) routes() []route {
	p.t.Helper()
	var all []route
	err := chi.Walk(p.server.Handler().(chi.Routes),
		func(method, pattern string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
			all = append(all, route{method, pattern})
			return nil
		})
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}

// path fills a pattern with what exists.
func (r route) path(device string) string {
	id := strings.TrimPrefix(device, "/devices/")
	return strings.NewReplacer("{id}", id, "{token}", strings.Repeat("A", 43), "{file}", "x.p12",
		"{anchor}", "root", "{issuer}", "issuing", "{name}", "none.css", "{code}", "22222222",
		"{person}", "id-of-anna", "{invitation}", "none").Replace(r.pattern)
}

func TestA9_CrossSitePosts(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	device := b.enrol("Anna's iPhone", "ios")
	before, reserved := p.certificates("anna"), p.entries(audit.CertificateReserved)
	variants := [][]string{
		{"Origin", "https://evil.example"},
		{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Origin", "null"},
		{"Origin", strings.Replace(b.base, "https://", "https://www.", 1), "Sec-Fetch-Site", "same-site"},
		{"Origin", "https://evil.example", "X-HTTP-Method-Override", "GET"},
	}
	posts := 0
	for _, r := range p.routes() {
		if r.method != http.MethodPost {
			continue
		}
		posts++
		for _, headers := range variants {
			headers = append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)
			got := b.do(http.MethodPost, r.path(device), strings.NewReader(""), headers...)
			if got.status != 403 {
				t.Errorf("POST %s with %q: got %d, want 403", r.pattern, headers[2:], got.status)
			}
		}
	}
	known := 0
	for name := range gates() {
		if strings.HasPrefix(name, http.MethodPost) {
			known++
		}
	}
	if posts != known {
		t.Errorf("got %d POST routes, want the %d of the matrix", posts, known)
	}
	if got := p.certificates("anna"); got[portal.Issued] != before[portal.Issued] || p.entries(audit.CertificateReserved) != reserved {
		t.Errorf("certificates: got %v, want %v", got, before)
	}
	if b.get("/").status != 200 {
		t.Error("the session ended")
	}
}

func TestA9_PostsNeedSession(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	device := p.signedIn("anna", iPhone).enrol("Anna's iPhone", "ios")
	open := gates()
	for _, r := range p.routes() {
		if r.method != http.MethodPost || open["POST "+r.pattern].anyone {
			continue
		}
		got := p.browser(iPhone).post(r.path(device))
		if got.status != 303 || !strings.HasPrefix(got.location(), "/login") {
			t.Errorf("POST %s: got %d to %q, want the sign-in page", r.pattern, got.status, got.location())
		}
	}
	if got := p.certificates("anna"); got[portal.Issued] != 1 {
		t.Errorf("certificates: got %v, want the one issued", got)
	}
}

// TestA9_GetChangesNothing asks for every page by GET and HEAD, and for those
// that change something with their fields in the query. That staff pages were
// refused is recorded, and nothing else.
func TestA9_GetChangesNothing(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	device := b.enrol("Anna's iPhone", "ios")
	entries := func() int {
		head, err := p.db.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return int(head.Seq) - p.entries(audit.AccessRefused)
	}
	before := entries()
	for _, r := range p.routes() {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			got := b.do(method, r.path(device)+"?name=x&platform=ios&request=abc", nil)
			if r.pattern == "/logout" && got.status != 405 {
				t.Errorf("%s %s: got %d, want 405", method, r.pattern, got.status)
			}
			if got.status >= 500 {
				t.Errorf("%s %s: got %d", method, r.pattern, got.status)
			}
		}
	}
	if got := entries(); got != before {
		t.Errorf("got %d ledger entries, want %d", got, before)
	}
	if b.get("/").status != 200 {
		t.Error("the session ended")
	}
}
