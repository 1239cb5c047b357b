// Package vault gets certificates from the PKI secrets engine of HashiCorp Vault or OpenBao
// by its HTTP interface (developer.hashicorp.com/vault/api-docs/secret/pki).
//
// Only sign-verbatim keeps all extensions of a request. sign/<role> cannot issue the SID
// extension: it carries the SID as a URI, which domain controllers accept and NPS does not.
//
// The engine has no approval and no request ids.
package vault

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"certportal/ca"
	"certportal/ca/upstream"
	"certportal/ca/upstream/wire"
)

// Config says where Vault is and what the portal may do there.
type Config struct {
	Wire wire.Config

	Namespace string // Optional: of Vault Enterprise or OpenBao
	Mount     string // Optional: of the engine; default pki
	Role      string // required

	// ByRole signs by sign/<role> in the place of sign-verbatim/<role>: then the SID is a URI
	// and the template name is missing.
	ByRole bool

	Login Login
}

// CA is a PKI secrets engine.
type CA struct {
	session *session
	mount   string
	role    string
	byRole  bool
}

var _ upstream.CA = (*CA)(nil)

// New checks the configuration. It sends nothing.
func New(c Config) (*CA, error) {
	client, err := wire.New(c.Wire)
	if err != nil {
		return nil, err
	}
	if c.Role == "" {
		return nil, errors.New("role of the PKI secrets engine is missing")
	}
	if err := c.Login.check(); err != nil {
		return nil, err
	}
	return &CA{
		mount: escapePath(mountOr(c.Mount, "pki")), role: url.PathEscape(c.Role), byRole: c.ByRole,
		session: &session{client: client, namespace: c.Namespace, login: c.Login, loggingIn: make(chan struct{}, 1), guard: upstream.NewGuard(time.Now)},
	}, nil
}

// escapePath escapes each part of a path.
func escapePath(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}

type signRequest struct {
	CSR    string `json:"csr"`
	TTL    string `json:"ttl,omitempty"` // in seconds, as 60s
	Format string `json:"format"`

	// For sign/<role>, which ignores the names of the request.
	CommonName string   `json:"common_name,omitempty"`
	AltNames   string   `json:"alt_names,omitempty"`
	OtherSANs  string   `json:"other_sans,omitempty"`
	URISANs    []string `json:"uri_sans,omitempty"` // a list: text is split at its commas
	WithoutCN  bool     `json:"exclude_cn_from_sans,omitempty"`
}

// Submit implements [upstream.CA]. It asks first whether the token is good, so that a token
// that expired, or a Vault that is sealed, is found before anything was requested.
func (c *CA) Submit(ctx context.Context, r upstream.Request) (upstream.Answer, error) {
	body := signRequest{CSR: wire.RequestPEM(r.CSR), Format: "pem"}
	if r.Validity > 0 {
		body.TTL = fmt.Sprintf("%ds", int64(r.Validity.Seconds()))
	}
	path := "sign-verbatim/"
	if c.byRole {
		path = "sign/"
		if err := body.names(r); err != nil {
			return upstream.Answer{}, fmt.Errorf("%w: %w", upstream.ErrUnsent, err)
		}
	}
	token, err := c.session.token(ctx)
	if err != nil {
		return upstream.Answer{}, beforeSubmit(err)
	}
	reply, err := c.post(ctx, token, path+c.role, body)
	if err != nil {
		return upstream.Answer{}, err
	}
	return parseSigned(reply)
}

// beforeSubmit marks an error of the calls before the submit: nothing was requested.
func beforeSubmit(err error) error {
	if _, denied := errors.AsType[*upstream.Denied](err); denied || errors.Is(err, upstream.ErrUnsent) {
		return err
	}
	return fmt.Errorf("%w: %w", upstream.ErrUnsent, err)
}

// names repeats the names of the person as parameters. A comma or a semicolon would
// separate names.
func (s *signRequest) names(r upstream.Request) error {
	csr, err := x509.ParseCertificateRequest(r.CSR)
	if err != nil {
		return fmt.Errorf("reading certificate request: %w", err)
	}
	for _, name := range []string{r.Subject.UPN, r.Subject.Mail} {
		if strings.ContainsAny(name, ",;") {
			return errors.New("a name has a comma or semicolon, which separate names for Vault")
		}
	}
	s.CommonName, s.AltNames, s.WithoutCN = csr.Subject.CommonName, r.Subject.Mail, true
	s.OtherSANs = "1.3.6.1.4.1.311.20.2.3;utf8:" + r.Subject.UPN
	if r.Subject.SID != "" {
		s.URISANs = []string{"tag:microsoft.com,2022-09-14:sid:" + r.Subject.SID}
	}
	return nil
}

