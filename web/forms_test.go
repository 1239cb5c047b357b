package web_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

// TestA2_FieldsOfNoForm sends what only the portal decides.
func TestA2_FieldsOfNoForm(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	device := b.enrol("Anna's iPhone", "ios")
	const kind = "application/x-www-form-urlencoded"
	good := "name=x&platform=ios&request=abc"
	key := "name=x&platform=linux&request=abc&csr=" + url.QueryEscape(newRequest(t, newKey(t)))
	tests := []struct{ name, path, kind, body string }{
		{"upn", "/new", kind, good + "&upn=administrator%40example.com"},
		{"sid", "/new", kind, good + "&sid=S-1-5-21-1-2-3-500"},
		{"template", "/new", kind, good + "&template=DomainController"},
		{"days", "/new", kind, good + "&days=3650"},
		{"user", "/new", kind, good + "&user=ben"},
		{"device", "/new", kind, good + "&device=abc"},
		{"csr", "/new", kind, good + "&csr=MIIB"},
		{"repeated name", "/new", kind, good + "&name=y"},
		{"query", "/new?upn=administrator", kind, good},
		{"query of a known field", "/new?name=y", kind, good},
		{"JSON", "/new", "application/json", `{"name":"x","platform":"ios"}`},
		{"multipart", "/new", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nx\r\n--b--\r\n"},
		{"no type", "/new", "", good},
		{"hostile token", "/new", kind, "name=x&platform=ios&request=%27%3B--"},
		{"long token", "/new", kind, "name=x&platform=ios&request=" + strings.Repeat("a", 65)},
		{"upn for a new file", device + "/install", kind, "request=abc&upn=ben"},
		{"person on removal", device + "/remove", kind, "person=ben"},
		{"upn with a key", "/new/key", kind, key + "&upn=administrator%40example.com"},
		{"sid with a key", "/new/key", kind, key + "&sid=S-1-5-21-1-2-3-500"},
		{"template with a key", "/new/key", kind, key + "&template=DomainController"},
		{"days with a key", "/new/key", kind, key + "&days=3650"},
		{"user with a key", "/new/key", kind, key + "&user=ben"},
		{"device with a key", "/new/key", kind, key + "&device=" + strings.TrimPrefix(device, "/devices/")},
		{"two requests", "/new/key", kind, key + "&csr=MIIB"},
		{"query beside a key", "/new/key?platform=linux", kind, key},
		{"key in JSON", "/new/key", "application/json", `{"name":"x","platform":"linux","csr":"-----BEGIN CERTIFICATE REQUEST-----"}`},
		{"key in a file", "/new/key", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"csr\"\r\n\r\nx\r\n--b--\r\n"},
		{"hostile token with a key", "/new/key", kind, strings.Replace(key, "request=abc", "request=%27%3B--", 1)},
		{"role at sign-in", "/login", kind, "username=anna&password=x&role=admin"},
		{"field at sign-out", "/logout", kind, "all=1"},
	}
	reserved := p.entries(audit.CertificateReserved)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := strings.Count(p.log.String(), "request rejected")
			got := b.do(http.MethodPost, tt.path, strings.NewReader(tt.body), "Content-Type", tt.kind)
			if got.status != 400 {
				t.Errorf("got %d, want 400", got.status)
			}
			if after := strings.Count(p.log.String(), "request rejected"); after != before+1 {
				t.Errorf("got %d lines of the rejection in the log, want 1", after-before)
			}
		})
	}
	if got := p.entries(audit.CertificateReserved); got != reserved {
		t.Errorf("got %d serials reserved, want %d", got, reserved)
	}
	if got := p.entries(audit.RequestRejected); got != len(tests) {
		t.Errorf("got %d rejections in the ledger, want %d", got, len(tests))
	}
	if got := p.certificates("anna"); got[portal.Issued] != 1 || b.get("/").status != 200 {
		t.Errorf("got %v, want everything as before", got)
	}
}

// endless is a body without end, as chunks.
type endless struct{ read atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	if e.read.Add(int64(len(p))) > 64<<20 {
		return 0, io.EOF
	}
	return len(p), nil
}

func TestA17_LargeBodies(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	const kind = "application/x-www-form-urlencoded"
	for _, path := range []string{"/login", "/new", "/new/key", "/logout"} {
		got := b.do(http.MethodPost, path, strings.NewReader("name="+strings.Repeat("a", 70_000)), "Content-Type", kind)
		if got.status != 413 {
			t.Errorf("announced body to %s: got %d, want 413", path, got.status)
		}
		body := &endless{}
		answer, err := b.try(http.MethodPost, path, body, "Content-Type", kind)
		// The server may cut the line before the client sent all: that is a no too.
		if err == nil && answer.status != 413 {
			t.Errorf("chunked body to %s: got %d, want 413", path, answer.status)
		}
		if n := body.read.Load(); n >= 16<<20 {
			t.Errorf("chunked body to %s: the portal took %d bytes", path, n)
		}
	}
	// A body where none belongs is not read either.
	if got := b.do(http.MethodPost, "/nowhere", strings.NewReader(strings.Repeat("a", 70_000))); got.status != 413 {
		t.Errorf("body to nowhere: got %d, want 413", got.status)
	}
}
