package web_test

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkCRLHandler measures the way of a list of the size of 10,000 entries through the
// server's handler, without the network: whole, and for clients that have it.
func BenchmarkCRLHandler(b *testing.B) {
	p := newPortal(b)
	p.lists.list.DER = make([]byte, 400_000)
	_, _ = rand.Read(p.lists.list.DER) // never fails
	ask := func(tag string) *discarded {
		w := &discarded{header: http.Header{}}
		r := httptest.NewRequest(http.MethodGet, "/crl/issuing.crl", nil)
		if tag != "" {
			r.Header.Set("If-None-Match", tag)
		}
		p.server.PlainHandler().ServeHTTP(w, r)
		return w
	}
	tag := ask("").header.Get("ETag")
	for name, test := range map[string]struct {
		tag    string
		status int
	}{"whole": {"", http.StatusOK}, "unchanged": {tag, http.StatusNotModified}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if w := ask(test.tag); w.status != test.status {
					b.Fatalf("status %d", w.status)
				}
			}
		})
	}
}
