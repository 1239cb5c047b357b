package autotls

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
	"unicode"

	"golang.org/x/crypto/acme"
)

// Waiting after failures: 5 minutes, doubled each time. Let's Encrypt lets a name fail five
// times an hour.
const (
	firstWait = 5 * time.Minute
	mostWait  = 6 * time.Hour

	// LongestWait bounds a time that the server names. A pause beyond it is that of a wrong
	// clock.
	LongestWait = 7 * 24 * time.Hour
)

var (
	errNeedsAccount = errors.New("it takes orders from accounts of its customers only: set tls.acme.account_id and tls.acme.account_key_file to what it gave you")
	errNoChallenge  = errors.New("the server does not offer http-01, the only challenge that the portal answers")
	errBadToken     = errors.New("the server sent a token that is none")
	errOtherKey     = errors.New("the certificate that came is for another key")
	errOtherNames   = errors.New("the certificate that came is for other names")
	errClock        = errors.New("the certificate that came does not fit the clock of this machine: set it by an NTP source")
)

// notProven says that the server could not see that a name belongs to this portal.
type notProven struct {
	name  string
	cause error
}

// Error is for operators.
func (n notProven) Error() string { return fmt.Sprintf("proving %s: %v", n.name, n.cause) }

// Unwrap gives the server's reason.
func (n notProven) Unwrap() error { return n.cause }

// notKept says that the store did not take a certificate that is in use.
type notKept struct{ cause error }

const notKeptText = "the TLS certificate is in use here, but not yet recorded for the other portals, which is tried again without a new order: "

// Error is for operators.
func (n notKept) Error() string { return notKeptText + n.cause.Error() }

// Unwrap gives the reason of the store.
func (n notKept) Unwrap() error { return n.cause }

// NotKept reports whether the server issued a certificate and the store did not take it, and
// gives the reason.
func (f Failure) NotKept() (reason string, is bool) { return strings.CutPrefix(f.Text, notKeptText) }

// failure makes the record of a failure behind those before.
func (m *Manager) failure(before Failure, err error) Failure {
	now := m.c.Now()
	f := Failure{Since: before.Since, Tries: before.Tries + 1, Text: clip(m.explain(err))}
	if f.Since.IsZero() || f.Since.After(now) {
		f.Since = now
	}
	wait := min(firstWait<<min(f.Tries-1, 10), mostWait)
	if asked, limited := retryAfter(err); limited {
		wait = max(wait, min(asked, LongestWait))
	}
	f.Again = now.Add(wait)
	return f
}

// retryAfter is how long the server asks to wait.
func retryAfter(err error) (time.Duration, bool) {
	var problem *acme.Error
	if !errors.As(err, &problem) {
		return 0, false
	}
	return acme.RateLimit(problem)
}

// explain says in words for an operator what went wrong and what to do.
func (m *Manager) explain(err error) string {
	host := m.c.Directory
	if u, bad := url.Parse(m.c.Directory); bad == nil {
		host = u.Host
	}
	var (
		unkept    notKept
		unproven  notProven
		problem   *acme.Error
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		name      x509.HostnameError
		network   net.Error
	)
	switch {
	case errors.As(err, &unkept):
		return unkept.Error()
	case errors.As(err, &unproven):
		return fmt.Sprintf("%s could not fetch the answer at http://%s/.well-known/acme-challenge/. Port 80 of that name must reach listen_http of every portal, from the internet for a public server. It says: %s",
			host, unproven.name, reasonOf(unproven.cause))
	case errors.As(err, &problem) && strings.HasSuffix(problem.ProblemType, ":rateLimited"):
		return fmt.Sprintf("%s takes no further orders for now, so the portal waits: %s", host, reasonOf(err))
	case errors.As(err, &problem):
		return fmt.Sprintf("%s refused: %s", host, reasonOf(err))
	case errors.As(err, &authority):
		return fmt.Sprintf("the TLS certificate of %s is of a CA that this machine does not trust: name its root in tls.acme.ca_file", host)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Sprintf("the TLS certificate of %s is not valid by the clock of this machine: set it by an NTP source, or ask the operator of the server", host)
	case errors.As(err, &name):
		return fmt.Sprintf("the TLS certificate of %s is for another name: correct tls.acme.directory", host)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network):
		return fmt.Sprintf("%s does not answer: this machine must reach it over https. %v", host, err)
	}
	return fmt.Sprintf("%s: %v", host, err)
}

// reasonOf is what the server said: of a failed proof the problem of the challenge.
func reasonOf(err error) string {
	var failed *acme.AuthorizationError
	if errors.As(err, &failed) {
		for _, e := range failed.Errors {
			return reasonOf(e)
		}
	}
	var problem *acme.Error
	if !errors.As(err, &problem) {
		return err.Error()
	}
	if problem.ProblemType == "" {
		return fmt.Sprintf("it answers with status %d, and not as an ACME server does", problem.StatusCode)
	}
	kind := problem.ProblemType[strings.LastIndexByte(problem.ProblemType, ':')+1:]
	text := fmt.Sprintf("%s (%s)", problem.Detail, kind)
	for _, sub := range problem.Subproblems {
		text += "; " + sub.Detail
	}
	return text
}

// maxText bounds what a server can put into an alert.
const maxText = 400

// clip makes one line of a text that a server chose a part of.
func clip(text string) string {
	line := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if runes := []rune(line); len(runes) > maxText {
		return string(runes[:maxText]) + "…"
	}
	return line
}
