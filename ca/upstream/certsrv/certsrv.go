// Package certsrv requests certificates from Active Directory Certificate Services through
// its web enrolment pages, on behalf of the person, as package adcs does through the
// enrolment web service. That one is better where a company has both: these pages are made
// for people, in the language of the server, and cannot list or revoke.
//
// The pages are asked over HTTPS, with a TLS client certificate, by Kerberos or NTLM bound to
// the server's certificate (packages kerberos and ntlm), or with a user name and password
// (Basic, RFC 7617).
//
// Pages are classified by links, element ids and HRESULTs. Text is a last resort, for the
// number of a request that waits.
package certsrv

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"certportal/ca/upstream"
	"certportal/ca/upstream/adcs"
	"certportal/ca/upstream/ntlm"
	"certportal/ca/upstream/wire"
)

// Config says how the pages are reached and as which account.
type Config struct {
	// Wire has the address of the folder of the pages, such as https://ca.corp.example/certsrv.
	// Its Certificate is that of the portal's account: exactly one of Certificate, Kerberos and
	// Username is set. New sets its NTLM.
	Wire wire.Config

	// Username is the account as DOMAIN\name.
	Username string
	// Password gives the password of Username, each time it is needed.
	Password func() (string, error)

	// NTLM signs Username in by NTLM in the place of Basic. Optional.
	NTLM bool

	// Template is the common name of the certificate template, such as User, not its
	// display name. Requests for another template are not sent.
	Template string

	// Agent gives the enrolment agent, each time it is needed. Optional, as in
	// [adcs.Config].
	Agent func() (*adcs.Agent, error)

	Now func() time.Time // Optional: default time.Now
}

// Client implements [upstream.CA].
type Client struct {
	config Config
	wire   *wire.Client
	guard  *upstream.Guard // of Username
}

var _ upstream.CA = (*Client)(nil)

// fetchSoon is when to ask for a certificate that was issued and could not be fetched.
const fetchSoon = 10 * time.Second

// New checks the configuration. It sends nothing.
func New(c Config) (*Client, error) {
	if !adcs.OneAccount(c.Wire, c.Username) {
		return nil, errors.New("checking access to the web enrolment pages: want one of client certificate, Kerberos and user name")
	}
	if (c.Username == "") != (c.Password == nil) || strings.Contains(c.Username, ":") {
		return nil, errors.New("checking access to the web enrolment pages: want a user name without colon, and a password")
	}
	if !adcs.ValidTemplate(c.Template) {
		return nil, fmt.Errorf("checking access to the web enrolment pages: template %q: want its common name", c.Template)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	// Pages are named relative to the folder.
	c.Wire.URL = strings.TrimSuffix(c.Wire.URL, "/") + "/"
	if c.NTLM {
		if c.Username == "" {
			return nil, errors.New("checking access to the web enrolment pages: NTLM wants a user name")
		}
		c.Wire.NTLM = c.account
	}
	w, err := wire.New(c.Wire)
	if err != nil {
		return nil, fmt.Errorf("checking access to the web enrolment pages: %w", err)
	}
	return &Client{config: c, wire: w, guard: upstream.NewGuard(c.Now)}, nil
}

// account gives the account for NTLM. A UPN has no domain of its own there.
func (c *Config) account() (ntlm.Account, error) {
	password, err := c.Password()
	if err != nil {
		return ntlm.Account{}, fmt.Errorf("reading password: %w", err)
	}
	domain, user, found := strings.Cut(c.Username, `\`)
	if !found {
		domain, user = "", c.Username
	}
	return ntlm.Account{Domain: domain, User: user, Password: password}, nil
}

// Submit implements [upstream.CA]. With an agent the request is for Request.Login. When the
// certificate was issued and could not be fetched, the answer is one that waits.
func (c *Client) Submit(ctx context.Context, r upstream.Request) (upstream.Answer, error) {
	signed, _, err := adcs.SignedRequest(r, c.config.Template, c.config.Agent, c.config.Now())
	if err != nil {
		return upstream.Answer{}, fmt.Errorf("making request %s: %w: %w", r.Number, upstream.ErrUnsent, err)
	}
	form := url.Values{
		"Mode": {"newreq"}, "CertRequest": {base64.StdEncoding.EncodeToString(signed)},
		"CertAttrib":   {"CertificateTemplate:" + c.config.Template + "\r\n"},
		"FriendlyType": {"Saved-Request Certificate"}, "TargetStoreFlags": {"0"}, "SaveCert": {"yes"}, "ThumbPrint": {""},
	}
	got, err := c.ask(ctx, http.MethodPost, "certfnsh.asp", form.Encode())
	if err != nil {
		return upstream.Answer{}, fmt.Errorf("requesting certificate by %s: %w", r.Number, err)
	}
	p, err := parsePage(got.Body)
	if err != nil {
		return upstream.Answer{}, fmt.Errorf("requesting certificate by %s: %w", r.Number, err)
	}
	outcome, err := p.outcome()
	if err != nil {
		return upstream.Answer{ID: outcome.number}, fmt.Errorf("requesting certificate by %s: %w", r.Number, err)
	}
	answer := upstream.Answer{ID: outcome.number, Text: p.text()}
	if !outcome.issued {
		return answer, nil
	}
	issued, err := c.fetch(ctx, outcome.number)
	if err != nil || issued.Pending() {
		answer.RetryAfter = fetchSoon
		return answer, nil
	}
	return issued, nil
}

// Poll implements [upstream.CA]. A *Denied with Credentials is about this question, not
// about the request.
func (c *Client) Poll(ctx context.Context, id string) (upstream.Answer, error) {
	if !adcs.ValidNumber(id) {
		return upstream.Answer{}, fmt.Errorf("asking for request %q: want a number: %w", id, upstream.ErrUnsent)
	}
	answer, err := c.fetch(ctx, id)
	if err != nil {
		return upstream.Answer{}, fmt.Errorf("asking for request %s: %w", id, adcs.OfRequest(err, id))
	}
	return answer, nil
}

// Revoke implements [upstream.CA]: the pages cannot revoke.
func (c *Client) Revoke(context.Context, upstream.Revocation) error {
	return fmt.Errorf("revoking by the web enrolment pages: %w", upstream.ErrUnsupported)
}

// ask sends one request and reads an answer with status 200.
func (c *Client) ask(ctx context.Context, method, path, form string) (got wire.Reply, err error) {
	if c.config.Username == "" {
		return c.askAs(ctx, "", method, path, form)
	}
	password, err := c.config.Password()
	if err != nil {
		return wire.Reply{}, fmt.Errorf("reading password: %w: %w", upstream.ErrUnsent, err)
	}
	err = c.guard.Try(ctx, password, func() (err error) {
		got, err = c.askAs(ctx, password, method, path, form)
		return err
	})
	return got, err
}

// askAs sends the password by Basic, unless NTLM signs in.
func (c *Client) askAs(ctx context.Context, password, method, path, form string) (wire.Reply, error) {
	// The pages send certificates with the wrong type to programs that are no browser.
	header := http.Header{"User-Agent": {"Mozilla/5.0 (Windows NT 10.0; Win64; x64) certportal"}}
	if form != "" {
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if c.config.Username != "" && !c.config.NTLM {
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(c.config.Username+":"+password)))
	}
	got, err := c.wire.Do(ctx, wire.Call{Method: method, Path: path, Header: header, Body: []byte(form)})
	if err != nil {
		return wire.Reply{}, err
	}
	if got.Status != http.StatusOK {
		return wire.Reply{}, got.Refusal("")
	}
	return got, nil
}