func parseSigned(reply wire.Reply) (upstream.Answer, error) {
	var signed struct {
		Data struct {
			Certificate string   `json:"certificate"`
			Issuer      string   `json:"issuing_ca"`
			Chain       []string `json:"ca_chain"`
		} `json:"data"`
		Warnings []string `json:"warnings"`
	}
	if err := reply.JSON(&signed); err != nil {
		return upstream.Answer{}, err
	}
	answer, err := wire.ParseIssued(signed.Data.Certificate, signed.Data.Issuer, signed.Data.Chain)
	answer.Text = wire.Text(strings.Join(signed.Warnings, "; "))
	return answer, err
}

// Poll implements [upstream.CA]: the engine never lets a request wait.
func (*CA) Poll(context.Context, string) (upstream.Answer, error) {
	return upstream.Answer{}, fmt.Errorf("asking Vault for a request: %w", upstream.ErrUnsupported)
}

// Revoke implements [upstream.CA]. It sends the certificate itself, because a role with
// no_store keeps no serial numbers. The reason is lost: the engine records none.
func (c *CA) Revoke(ctx context.Context, r upstream.Revocation) error {
	token, err := c.session.token(ctx)
	if err != nil {
		return err
	}
	reply, err := c.post(ctx, token, "revoke", map[string]string{"certificate": string(ca.PEM(r.Certificate))})
	if err != nil {
		return err
	}
	var answer struct {
		Data struct {
			At int64 `json:"revocation_time"` // also of a certificate that was revoked before
		} `json:"data"`
	}
	if err := reply.JSON(&answer); err != nil {
		return err
	}
	if answer.Data.At <= 0 {
		return errors.New("answer to the revocation has no time of it")
	}
	return nil
}

// Probe implements [upstream.CA]. It asks whether Vault is sealed, whether the token is
// good, whether it may sign by the role (sys/capabilities-self), and for the CA's chain.
func (c *CA) Probe(ctx context.Context) ([]*x509.Certificate, error) {
	if err := c.session.health(ctx); err != nil {
		return nil, err
	}
	token, err := c.session.token(ctx)
	if err != nil {
		return nil, err
	}
	kind := "sign-verbatim/"
	if c.byRole {
		kind = "sign/"
	}
	if err := c.session.mayUpdate(ctx, token, c.mount+"/"+kind+c.role, c.mount+"/revoke"); err != nil {
		return nil, err
	}
	return c.chain(ctx)
}

// chain reads the certificates of the CA, for which no token is needed. ca_chain is empty
// where the CA is a root.
func (c *CA) chain(ctx context.Context) ([]*x509.Certificate, error) {
	for _, path := range []string{"/ca_chain", "/ca/pem"} {
		reply, err := c.session.do(ctx, wire.Call{Method: http.MethodGet, Path: "/v1/" + c.mount + path, Header: c.session.header("")})
		if err != nil {
			return nil, err
		}
		if len(reply.Body) > 0 {
			return wire.ParsePEM(string(reply.Body))
		}
	}
	return nil, errors.New("secrets engine has no CA certificate")
}

// post calls a path of the engine.
func (c *CA) post(ctx context.Context, token, path string, body any) (wire.Reply, error) {
	reply, err := c.session.call(ctx, "/v1/"+c.mount+"/"+path, token, body)
	if reply.Status == http.StatusForbidden {
		c.session.forget(token)
	}
	return reply, err
}

// refusal reads {"errors": ["…"]}, some of several lines. A standby that does not forward answers 307 with the
// address of the active server.
func refusal(reply wire.Reply) error {
	if reply.Success() {
		return nil
	}
	var said struct {
		Errors []string `json:"errors"`
	}
	if json.Unmarshal(reply.Body, &said) != nil {
		said.Errors = nil // not from Vault, but from a server before it
	}
	return reply.Refusal(strings.Join(strings.Fields(strings.Join(said.Errors, "; ")), " "))
}
