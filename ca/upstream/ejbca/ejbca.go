// Package ejbca gets certificates from Keyfactor EJBCA by its REST interface
// (docs.keyfactor.com/ejbca/latest/ejbca-rest-interface), which knows the portal by its TLS
// client certificate.
//
// EJBCA keeps an end entity for each request, named after the number of the request: so it
// can be searched for what was issued when an answer was lost, and its password, which EJBCA
// wants again when a request was approved, is derived from that name.
package ejbca

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"certportal/ca/upstream"
	"certportal/ca/upstream/wire"
)

// Config says where EJBCA is and how it issues.
type Config struct {
	// Wire has the address of the server, such as https://ejbca.corp.example, with the path
	// of the interface where it is not /ejbca/ejbca-rest-api. Its Certificate is required.
	Wire wire.Config

	Authority          string // name of the CA in EJBCA
	CertificateProfile string
	EndEntityProfile   string

	// Prefix begins the names of end entities. Optional: default certportal-. Two portals at
	// one EJBCA need two.
	Prefix string

	// Secret gives at least 32 characters from which the passwords of end entities are
	// derived. With another secret requests that wait can no longer be fetched.
	Secret func() (string, error)
}

const (
	defaultPath   = "/ejbca/ejbca-rest-api"
	defaultPrefix = "certportal-"
	minSecret     = 32
)

// CA is a CA of an EJBCA.
type CA struct {
	client *wire.Client
	config Config
	path   string
}

var (
	_ upstream.CA     = (*CA)(nil)
	_ upstream.Finder = (*CA)(nil)
)

// New checks the configuration. It sends nothing.
func New(c Config) (*CA, error) {
	client, err := wire.New(c.Wire)
	switch {
	case err != nil:
		return nil, err
	case c.Wire.Certificate == nil:
		return nil, errors.New("TLS client certificate is missing")
	case c.Authority == "" || c.CertificateProfile == "" || c.EndEntityProfile == "":
		return nil, errors.New("want the names of the CA, of the certificate profile and of the end entity profile")
	case c.Secret == nil:
		return nil, errors.New("secret for the passwords of end entities is missing")
	}
	if c.Prefix == "" {
		c.Prefix = defaultPrefix
	}
	path := strings.TrimSuffix(client.Base().EscapedPath(), "/")
	if path == "" {
		path = defaultPath
	}
	return &CA{client: client, config: c, path: path}, nil
}

type enrollRequest struct {
	CSR                string `json:"certificate_request"`
	CertificateProfile string `json:"certificate_profile_name"`
	EndEntityProfile   string `json:"end_entity_profile_name"`
	Authority          string `json:"certificate_authority_name"`
	Username           string `json:"username"`
	Password           string `json:"password"`
	IncludeChain       bool   `json:"include_chain"`
}

// Submit implements [upstream.CA]. The validity is that of the certificate profile of EJBCA.
func (c *CA) Submit(ctx context.Context, r upstream.Request) (upstream.Answer, error) {
	username, err := c.username(r.Number)
	if err != nil {
		return upstream.Answer{}, fmt.Errorf("%w: %w", upstream.ErrUnsent, err)
	}
	password, err := c.password(username)
	if err != nil {
		return upstream.Answer{}, fmt.Errorf("%w: %w", upstream.ErrUnsent, err)
	}
	reply, err := c.post(ctx, "/v1/certificate/pkcs10enroll", enrollRequest{
		CSR: wire.RequestPEM(r.CSR), CertificateProfile: c.config.CertificateProfile, EndEntityProfile: c.config.EndEntityProfile,
		Authority: c.config.Authority, Username: username, Password: password, IncludeChain: true,
	})
	if err != nil {
		return upstream.Answer{}, err
	}
	return parseEnrolled(reply, username)
}

// username names the end entity of a request.
func (c *CA) username(number string) (string, error) {
	valid := func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-'
	}
	if number == "" || strings.ContainsFunc(number, func(r rune) bool { return !valid(r) }) {
		return "", errors.New("number of the request is empty or has other characters than letters, digits and hyphens")
	}
	return c.config.Prefix + number, nil
}

// password derives the password of an end entity. With it a person could enrol another key
// at EJBCA while a request waits, so it is stored nowhere.
func (c *CA) password(username string) (string, error) {
	secret, err := c.config.Secret()
	if err != nil {
		return "", fmt.Errorf("reading secret for the passwords of end entities: %w", err)
	}
	if secret = strings.TrimSpace(secret); len(secret) < minSecret {
		return "", fmt.Errorf("secret for the passwords of end entities is shorter than %d characters", minSecret)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(username))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}

// enrolled is the answer to an enrolment, with status 201, or 202 while it waits.
type enrolled struct {
	Certificate string   `json:"certificate"`
	Chain       []string `json:"certificate_chain"`
	RequestID   int64    `json:"request_id"`
	Info        string   `json:"info_message"`
}

func parseEnrolled(reply wire.Reply, username string) (upstream.Answer, error) {
	var body enrolled
	if err := reply.JSON(&body); err != nil {
		return upstream.Answer{}, err
	}
	if reply.Status == http.StatusAccepted {
		if body.RequestID == 0 {
			return upstream.Answer{}, errors.New("answer says that the request waits, and has no id of it")
		}
		return upstream.Answer{ID: strconv.FormatInt(body.RequestID, 10) + " " + username, Text: wire.Text(body.Info)}, nil
	}
	leaf, err := parseCertificates(body.Certificate)
	if err != nil {
		return upstream.Answer{}, fmt.Errorf("reading certificate: %w", err)
	}
	answer := upstream.Answer{Certificate: leaf[0]}
	for _, text := range body.Chain {
		certs, err := parseCertificates(text)
		if err != nil {
			return upstream.Answer{}, fmt.Errorf("reading certificate_chain: %w", err)
		}
		answer.Chain = append(answer.Chain, certs...)
	}
	return answer, nil
}

// parseCertificates reads base64 of DER or PEM. Some versions encode it twice.
func parseCertificates(text string) ([]*x509.Certificate, error) {
	content := []byte(text)
	for range 2 {
		decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(content)), ""))
		if err != nil {
			return nil, fmt.Errorf("decoding base64: %w", err)
		}
		if content = decoded; len(content) == 0 {
			return nil, errors.New("no certificate in the answer")
		}
		const sequence = 0x30 // base64 of it begins with M
		if content[0] == sequence {
			cert, err := x509.ParseCertificate(content)
			if err != nil {
				return nil, fmt.Errorf("parsing certificate: %w", err)
			}
			return []*x509.Certificate{cert}, nil
		}
		if content[0] == '-' {
			return wire.ParsePEM(string(content))
		}
	}
	return nil, errors.New("certificate is neither DER nor PEM")
}

func (c *CA) post(ctx context.Context, path string, body any) (wire.Reply, error) {
	call, err := wire.Post(c.path+path, body)
	if err != nil {
		return wire.Reply{}, err
	}
	return c.do(ctx, call)
}

func (c *CA) do(ctx context.Context, call wire.Call) (wire.Reply, error) {
	reply, err := c.client.Do(ctx, call)
	if err != nil {
		return wire.Reply{}, err
	}
	if reply.Success() {
		return reply, nil
	}
	var said struct {
		Message string `json:"error_message"`
	}
	if json.Unmarshal(reply.Body, &said) != nil {
		said.Message = "" // not from EJBCA, but from a server before it
	}
	return wire.Reply{}, reply.Refusal(said.Message)
}
