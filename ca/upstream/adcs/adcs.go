// Package adcs requests certificates from Active Directory Certificate Services through the
// Certificate Enrollment Web Service, CES (MS-WSTEP), on behalf of the person: an enrolment
// agent signs, and the CA takes UPN, SID and e-mail address from the directory.
//
// The service is asked by SOAP 1.2 over HTTPS, with a TLS client certificate, with a user
// name and password (WS-Security UsernameToken), or by Kerberos bound to the server's
// certificate (package kerberos).
//
// Answers are classified by structure and HRESULT ([Explanations]), never by text, which is
// in the language of the server. The protocol cannot revoke. A repeated request is a second
// certificate: none is repeated.
package adcs

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"

	"certportal/ca/upstream"
	"certportal/ca/upstream/wire"
)

// Config says how the web service is reached and as which account.
type Config struct {
	// Wire has the address of the service, such as
	// https://ces.corp.example/Example-CA_CES_Certificate/service.svc/CES. Its Certificate is
	// that of the portal's account: exactly one of Certificate, Kerberos and Username is set.
	Wire wire.Config

	// Further are addresses of other web services of the same CA. A request for a certificate
	// goes to one of them only when those before cannot have received it. Optional.
	Further []string

	// Username is the account as DOMAIN\name or as UPN.
	Username string
	// Password gives the password of Username, each time it is needed.
	Password func() (string, error)

	// Template is the common name of the certificate template, such as User, not its
	// display name. Requests for another template are not sent.
	Template string

	// Agent gives the enrolment agent, each time it is needed. Optional: without it the
	// request is sent as it is, and the CA issues for the portal's account unless the
	// template takes the subject from the request.
	Agent func() (*Agent, error)

	Now func() time.Time // Optional: default time.Now
}

// Client implements [upstream.CA].
type Client struct {
	config    Config
	addresses addresses
	guard     *upstream.Guard // of Username
}

var _ upstream.CA = (*Client)(nil)

