package web_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/test/testkit/fixture"
)

// questions are one question in the forms that are measured, as they go over the wire.
type questions struct {
	cert             *x509.Certificate
	post, get, nonce []byte // whole requests of HTTP
	der, derNonce    []byte
}

func (p *testPortal) questions() questions {
	q := questions{cert: p.someCertificate()}
	q.der = p.question(q.cert)
	q.derNonce = withNonce(p.t, q.der)
	q.get = []byte("GET /ocsp/" + url.QueryEscape(base64.StdEncoding.EncodeToString(q.der)) + " HTTP/1.1\r\nHost: pki\r\n\r\n")
	q.post, q.nonce = overHTTP(q.der, "/ocsp"), overHTTP(q.derNonce, "/ocsp")
	return q
}

func overHTTP(body []byte, path string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: pki\r\nContent-Type: application/ocsp-request\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// BenchmarkOCSPHandler measures the way of a request through the server's handler,
// without the network.
func BenchmarkOCSPHandler(b *testing.B) {
	p := newPortal(b)
	q := p.questions()
	for name, body := range map[string][]byte{"post": q.der, "get": nil, "nonce": q.derNonce} {
		method, path := http.MethodPost, "/ocsp"
		if body == nil {
			method, path = http.MethodGet, "/ocsp/"+url.QueryEscape(base64.StdEncoding.EncodeToString(q.der))
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := &discarded{header: http.Header{}}
				r := httptest.NewRequest(method, path, bytes.NewReader(body))
				p.server.PlainHandler().ServeHTTP(w, r)
				if w.status != http.StatusOK || w.size < 100 {
					b.Fatalf("got %d with %d octets", w.status, w.size)
				}
			}
		})
	}
}

// discarded is a response writer that counts bytes only.
type discarded struct {
	header       http.Header
	status, size int
}

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) WriteHeader(status int)      { d.status = status }
func (d *discarded) Write(b []byte) (int, error) { d.size += len(b); return len(b), nil }

// BenchmarkOCSPLoad measures answers over connections of TCP that stay open, client
// and server on the same cores: 50 connections for what is kept, as many with a nonce.
func BenchmarkOCSPLoad(b *testing.B) {
	p := newPortal(b)
	q := p.questions()
	address := strings.TrimPrefix(p.plain.URL, "http://")
	for _, test := range []struct {
		name    string
		request []byte
	}{{"post", q.post}, {"get", q.get}, {"nonce", q.nonce}} {
		b.Run(test.name, func(b *testing.B) {
			load(b, address, test.request, 50, b.N, true).report(b, "")
		})
	}
}

// BenchmarkOCSPBesideOpenSSL asks the portal and then "openssl ocsp" as a responder.
// OpenSSL closes the connection after each answer; the portal is asked in the same
// way, and once more over connections that stay open, as mail servers do.
func BenchmarkOCSPBesideOpenSSL(b *testing.B) {
	p := newPortal(b)
	q := p.questions()
	other := p.opensslResponder(q.cert)
	address := strings.TrimPrefix(p.plain.URL, "http://")
	for _, test := range []struct {
		name string
		der  []byte
	}{{"kept", q.der}, {"nonce", q.derNonce}} {
		b.Run(test.name, func(b *testing.B) {
			ours := load(b, address, overHTTP(test.der, "/ocsp"), 8, b.N, false)
			theirs := load(b, other, overHTTP(test.der, "/"), 8, b.N, false)
			alive := load(b, address, overHTTP(test.der, "/ocsp"), 8, b.N, true)
			ours.report(b, "")
			theirs.report(b, "openssl-")
			b.ReportMetric(ours.rate()/theirs.rate(), "ratio")
			b.ReportMetric(alive.rate()/theirs.rate(), "ratio-kept-alive")
		})
	}
}

// measured is how long each of the answers took, and all together.
type measured struct {
	each []time.Duration
	all  time.Duration
}

func (m measured) rate() float64 { return float64(len(m.each)) / m.all.Seconds() }

