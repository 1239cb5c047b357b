package web_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"certportal/web"
)

// BenchmarkPages measures pages behind a session, store included, without the
// network.
func BenchmarkPages(b *testing.B) {
	p := newPortal(b, func(c *web.Config) { c.Limits.Requests = 1 << 30 })
	browser := p.signedIn("anna", iPhone)
	device := browser.enrol("Anna's iPhone", "ios")
	pages := map[string]string{"login": "/login", "home": "/", "new": "/new?p=ios", "install": device + "/install"}
	for name, path := range pages {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				r := httptest.NewRequest(http.MethodGet, "https://portal"+path, nil)
				if path != "/login" {
					r.Header.Set("Cookie", sessionCookie+"="+browser.cookie(sessionCookie))
				}
				r.Header.Set("Accept-Encoding", "gzip")
				w := httptest.NewRecorder()
				p.server.Handler().ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatalf("got %d", w.Code)
				}
			}
		})
	}
}
