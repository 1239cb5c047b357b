// Package est gets certificates by Enrollment over Secure Transport (RFC 7030, RFC 8951),
// which many CAs and registration authorities offer.
//
// EST has no request ids. A request that waits for approval is asked for by sending it
// again: the server must recognise it (RFC 7030 section 4.2.3). So the ID of a waiting
// request holds the whole certificate request.
//
// EST cannot revoke. simplereenroll is not used: it needs the person's old key for TLS,
// which the portal does not keep.
package est

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/smallstep/pkcs7"

	"certportal/ca/upstream"
	"certportal/ca/upstream/wire"
)

// Config says where the server is. The portal is known to it by a TLS client certificate,
// by user name and password, or by both.
type Config struct {
	// Wire has the address of the server without path: that is in RFC 7030 section 3.2.2.
	Wire wire.Config

	Label string // Optional: of one of several CAs, as in /.well-known/est/LABEL/

	User     string                 // Optional: for HTTP Basic
	Password func() (string, error) // read for each request; required with User

	Now func() time.Time // Optional: default time.Now
}

// CA is the server of an EST service.
type CA struct {
	client   *wire.Client
	path     string
	user     string
	password func() (string, error)
	now      func() time.Time
	guard    *upstream.Guard // of user
}

var _ upstream.CA = (*CA)(nil)

// New checks the configuration. It sends nothing.
func New(c Config) (*CA, error) {
	client, err := wire.New(c.Wire)
	switch {
	case err != nil:
		return nil, err
	case (c.User == "") != (c.Password == nil):
		return nil, errors.New("want user name and password, or neither")
	case strings.Contains(c.User, ":"):
		return nil, errors.New("user name has a colon, which HTTP Basic cannot send (RFC 7617)")
	case c.User == "" && c.Wire.Certificate == nil:
		return nil, errors.New("want a TLS client certificate, or user name and password")
	}
	path := "/.well-known/est/"
	if c.Label != "" {
		path += url.PathEscape(c.Label) + "/"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &CA{client: client, path: path, user: c.User, password: c.Password, now: c.Now, guard: upstream.NewGuard(c.Now)}, nil
}

// idPrefix marks the form of the IDs of this package.
const idPrefix = "pkcs10:"

// Submit implements [upstream.CA]. The ID of a request that waits is text of about 2 KB.
func (c *CA) Submit(ctx context.Context, r upstream.Request) (upstream.Answer, error) {
	return c.enroll(ctx, r.CSR)
}

// Poll implements [upstream.CA] by sending the request again, as RFC 7030 demands. A server
// that forgets a request as soon as it handed the certificate out takes a poll after a lost
// answer for a new request: then a second certificate for the same key can exist. An answer
// of a proxy, or of a server that cannot work now, says nothing about the request.
func (c *CA) Poll(ctx context.Context, id string) (upstream.Answer, error) {
	text, is := strings.CutPrefix(id, idPrefix)
	csr, err := base64.RawURLEncoding.DecodeString(text)
	if !is || err != nil {
		return upstream.Answer{}, errors.New("id is none of a request by EST")
	}
	answer, err := c.enroll(ctx, csr)
	return answer, wire.OfPoll(err) // a server denies with status 400 (RFC 7030 section 4.2.3)
}

// IssuesByPoll implements [upstream.IssuesByPoll].
func (c *CA) IssuesByPoll() bool { return true }

func (c *CA) enroll(ctx context.Context, der []byte) (upstream.Answer, error) {
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return upstream.Answer{}, fmt.Errorf("reading certificate request: %w: %w", upstream.ErrUnsent, err)
	}
	password, header, err := c.header()
	if err != nil {
		return upstream.Answer{}, fmt.Errorf("%w: %w", upstream.ErrUnsent, err)
	}
	if c.user == "" {
		return c.enrollAs(ctx, header, csr)
	}
	var answer upstream.Answer
	err = c.guard.Try(ctx, password, func() (err error) {
		answer, err = c.enrollAs(ctx, header, csr)
		return err
	})
	return answer, err
}