func (m measured) report(b *testing.B, whose string) {
	slices.Sort(m.each)
	b.ReportMetric(m.rate(), whose+"answers/s")
	b.ReportMetric(float64(m.each[len(m.each)*99/100].Microseconds())/1000, whose+"p99-ms")
}

// load asks n times over so many connections.
func load(b *testing.B, address string, request []byte, connections, n int, alive bool) measured {
	b.Helper()
	m := measured{each: make([]time.Duration, n)}
	var next atomic.Int64
	var clients sync.WaitGroup
	began := time.Now()
	for range min(connections, n) {
		clients.Go(func() {
			var c *asker
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				start := time.Now()
				var err error
				if c == nil || !alive {
					c, err = newAsker(address)
				}
				if err == nil {
					err = c.ask(request)
				}
				if err != nil {
					b.Errorf("request %d: %v", i, err)
					return
				}
				m.each[i] = time.Since(start)
				if !alive {
					c.conn.Close()
				}
			}
			if c != nil {
				c.conn.Close()
			}
		})
	}
	clients.Wait()
	m.all = time.Since(began)
	return m
}

// asker is a client that does as little as it can: what it takes is taken from the
// server, on the same cores.
type asker struct {
	conn net.Conn
	in   *bufio.Reader
}

func newAsker(address string) (*asker, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &asker{conn, bufio.NewReader(conn)}, nil
}

func (a *asker) ask(request []byte) error {
	if _, err := a.conn.Write(request); err != nil {
		return err
	}
	length := -1
	for first := true; ; first = false {
		line, err := a.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.Contains(line, []byte(" 200 ")) {
			return fmt.Errorf("got %q", line)
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(textproto.TrimString(string(value))); err != nil {
				return err
			}
		}
		if len(line) <= 2 {
			break
		}
	}
	if length < 100 {
		return fmt.Errorf("got an answer of %d octets", length)
	}
	_, err := a.in.Discard(length)
	return err
}

// opensslResponder runs "openssl ocsp" with a signer of the same CA and kind, which
// knows the one certificate, and gives its address.
func (p *testPortal) opensslResponder(cert *x509.Certificate) string {
	p.t.Helper()
	program, err := exec.LookPath("openssl")
	if err != nil {
		p.t.Skip("openssl is not installed: nothing to measure beside")
	}
	dir := p.t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			p.t.Fatal(err)
		}
		return path
	}
	signer, key := p.responderFor(p.t)
	index := fmt.Sprintf("V\t%s\t\t%X\tunknown\t/CN=x\n", cert.NotAfter.UTC().Format("060102150405Z"), cert.SerialNumber)
	ctx, cancel := context.WithCancel(context.Background())
	p.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program, "ocsp", "-port", "0", "-index", write("index.txt", []byte(index)),
		"-CA", write("ca.pem", ca.PEM(p.issuing)), "-rsigner", write("signer.pem", ca.PEM(signer)), "-rkey", write("key.pem", key),
		"-ndays", "1", "-ignore_err")
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	lines := bufio.NewReader(out)
	address, err := acceptedAt(lines)
	if err != nil {
		p.t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	return address
}

// acceptedAt reads on which port openssl listens.
func acceptedAt(lines *bufio.Reader) (string, error) {
	var said []string
	for {
		line, err := lines.ReadString('\n')
		said = append(said, line)
		if err != nil {
			return "", errors.Join(fmt.Errorf("openssl says %q", said), err)
		}
		if rest, ok := strings.CutPrefix(line, "ACCEPT "); ok {
			host, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
			return "127.0.0.1" + host[strings.LastIndex(host, ":"):], nil
		}
	}
}

// responderFor makes a signer like that of the portal, with its key in PEM.
func (p *testPortal) responderFor(t testing.TB) (*x509.Certificate, []byte) {
	t.Helper()
	h := fixture.Hierarchy(t, ca.ECP256)
	issuer, err := ca.NewIssuer(ca.IssuerConfig{Certificate: h.Issuing, Signer: h.IssuingKey})
	if err != nil {
		t.Fatal(err)
	}
	key, err := ca.ECP256.Generate()
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := issuer.PrepareOwn(ca.ResponderConfig{Name: "openssl"}, key.Public(), p.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := issuer.Sign(prepared)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
