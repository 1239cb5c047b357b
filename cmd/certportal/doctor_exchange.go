package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"certportal/ca"
	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/doctor"
	"certportal/cmd/certportal/internal/exchangecheck"
	"certportal/internal/escape"
	"certportal/internal/portal"
)

type doctorExchange struct {
	URL    string `name:"url" placeholder:"https://HOST" help:"The front end as phones reach it. Default: exchange.host of the settings."`
	P12    string `name:"p12" xor:"who" placeholder:"FILE" help:"Sign in with the certificate of this PKCS#12 file."`
	Person string `xor:"who" placeholder:"UPN" help:"Sign in with a test certificate of this person: valid for ten minutes, recorded, revoked at the end. Needs the CA."`

	PasswordFile string   `placeholder:"FILE" help:"Password of the PKCS#12 file; - reads it from the input."`
	Anchor       []string `placeholder:"FILE" help:"A further CA certificate that phones have (PEM or DER); may be repeated."`
	JSON         bool     `name:"json" help:"Print one JSON object, as doctor --json."`
}

// The times of a check: it ends within 15 seconds, also when a server does not answer.
const (
	exchangeWithin = 8 * time.Second // of asking
	openWithin     = 3 * time.Second // of opening the database
	revokeWithin   = 3 * time.Second
)

// maxPKCS12 bounds a PKCS#12 file in bytes.
const maxPKCS12 = 1 << 20

// Run asks the front end as a phone does. Without --p12 and --person no certificate is
// shown, and no key is opened.
func (c doctorExchange) Run(i *invocation) error {
	began := time.Now()
	s, err := i.settings()
	if err != nil {
		return err
	}
	check, err := c.config(s)
	if err != nil {
		return err
	}
	test, err := c.signIn(i, s, &check)
	if err != nil {
		return err
	}
	defer test.close()
	ctx, cancel := context.WithTimeout(i.ctx, exchangeWithin)
	findings := exchangecheck.Check(ctx, check)
	cancel()
	return i.print(exchangeReport(append(findings, test.end(i.ctx)...), began), c.JSON, printAnswers)
}

// config reads host and anchors.
func (c doctorExchange) config(s *config.Settings) (check exchangecheck.Config, err error) {
	url := cmp.Or(c.URL, s.Exchange.Host)
	if url == "" {
		return check, errors.New("--url: name the front end, such as https://mail.example.com, or set exchange.host")
	}
	if check.Host, err = exchangecheck.ParseURL(url); err != nil {
		return check, fmt.Errorf("--url: %w", err)
	}
	if check.Anchors, err = app.PhoneAnchors(s); err != nil {
		return check, err
	}
	for _, file := range c.Anchor {
		text, err := readAtMost(file, maxPKCS12)
		if err != nil {
			return check, fmt.Errorf("--anchor: %w", err)
		}
		certs, err := ca.ParseAnchors(text)
		if err != nil {
			return check, fmt.Errorf("--anchor %s: %w", file, err)
		}
		for _, cert := range certs {
			check.Anchors = append(check.Anchors, exchangecheck.Anchor{Name: file, Certificate: cert})
		}
	}
	check.Without = "bring a phone's certificate with --p12, or have one made for a test person with --person"
	return check, nil
}

// signIn sets the certificate to sign in with.
func (c doctorExchange) signIn(i *invocation, s *config.Settings, check *exchangecheck.Config) (*testSignIn, error) {
	switch {
	case c.P12 != "":
		client, err := c.openPKCS12(i)
		if err != nil {
			return nil, fmt.Errorf("--p12: %w", err)
		}
		if mail := client.Certificate.Leaf.EmailAddresses; len(mail) > 0 {
			_, check.Domain, _ = strings.Cut(mail[0], "@")
		}
		check.Client = func(context.Context) (*exchangecheck.Client, error) { return client, nil }
	case c.PasswordFile != "":
		return nil, errors.New("--password-file: is for --p12")
	case c.Person != "" && s.Certificates.Issuer != "":
		return nil, fmt.Errorf("--person: the test certificate would be of the portal's own CA, and those of people come from %s: use --p12 with a file of the portal", s.Certificates.Issuer)
	case c.Person != "":
		test, err := i.openTestSignIn(s, c.Person, check.Host)
		if err != nil {
			return nil, fmt.Errorf("--person: %w", err)
		}
		_, check.Domain, _ = strings.Cut(c.Person, "@")
		check.Client = test.client
		return test, nil
	}
	return nil, nil
}

// openPKCS12 opens the file of a phone. The error never has the password.
func (c doctorExchange) openPKCS12(i *invocation) (*exchangecheck.Client, error) {
	file, err := readAtMost(c.P12, maxPKCS12)
	if err != nil {
		return nil, err
	}
	var password []byte
	switch c.PasswordFile {
	case "":
	case "-":
		password, err = i.terminal().Password("Password of the file: ")
	default:
		password, err = config.ReadSecret(c.PasswordFile)
	}
	if err != nil {
		return nil, err
	}
	key, leaf, chain, err := pkcs12.DecodeChain(file, string(password))
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, fmt.Errorf("%s: another password opens it: name it with --password-file", c.P12)
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", c.P12, err)
	}
	client := &exchangecheck.Client{About: fmt.Sprintf("the certificate of %s (%s, until %s)", c.P12,
		escape.Value(leaf.Subject.String()), leaf.NotAfter.UTC().Format(time.DateOnly))}
	client.Certificate.Leaf, client.Certificate.PrivateKey = leaf, key
	client.Certificate.Certificate = append(client.Certificate.Certificate, leaf.Raw)
	for _, cert := range chain {
		client.Certificate.Certificate = append(client.Certificate.Certificate, cert.Raw)
	}
	return client, nil
}

// readAtMost reads a small file.
func readAtMost(file string, limit int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", file, limit)
	}
	return text, err
}

// exchangeReport puts findings into the form of the other checks.
func exchangeReport(findings []exchangecheck.Finding, at time.Time) doctor.Report {
	r := doctor.Report{Version: version, At: at.UTC().Truncate(time.Second)}
	var all []portal.Finding
	for _, f := range findings {
		r.Checks = append(r.Checks, doctor.CheckReport{
			Name: f.Code, Title: f.What, State: f.State, Tried: f.Tried, Todo: f.Mend,
			Findings: []doctor.FindingReport{{What: f.What, State: f.State, Text: f.Text}},
		})
		all = append(all, portal.Finding{State: f.State})
	}
	r.State = portal.WorstFinding(all)
	r.Exit = doctor.ExitCode(r.State)
	return r
}

// printAnswers explains every answer, also the right ones, in the order of the questions.
func printAnswers(w io.Writer, r doctor.Report) {
	for _, check := range r.Checks {
		fmt.Fprintf(w, "%-8s %s: %s\n", check.State, check.Title, check.Findings[0].Text)
		if check.Tried != "" {
			fmt.Fprintf(w, "         Tried: %s\n", check.Tried)
		}
		if check.Todo != "" {
			fmt.Fprintf(w, "         To do: %s\n", check.Todo)
		}
	}
}
