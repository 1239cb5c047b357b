package app

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// BenchmarkCheckPage measures visits of the check page with a certificate, each over a
// connection of its own with a full handshake, by eight clients on the same cores; and the
// same with a handler that answers nothing, which is the handshake alone.
func BenchmarkCheckPage(b *testing.B) {
	environ := fixture.FastCA()
	environ["CERTPORTAL_CA_ISSUING_KEY"], environ["CERTPORTAL_TRUSTED_PROXIES"] = string(ca.RSA3072), "127.0.0.1/32"
	p := testkit.Must(openWith(b, b.TempDir(), environ))(b)
	show := p.phonePair(b)
	page, none := p.checkServer(), p.server(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }))
	none.TLSConfig = p.checkTLS()
	at := p.checkPort.Addr().String()
	alone := testkit.Must(net.Listen("tcp", "127.0.0.1:0"))(b)
	var serving sync.WaitGroup
	serving.Go(func() { _ = page.ServeTLS(p.checkPort, "", "") })
	serving.Go(func() { _ = none.ServeTLS(alone, "", "") })
	b.Cleanup(func() { page.Close(); none.Close(); serving.Wait() })

	visits(b, at, show, 1, `data-verdict="works"`) // the first is recorded
	for _, clients := range []int{8, 1} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			whole, bare := visits(b, at, show, clients, `data-verdict="works"`), visits(b, alone.Addr().String(), show, clients, "")
			for _, of := range []struct {
				name string
				all  []time.Duration
			}{{"", whole}, {"handshake-", bare}} {
				slices.Sort(of.all)
				b.ReportMetric(of.all[len(of.all)/2].Seconds()*1000, of.name+"p50-ms")
				b.ReportMetric(of.all[len(of.all)*99/100].Seconds()*1000, of.name+"p99-ms")
			}
		})
	}
}

// phonePair enrols a key of RSA 2048, as phones have, and gives it with its certificate.
func (p *App) phonePair(b *testing.B) *tls.Certificate {
	b.Helper()
	anna := testkit.Must(p.Builtin.Add(b.Context(), directory.NewAccount{
		Login: "anna", UPN: "anna@corp.example", Password: "correct horse",
	}, audit.Entry{At: p.Now(), Actor: "test"}))(b)
	key := testkit.Must(rsa.GenerateKey(rand.Reader, 2048))(b)
	done := testkit.Must(p.Registrar.EnrollKey(b.Context(), enroll.Request{
		By: portal.Actor{Person: anna.ID}, Name: "phone", Platform: portal.Android, Idempotent: "x",
	}, key.Public()))(b)
	der := testkit.Must(p.DB.Certificate(b.Context(), done.Serial))(b).DER
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// visits makes b.N visits, at most so many at a time, and gives how long each took. It
// reports how many a second, and the processor time of each, the client's included.
func visits(b *testing.B, at string, show *tls.Certificate, clients int, want string) []time.Duration {
	b.Helper()
	var left, visitor atomic.Int64
	left.Store(int64(b.N))
	took := make([]time.Duration, b.N)
	var all sync.WaitGroup
	began, spent := time.Now(), processorTime(b)
	for range clients {
		all.Go(func() {
			for i := left.Add(-1); i >= 0; i = left.Add(-1) {
				start := time.Now()
				body, err := visit(b.Context(), at, show, visitor.Add(1))
				if took[i] = time.Since(start); err != nil || !bytes.Contains(body, []byte(want)) {
					b.Errorf("%v: %s", err, body)
				}
			}
		})
	}
	all.Wait()
	prefix := ""
	if want == "" {
		prefix = "handshake-"
	}
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), prefix+"per-s")
	b.ReportMetric((processorTime(b)-spent).Seconds()*1000/float64(b.N), prefix+"cpu-ms")
	return took
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	testkit.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// visit asks for the page by a client of an address of its own, as pages are limited per address.
func visit(ctx context.Context, at string, show *tls.Certificate, visitor int64) ([]byte, error) {
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return show, nil }}}
	conn, err := dialer.DialContext(ctx, "tcp", at)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	address := fmt.Sprintf("10.%d.%d.%d", byte(visitor>>16), byte(visitor>>8), byte(visitor))
	if _, err := fmt.Fprintf(conn, "GET /test HTTP/1.1\r\nHost: check\r\nX-Forwarded-For: %s\r\n\r\n", address); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}
