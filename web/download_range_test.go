package web_test

import (
	"context"
	"net/http"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// TestPiecesDeliver fetches the file in ranges, as download managers do, and runs the
// sweep: a client that may have the whole file keeps the certificate.
func TestPiecesDeliver(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		method string
		ranges []string
		status portal.Status
	}{
		{"two pieces", http.MethodGet, []string{"bytes=0-999", "bytes=1000-"}, portal.Issued},
		{"last piece first", http.MethodGet, []string{"bytes=1000-999999", "bytes=0-999"}, portal.Issued},
		{"counted from the end", http.MethodGet, []string{"bytes=0-999", "bytes=-500"}, portal.Issued},
		{"beginning alone", http.MethodGet, []string{"bytes=0-999"}, portal.Issued},
		{"only asked for", http.MethodHead, []string{"bytes=0-999", "bytes=1000-"}, portal.Revoked},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFile(t, "ios")
			for _, value := range tt.ranges {
				if got := f.anonymous.do(tt.method, f.href, nil, "Range", value); got.status != 206 {
					t.Fatalf("%s: got %d, want 206", value, got.status)
				}
			}
			if got := f.readsLeft(); got != enroll.MaxReads {
				t.Errorf("got %d reads left, want none counted", got)
			}
			delivered := !f.certificate().Delivered.IsZero()
			f.sweep()
			if got := f.certificate().Status; got != tt.status || delivered != (tt.status == portal.Issued) {
				t.Errorf("after the sweep: got %s, delivered %v, want %s", got, delivered, tt.status)
			}
		})
	}
}

// TestPieceAfterTheEnd holds that a piece is refused as the whole is.
func TestPieceAfterTheEnd(t *testing.T) {
	t.Parallel()
	f := newFile(t, "ios")
	etag := f.anonymous.do(http.MethodHead, f.href, nil).header.Get("ETag")
	if got := f.anonymous.get(f.href, "Range", "bytes=10-", "If-Match", `"other"`, "If-None-Match", etag); got.status != 206 {
		t.Errorf("piece of this file: got %d, want 206", got.status)
	}
	if got := f.entries(audit.PickupRead); got != 1 {
		t.Errorf("got %d reads recorded, want the piece", got)
	}
	f.owner.post(f.device + "/remove")
	got := f.anonymous.get(f.href, "Range", "bytes=10-")
	if got.status != 410 || got.header.Get("Content-Disposition") != "" {
		t.Errorf("after removing: got %d, want 410 as a page", got.status)
	}
}

// brokenWriter is a connection that ends after some bytes.
type brokenWriter struct {
	header http.Header
	left   int
}

func (b *brokenWriter) Header() http.Header { return b.header }
func (b *brokenWriter) WriteHeader(int)     {}
func (b *brokenWriter) Write(p []byte) (int, error) {
	if len(p) > b.left {
		return b.left, context.Canceled
	}
	b.left -= len(p)
	return len(p), nil
}

// TestBrokenRead breaks the line many times: the reads are given back.
func TestBrokenRead(t *testing.T) {
	t.Parallel()
	f := newFile(t, "ios")
	for range 3 * enroll.MaxReads {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://portal"+f.href, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.RemoteAddr = "192.0.2.1:1234"
		f.server.Handler().ServeHTTP(&brokenWriter{header: http.Header{}, left: 100}, r)
	}
	if got := f.readsLeft(); got != enroll.MaxReads {
		t.Errorf("got %d reads left, want none counted", got)
	}
	if !f.certificate().Delivered.IsZero() {
		t.Error("a certificate whose file never arrived is marked as delivered")
	}
	// A part of the key was sent each time.
	if got := f.entries(audit.PickupRead); got != 3*enroll.MaxReads {
		t.Errorf("ledger: got %d reads, want every try", got)
	}
	if got := f.anonymous.get(f.href); got.status != 200 {
		t.Errorf("after that: got %d, want the file", got.status)
	}
}

// closingWriter is a connection whose other end goes away at the flush.
type closingWriter struct {
	brokenWriter
	leave func() // ends the request
	err   error  // of the flush
}

func (c *closingWriter) Flush() { _ = c.FlushError() }
func (c *closingWriter) FlushError() error {
	c.leave()
	return c.err
}

// TestClosedBehindTheLastByte holds that the flush decides whether the file
// arrived, not what the other end does after it.
func TestClosedBehindTheLastByte(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		err       error
		reads     int
		delivered bool
	}{
		{"flushed", nil, 1, true},
		{"line down", context.Canceled, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFile(t, "ios")
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://portal"+f.href, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.RemoteAddr = "192.0.2.1:1234"
			w := &closingWriter{brokenWriter: brokenWriter{header: http.Header{}, left: 1 << 20}, leave: leave, err: tt.err}
			f.server.Handler().ServeHTTP(w, r)
			if got := enroll.MaxReads - f.readsLeft(); got != tt.reads {
				t.Errorf("got %d reads counted, want %d", got, tt.reads)
			}
			if got := !f.certificate().Delivered.IsZero(); got != tt.delivered {
				t.Errorf("delivered: got %v, want %v", got, tt.delivered)
			}
		})
	}
}
