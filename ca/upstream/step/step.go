// Package step gets certificates from step-ca by its own interface, /1.0/sign, with
// one-time tokens of a JWK provisioner (smallstep.com/docs/step-ca/provisioners).
//
// step-ca makes certificates from a template of the provisioner and drops what the template
// does not copy: with the default template neither UPN nor SID nor usages survive. The
// template for this portal is in docs/upstream-step-ca.md. It takes the names from the
// token, which is signed and bound to the certificate request.
//
// step-ca has no approval, no request ids, and no list of certificates that the portal may
// read: what became of a request without an answer can be read in its database only.
package step

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"certportal/ca/upstream"
	"certportal/ca/upstream/wire"
)

// Config says where step-ca is and how the portal is known to it.
type Config struct {
	Wire wire.Config

	// Provisioner is the name of the JWK provisioner.
	Provisioner string

	// Key gives the private key of the provisioner: a JWK (RFC 7517), or a JWE of one
	// (RFC 7516), as in encryptedKey of ca.json or as step crypto jwk create writes it.
	// Elliptic curve P-256 only. It is read for each request.
	Key func() (string, error)

	// Password opens an encrypted key. Optional: for a JWK that is not encrypted.
	Password func() (string, error)

	Now func() time.Time // Optional: default time.Now
}

// CA is a step-ca.
type CA struct {
	client *wire.Client
	tokens *tokens
}

var _ upstream.CA = (*CA)(nil)

// New checks the configuration. It sends nothing and opens no key.
func New(c Config) (*CA, error) {
	client, err := wire.New(c.Wire)
	switch {
	case err != nil:
		return nil, err
	case c.Provisioner == "":
		return nil, errors.New("name of the provisioner is missing")
	case c.Key == nil:
		return nil, errors.New("key of the provisioner is missing")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &CA{client: client, tokens: &tokens{
		host: client.Base().Host, provisioner: c.Provisioner, key: c.Key, password: c.Password, now: c.Now,
	}}, nil
}

type signRequest struct {
	CSR      string `json:"csr"`
	Token    string `json:"ott"`
	NotAfter string `json:"notAfter,omitempty"` // a duration from now
}

type signAnswer struct {
	Certificate string   `json:"crt"`
	Issuer      string   `json:"ca"`
	Chain       []string `json:"certChain"` // with the certificate
}

// Submit implements [upstream.CA]. Status 403 means that step-ca refuses this request, 401
// that it refuses the token.
func (c *CA) Submit(ctx context.Context, r upstream.Request) (upstream.Answer, error) {
	csr, err := x509.ParseCertificateRequest(r.CSR)
	if err != nil {
		return upstream.Answer{}, fmt.Errorf("reading certificate request: %w: %w", upstream.ErrUnsent, err)
	}
	token, err := c.tokens.sign(csr, r.Subject)
	if err != nil {
		return upstream.Answer{}, fmt.Errorf("making token: %w: %w", upstream.ErrUnsent, err)
	}
	body := signRequest{CSR: wire.RequestPEM(r.CSR), Token: token}
	if r.Validity > 0 {
		body.NotAfter = r.Validity.String()
	}
	reply, err := c.post(ctx, pathSign, body)
	if err != nil {
		return upstream.Answer{}, err
	}
	return parseSigned(reply)
}

func parseSigned(reply wire.Reply) (upstream.Answer, error) {
	var signed signAnswer
	if err := reply.JSON(&signed); err != nil {
		return upstream.Answer{}, err
	}
	return wire.ParseIssued(signed.Certificate, signed.Issuer, signed.Chain)
}

// Poll implements [upstream.CA]: step-ca never lets a request wait.
func (*CA) Poll(context.Context, string) (upstream.Answer, error) {
	return upstream.Answer{}, fmt.Errorf("asking step-ca for a request: %w", upstream.ErrUnsupported)
}

type revokeRequest struct {
	Serial  string `json:"serial"` // decimal
	Token   string `json:"ott"`
	Reason  int    `json:"reasonCode"`
	Passive bool   `json:"passive"` // step-ca knows no other
}

// Revoke implements [upstream.CA]. step-ca answers 400 for a certificate that is revoked
// already as for other mistakes: then its CRL decides. Without a CRL (crl.enabled in
// ca.json) a revocation prevents renewal only: see [CA.Probe].
func (c *CA) Revoke(ctx context.Context, r upstream.Revocation) error {
	serial := r.Certificate.SerialNumber.String()
	token, err := c.tokens.revoke(serial)
	if err != nil {
		return fmt.Errorf("making token: %w: %w", upstream.ErrUnsent, err)
	}
	reply, err := c.post(ctx, pathRevoke, revokeRequest{Serial: serial, Token: token, Reason: r.Reason, Passive: true})
	var denied *upstream.Denied
	if errors.As(err, &denied) && reply.Status == http.StatusBadRequest {
		if listed, crlErr := c.listed(ctx, r.Certificate); crlErr == nil && listed {
			return nil
		}
	}
	if err != nil {
		return err
	}
	var answer struct {
		Status string `json:"status"`
	}
	if err := reply.JSON(&answer); err != nil {
		return err
	}
	if answer.Status != "ok" {
		return fmt.Errorf("answer to the revocation has status %q", wire.Text(answer.Status))
	}
	return nil
}

// listed reports whether the CRL names the certificate.
func (c *CA) listed(ctx context.Context, cert *x509.Certificate) (bool, error) {
	crl, err := c.crl(ctx)
	if err != nil {
		return false, err
	}
	for _, entry := range crl.RevokedCertificateEntries {
		if entry.SerialNumber.Cmp(cert.SerialNumber) == 0 {
			return string(crl.RawIssuer) == string(cert.RawIssuer), nil
		}
	}
	return false, nil
}

func (c *CA) crl(ctx context.Context) (*x509.RevocationList, error) {
	reply, err := c.get(ctx, pathCRL)
	if err != nil {
		return nil, err
	}
	crl, err := x509.ParseRevocationList(reply.Body)
	if err != nil {
		return nil, fmt.Errorf("parsing CRL: %w", err)
	}
	return crl, nil
}

const (
	pathSign   = "/1.0/sign"
	pathRevoke = "/1.0/revoke"
	pathCRL    = "/1.0/crl"
)

func (c *CA) post(ctx context.Context, path string, body any) (wire.Reply, error) {
	call, err := wire.Post(path, body)
	if err != nil {
		return wire.Reply{}, err
	}
	reply, err := c.client.Do(ctx, call)
	if err != nil {
		return wire.Reply{}, err
	}
	return reply, refusal(reply)
}

func (c *CA) get(ctx context.Context, path string) (wire.Reply, error) {
	reply, err := c.client.Do(ctx, wire.Call{Method: http.MethodGet, Path: path})
	if err != nil {
		return wire.Reply{}, err
	}
	return reply, refusal(reply)
}

// refusal reads {"status": 403, "message": "…"}. step-ca answers 403 when the template, the
// policy or the limits of the provisioner forbid a request, so only 401 is of the token.
func refusal(reply wire.Reply) error {
	if reply.Success() {
		return nil
	}
	var said struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(reply.Body, &said) != nil {
		said.Message = "" // not from step-ca, but from a server before it
	}
	err := reply.Refusal(said.Message)
	if denied, is := errors.AsType[*upstream.Denied](err); is {
		denied.Credentials = reply.Status == http.StatusUnauthorized
	}
	return err
}
