package servercert

import (
	"bytes"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"time"

	"certportal/internal/portal"
)

// Problem is something that browsers and phones dislike about the portal's own TLS
// certificate, with what to do about it.
type Problem struct {
	Failed bool // they warn of the page or refuse it; else they soon will
	portal.Sentence
}

// renewBefore is how long before its end a certificate is a problem.
const renewBefore = 14 * 24 * time.Hour

// Examine looks at a chain as a server sends it, the server's own certificate first, as a
// client of host does. Roots are the CAs that clients trust; nil when they are not known.
func Examine(chain []*x509.Certificate, host string, roots *x509.CertPool, now time.Time) []Problem {
	if len(chain) == 0 {
		return []Problem{{true, portal.Say("chain-empty", "the file holds no certificate")}}
	}
	leaf := chain[0]
	var list []Problem
	fail := func(key, format string, args ...any) {
		list = append(list, Problem{true, portal.Say(key, format, args...)})
	}
	switch {
	case nameless(leaf):
		fail("chain-nameless", "it has no subject alternative name, only the common name %q, which browsers no longer read: request one with the DNS name %s",
			leaf.Subject.CommonName, host)
	case leaf.VerifyHostname(host) != nil:
		fail("chain-other-host", "it is for %s and not for %s, so browsers warn of another site: request one with the DNS name %s, or correct public_url", namesOf(leaf), host, host)
	}
	switch left := leaf.NotAfter.Sub(now); {
	case left <= 0:
		fail("chain-ended", "it ended on %s: put a new one in its place", day(leaf.NotAfter))
	case now.Before(leaf.NotBefore):
		fail("chain-early", "it is valid from %s on only: use it then, or set this machine's clock", day(leaf.NotBefore))
	case left < renewBefore:
		list = append(list, Problem{false, portal.Say("chain-ends", "it ends on %s, in %d days: renew it", day(leaf.NotAfter), int(left/(24*time.Hour)))})
	}
	if words := chainFault(chain, roots); words.Key != "" {
		list = append(list, Problem{true, words})
	}
	return list
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// namesOf lists the names in a certificate, not all of many.
func namesOf(c *x509.Certificate) string {
	const most = 5
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) > most {
		names = append(names[:most], "…")
	}
	return strings.Join(names, ", ")
}

// chainFault returns why clients cannot follow a chain to a root; nothing when they can, or
// when nothing is known of their roots and the chain goes on.
func chainFault(chain []*x509.Certificate, roots *x509.CertPool) portal.Sentence {
	leaf := chain[0]
	if selfSigned(leaf) {
		return portal.Say("chain-self", "it is signed by itself, so browsers and phones warn of it: take one from a CA that they trust; "+
			"or leave tls.certificate and tls.key out, and the portal makes one from its own CA")
	}
	unknown := roots == nil || roots.Equal(x509.NewCertPool())
	if unknown && len(chain) > 1 {
		return portal.Sentence{}
	}
	if unknown {
		roots = x509.NewCertPool() // nil would mean those of the system
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		CurrentTime: leaf.NotAfter.Add(-time.Second), // its own end is another problem
	})
	if err == nil {
		return portal.Sentence{}
	}
	return explainChain(chain, err)
}

func explainChain(chain []*x509.Certificate, err error) portal.Sentence {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
		return portal.Say("chain-usage", "it is not for servers: request one with the extended key usage server authentication")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return portal.Say("chain-ca-ended", "the CA %q in its chain ends before it: put the CA's newer certificate into the file", invalid.Cert.Subject)
	case !errors.As(err, &unknown):
		return portal.Say("chain-refused", "clients refuse its chain: %v", err)
	}
	for i, c := range chain {
		if weak(c.SignatureAlgorithm) && !selfSigned(c) {
			return portal.Say("chain-weak", "certificate %d of the chain, %q, is signed with %s, which clients refuse: issue it again with SHA-256", i+1, c.Subject, c.SignatureAlgorithm)
		}
	}
	top := chain[0]
	for range chain {
		for _, c := range chain[1:] {
			if !selfSigned(top) && bytes.Equal(top.RawIssuer, c.RawSubject) {
				top = c
				break
			}
		}
	}
	if selfSigned(top) {
		return portal.Say("chain-root", "its root %q is none that this machine trusts, and phones warn until they trust it: name the root in anchors too, "+
			"or take a certificate from a public CA", top.Subject)
	}
	return portal.Say("chain-incomplete", "the chain is not complete: the file ends with %q, and its issuer %q is not in it. Append the certificate of that CA "+
		"(public CAs call the whole file fullchain); if the issuer is a root of your own, name it in anchors", top.Subject, top.Issuer)
}

// selfSigned reports whether a certificate is signed with its own key.
func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}
