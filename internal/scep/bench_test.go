package scep_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"

	wire "github.com/smallstep/scep"

	"certportal/internal/scep"
	"certportal/internal/test/testkit"
)

// BenchmarkEnrol measures an enrolment from the message to the response, with an EC
// issuing key and a SQLite file on the disk of this checkout. Device keys are
// elliptic because generating thousands of RSA keys is slow; the server's cost differs by
// less than a tenth of a millisecond. Making challenge and message is not measured.
func BenchmarkEnrol(b *testing.B) {
	dir, err := os.MkdirTemp(".", "bench-*")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	h := newFixtureIn(b, dir)
	p := newPhone(b, 0)
	var messages [][]byte
	for range b.N {
		key := testkit.Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(b)
		person := h.add(rand.Text(), 2000+len(messages))
		messages = append(messages, h.message(p, wire.PKCSReq, csr(b, key, h.challenge(person).Secret, x509.CertificateRequest{})).Raw)
	}
	var next atomic.Int32
	b.SetParallelism(4) // phones do not wait for each other, and the disk is slow
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m := messages[next.Add(1)-1]
			w := httptest.NewRecorder()
			h.server.ServeHTTP(w, httptest.NewRequest(http.MethodPost, scep.Path+"?operation=PKIOperation", bytes.NewReader(m)))
			if w.Code != http.StatusOK {
				b.Error(w.Code, w.Body)
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "enrolments/s")
	if got := h.serials(); got != b.N {
		b.Errorf("%d certificates for %d requests", got, b.N)
	}
}