// New checks the configuration. It sends nothing.
func New(c Config) (*Client, error) {
	if !OneAccount(c.Wire, c.Username) {
		return nil, errors.New("checking access to the enrolment web service: want one of client certificate, Kerberos and user name")
	}
	if (c.Username == "") != (c.Password == nil) {
		return nil, errors.New("checking access to the enrolment web service: want user name and password together")
	}
	if !ValidTemplate(c.Template) {
		return nil, fmt.Errorf("checking access to the enrolment web service: template %q: want its common name", c.Template)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	list, err := newAddresses(c.Wire, c.Further)
	if err != nil {
		return nil, fmt.Errorf("checking access to the enrolment web service: %w", err)
	}
	return &Client{config: c, addresses: list, guard: upstream.NewGuard(c.Now)}, nil
}

// OneAccount reports whether the portal signs in to a web service in one way.
func OneAccount(w wire.Config, username string) bool {
	ways := 0
	for _, set := range []bool{w.Certificate != nil, w.Kerberos != nil, username != ""} {
		if set {
			ways++
		}
	}
	return ways == 1
}

// Submit implements [upstream.CA]. With an agent the request is for Request.Login.
func (c *Client) Submit(ctx context.Context, r upstream.Request) (upstream.Answer, error) {
	body, err := c.issueRequest(r)
	if err != nil {
		return upstream.Answer{}, fmt.Errorf("making request %s: %w: %w", r.Number, upstream.ErrUnsent, err)
	}
	response, err := c.ask(ctx, c.addresses, body, unsent)
	if err != nil {
		return upstream.Answer{ID: numberOf(err)}, fmt.Errorf("requesting certificate by %s: %w", r.Number, err)
	}
	answer, err := response.answer("")
	if err != nil {
		return upstream.Answer{ID: answer.ID}, fmt.Errorf("requesting certificate by %s: %w", r.Number, err)
	}
	return answer, nil
}

func (c *Client) issueRequest(r upstream.Request) (tokenRequest, error) {
	signed, kind, err := SignedRequest(r, c.config.Template, c.config.Agent, c.config.Now())
	if err != nil {
		return tokenRequest{}, err
	}
	if kind == CMS {
		return issueRequest(valuePKCS7, signed), nil
	}
	return issueRequest(valuePKCS10, signed), nil
}

// Poll implements [upstream.CA]. A *Denied with Credentials is about this question, not
// about the request.
func (c *Client) Poll(ctx context.Context, id string) (upstream.Answer, error) {
	if !ValidNumber(id) {
		return upstream.Answer{}, fmt.Errorf("asking for request %q: want a number: %w", id, upstream.ErrUnsent)
	}
	response, err := c.ask(ctx, c.addresses, statusRequest(id), unanswered)
	if err != nil {
		return upstream.Answer{}, fmt.Errorf("asking for request %s: %w", id, OfRequest(err, id))
	}
	answer, err := response.answer(id)
	if err != nil {
		return upstream.Answer{}, fmt.Errorf("asking for request %s: %w", id, err)
	}
	return answer, nil
}

// Revoke implements [upstream.CA]: MS-WSTEP cannot revoke.
func (c *Client) Revoke(context.Context, upstream.Revocation) error {
	return fmt.Errorf("revoking by the enrolment web service: %w", upstream.ErrUnsupported)
}

// probeNumber is a request that no CA has: the highest number of a 32-bit counter.
const probeNumber = "2147483647"

// Probe implements [upstream.CA]. It asks for a request that does not exist: a fault with
// the code of the CA for that proves address, TLS, credentials and the way to the CA. Not
// proven are template, agent and rights. The protocol names no certificates of the CA.
// Each address is asked.
func (c *Client) Probe(ctx context.Context) ([]*x509.Certificate, error) {
	err := c.addresses.probe(func(one addresses) error {
		if _, err := c.ask(ctx, one, statusRequest(probeNumber), unsent); err != nil && !sawRequest(err) {
			return err
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("probing the enrolment web service: %w", err)
	}
	return nil, nil
}

// ask sends one message and reads the response.
func (c *Client) ask(ctx context.Context, to addresses, body tokenRequest, again another) (response *tokenResponse, err error) {
	err = to.try(ctx, c.config.Now, again, func(w *wire.Client) (err error) {
		if c.config.Username == "" {
			response, err = c.askOne(ctx, w, nil, body)
			return err
		}
		password, err := c.config.Password()
		if err != nil {
			return fmt.Errorf("reading password: %w: %w", upstream.ErrUnsent, err)
		}
		return c.guard.Try(ctx, password, func() (err error) {
			response, err = c.askOne(ctx, w, &login{c.config.Username, password}, body)
			return err
		})
	})
	return response, err
}

// askOne sends one message to one address. Faults and refusals are errors.
func (c *Client) askOne(ctx context.Context, w *wire.Client, who *login, body tokenRequest) (*tokenResponse, error) {
	message, err := envelope(w.Base().String(), who, body, c.config.Now())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", upstream.ErrUnsent, err)
	}
	got, err := w.Do(ctx, wire.Call{
		Method: http.MethodPost, Header: http.Header{"Content-Type": {"application/soap+xml; charset=utf-8"}}, Body: message,
	})
	if err != nil {
		return nil, err
	}
	if got.Status != http.StatusOK && got.Status != http.StatusBadRequest && got.Status != http.StatusInternalServerError {
		return nil, got.Refusal(plain(got.Body))
	}
	response, fault, err := parseReply(got.Body)
	switch {
	case err != nil && got.Status == http.StatusOK:
		return nil, err
	case err != nil:
		return nil, got.Refusal(plain(got.Body))
	case fault != nil:
		return nil, fault.err()
	case got.Status != http.StatusOK:
		return nil, fmt.Errorf("response with status %d", got.Status)
	}
	return response, nil
}
