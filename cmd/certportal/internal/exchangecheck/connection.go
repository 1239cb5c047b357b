package exchangecheck

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"reflect"
	"strings"
	"syscall"
	"time"

	"certportal/internal/escape"
)

// Limits of what is read of one answer. Answers of ActiveSync to OPTIONS have no body, and
// the pages of IIS take a few kilobytes.
const (
	maxAnswer  = 256 << 10
	maxBody    = 64 << 10
	maxInterim = 3   // answers 1xx before the answer
	maxChain   = 10  // certificates that are looked at
	maxShown   = 160 // characters
	userAgent  = "certportal-doctor"
)

// asking says when a server asked for a client certificate.
type asking int

const (
	notAsked asking = iota
	inHandshake
	late // after the request, by renegotiation
)

// question is one request over a connection of its own.
type question struct {
	version   uint16 // of TLS, alone
	host      string // for SNI and the header
	address   string
	method    string
	path      string
	kind, doc string // Content-Type and body
	client    *tls.Certificate

	// verify refuses a server that the roots do not vouch for; without it the chain is
	// only collected. A question with a client certificate always verifies.
	verify bool
}

func (r *run) options(version uint16, client *tls.Certificate) question {
	return question{version: version, host: r.host, address: r.address, method: http.MethodOptions, path: activeSyncPath, client: client}
}

// stage is how far a question got.
type stage int

const (
	dialing stage = iota
	handshaking
	waiting
	answered
)

// exchange is what came of a question.
type exchange struct {
	version uint16 // of TLS
	stage   stage
	err     error // of the stage; nil when answered
	chain   []*x509.Certificate
	tooLong int // number of certificates, when more than maxChain
	asked   asking
	issuers [][]byte // that a client certificate may come from; none: any
	sent    bool     // the client certificate
	misfit  error    // why it was not sent though it was asked for
	answer  answer
}

// connected reports a finished handshake.
func (x exchange) connected() bool { return x.stage > handshaking }

// answer is an answer in HTTP.
type answer struct {
	status int
	sub    int    // IIS's sub-status, when the page shows one; else 0
	code   string // IIS's error code, such as 0x80070032, likewise
	header http.Header
	body   []byte
	at     time.Time
}

// ask opens a connection, asks and reads the answer.
func (r *run) ask(ctx context.Context, q question) (x exchange) {
	x.version = q.version
	ctx, cancel := context.WithTimeout(ctx, r.c.Timeout)
	defer cancel()
	raw, err := r.c.Dial(ctx, "tcp", q.address)
	if err != nil {
		x.err = err
		return x
	}
	defer raw.Close()
	// A deadline alone would not see that ctx was canceled.
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	x.stage = handshaking
	conn := tls.Client(raw, r.config(q, &x))
	if x.err = conn.HandshakeContext(ctx); x.err != nil {
		return x.timedOut(ctx)
	}
	x.stage = waiting
	if x.answer, x.err = speak(conn, q); x.err != nil {
		return x.timedOut(ctx)
	}
	x.stage, x.answer.at = answered, r.c.Now()
	return x
}

// timedOut tells a server that is too slow from one that closed the connection.
func (x exchange) timedOut(ctx context.Context) exchange {
	if ctx.Err() != nil {
		x.err = ctx.Err()
	}
	return x
}

// config collects what the server shows. With a client certificate, or on request, the
// server is verified before the certificate is chosen.
func (r *run) config(q question, x *exchange) *tls.Config {
	c := &tls.Config{
		ServerName: q.host, MinVersion: q.version, MaxVersion: q.version, Time: r.c.Now, RootCAs: r.roots(),
		Renegotiation: tls.RenegotiateOnceAsClient, InsecureSkipVerify: q.client == nil && !q.verify,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error { return x.collect(raw) },
	}
	c.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		x.asked, x.issuers = inHandshake, info.AcceptableCAs
		if x.stage == waiting {
			x.asked = late
		}
		if q.client == nil {
			return &tls.Certificate{}, nil
		}
		if x.misfit = info.SupportsCertificate(q.client); x.misfit != nil {
			return &tls.Certificate{}, nil // as a phone, which finds none that fits
		}
		x.sent = true
		return q.client, nil
	}
	return c
}

func (x *exchange) collect(raw [][]byte) error {
	x.chain = nil
	if len(raw) > maxChain {
		x.tooLong, raw = len(raw), raw[:maxChain]
	}
	for _, der := range raw {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("certificate of the server: %w", err)
		}
		x.chain = append(x.chain, cert)
	}
	return nil
}

// speak writes the request and reads the answer. It follows no redirect.
func speak(conn net.Conn, q question) (answer, error) {
	req, err := http.NewRequest(q.method, "https://"+q.address+q.path, strings.NewReader(q.doc))
	if err != nil {
		return answer{}, err
	}
	req.Close = true
	req.Host = strings.TrimSuffix(q.address, ":443")
	req.Header.Set("User-Agent", userAgent)
	if q.kind != "" {
		req.Header.Set("Content-Type", q.kind)
	}
	if err := req.Write(conn); err != nil {
		return answer{}, err
	}
	limited := &io.LimitedReader{R: conn, N: maxAnswer}
	in := bufio.NewReader(limited)
	for range maxInterim {
		resp, err := http.ReadResponse(in, req)
		if err != nil && limited.N == 0 {
			return answer{}, fmt.Errorf("the head of the answer is longer than %d bytes", maxAnswer)
		}
		if err != nil {
			return answer{}, err
		}
		if resp.StatusCode < 200 {
			continue
		}
		// A body that breaks off is worth what came of it.
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody))
		a := answer{status: resp.StatusCode, header: resp.Header, body: body}
		a.sub, a.code = readPage(a.status, body)
		return a, nil
	}
	return answer{}, errors.New("interim answers only")
}

// alertOf gives the number of the alert (RFC 8446 section 6) with which the server ended
// the connection; -1 when it sent none. The type in crypto/tls is not exported.
func alertOf(err error) int {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" || op.Err == nil {
		return -1
	}
	if v := reflect.ValueOf(op.Err); v.Kind() == reflect.Uint8 {
		return int(v.Uint())
	}
	return -1
}

// cut reports a connection that the server closed or reset without an answer.
func cut(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

func slow(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

// show makes a text of the server fit for one line.
func show(text string) string {
	if runes := []rune(text); len(runes) > maxShown {
		text = string(runes[:maxShown]) + "…"
	}
	return escape.Value(strings.ToValidUTF8(text, "\ufffd"))
}

// name is a distinguished name on one line.
func name(cert *x509.Certificate) string { return show(cert.Subject.String()) }