func (c *CA) enrollAs(ctx context.Context, header http.Header, csr *x509.CertificateRequest) (upstream.Answer, error) {
	header.Set("Content-Type", "application/pkcs10")
	// RFC 8951 section 3.1 abolished the field, but servers of RFC 7030 need it.
	header.Set("Content-Transfer-Encoding", "base64")
	reply, err := c.client.Do(ctx, wire.Call{
		Method: http.MethodPost, Path: c.path + "simpleenroll", Header: header, Body: []byte(base64.StdEncoding.EncodeToString(csr.Raw)),
	})
	if err != nil {
		return upstream.Answer{}, err
	}
	switch reply.Status {
	case http.StatusOK:
		return parseEnrolled(reply, csr.PublicKey)
	case http.StatusAccepted:
		return upstream.Answer{
			ID: idPrefix + base64.RawURLEncoding.EncodeToString(csr.Raw), RetryAfter: retryAfter(reply.Header.Get("Retry-After"), c.now()), Text: said(reply),
		}, nil
	}
	return upstream.Answer{}, reply.Refusal(said(reply))
}

// header holds what all requests have, with the password that is in it.
func (c *CA) header() (password string, header http.Header, err error) {
	header = http.Header{}
	if c.user == "" {
		return "", header, nil
	}
	if password, err = c.password(); err != nil {
		return "", nil, fmt.Errorf("reading password: %w", err)
	}
	credentials := base64.StdEncoding.EncodeToString([]byte(c.user + ":" + strings.TrimRight(password, "\r\n")))
	header.Set("Authorization", "Basic "+credentials)
	return password, header, nil
}

// said gives the text of an answer that is for people (RFC 7030 section 4.2.3).
func said(reply wire.Reply) string {
	if kind, _, _ := strings.Cut(reply.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(kind), "text/plain") {
		return ""
	}
	return wire.Text(string(reply.Body))
}

// parseEnrolled reads a PKCS#7 with certificates only. The person's is the one with the key
// of the request, else the first: then the comparison with the request refuses it.
func parseEnrolled(reply wire.Reply, key crypto.PublicKey) (upstream.Answer, error) {
	certs, err := parseCertificates(reply.Body)
	if err != nil {
		return upstream.Answer{}, err
	}
	leaf := 0
	wanted, _ := key.(interface{ Equal(crypto.PublicKey) bool })
	for i, cert := range certs {
		if wanted != nil && wanted.Equal(cert.PublicKey) {
			leaf = i
			break
		}
	}
	answer := upstream.Answer{Certificate: certs[leaf]}
	for i, cert := range certs {
		if i != leaf {
			answer.Chain = append(answer.Chain, cert)
		}
	}
	return answer, nil
}

// parseCertificates reads base64 of a degenerate PKCS#7 (RFC 8951 section 3.1), or that in
// DER as some servers send it.
func parseCertificates(body []byte) ([]*x509.Certificate, error) {
	const sequence = 0x30 // base64 of it begins with M
	der := body
	if len(body) == 0 || body[0] != sequence {
		decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(body)), ""))
		if err != nil {
			return nil, fmt.Errorf("decoding answer as base64: %w", err)
		}
		der = decoded
	}
	parsed, err := pkcs7.Parse(der)
	if err != nil {
		return nil, fmt.Errorf("parsing answer as PKCS#7: %w", err)
	}
	if len(parsed.Certificates) == 0 {
		return nil, errors.New("PKCS#7 of the answer has no certificate")
	}
	return parsed.Certificates, nil
}

// maxRetry bounds Retry-After.
const maxRetry = 7 * 24 * time.Hour

// retryAfter reads seconds or a date (RFC 9110 section 10.2.3). It gives 0 for everything
// else.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(strings.TrimSpace(value), 10, 31); err == nil {
		return min(time.Duration(seconds)*time.Second, maxRetry)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), maxRetry)
}

// Revoke implements [upstream.CA]: EST has no such request.
func (*CA) Revoke(context.Context, upstream.Revocation) error {
	return fmt.Errorf("revoking by EST: %w", upstream.ErrUnsupported)
}

// Probe implements [upstream.CA]. It asks for the certificates of the CA, with the portal's
// credentials: servers need not look at them there.
func (c *CA) Probe(ctx context.Context) ([]*x509.Certificate, error) {
	_, header, err := c.header()
	if err != nil {
		return nil, err
	}
	reply, err := c.client.Do(ctx, wire.Call{Method: http.MethodGet, Path: c.path + "cacerts", Header: header})
	if err != nil {
		return nil, err
	}
	if reply.Status != http.StatusOK {
		return nil, reply.Refusal(said(reply))
	}
	return parseCertificates(reply.Body)
}
