package directory

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
	"certportal/internal/servercert"
)

// explainDialError returns why a server cannot be reached and what to do, in words for an
// administrator.
func explainDialError(s *server, err error) portal.Sentence {
	if words := explainCertificateError(s, err); words.Key != "" {
		return words
	}
	var noTLS tls.RecordHeaderError
	var alert tls.AlertError
	var noName *net.DNSError
	var refused *ldap.Error
	switch {
	case errors.As(err, &refused):
		return portal.Say("dial-starttls", "The server refuses StartTLS (%v). A domain controller needs a certificate for it; "+
			"nothing is sent to it without TLS.", refused)
	case errors.As(err, &noTLS):
		return portal.Say("dial-no-tls", "%s answers without TLS. Write ldap://%s for StartTLS, or the port of LDAPS, 636.", s.address, s.host)
	case errors.As(err, &alert):
		return portal.Say("dial-version", "The server does not agree on TLS 1.2 or newer (%v).", alert)
	case errors.As(err, &noName):
		return portal.Say("dial-name", "The name %s is not known to DNS. Correct directory.servers, or this machine's DNS.", s.host)
	case errors.Is(err, syscall.ECONNREFUSED):
		return portal.Say("dial-closed", "Nothing listens at %s. Is the server running, and is this its port?", s.address)
	case errors.Is(err, errTimeout), errors.Is(err, os.ErrDeadlineExceeded), isTimeout(err):
		return portal.Say("dial-silent", "%s does not answer in time. Is a firewall in between?", s.address)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return portal.Say("dial-cut", "%s closes the connection when TLS begins: a domain controller without a certificate does so.", s.address)
	}
	return portal.Say("dial-other", "Connecting to %s: %v.", s.address, err)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// explainCertificateError returns what is wrong with a server's certificate; without a key
// when it is something else.
func explainCertificateError(s *server, err error) portal.Sentence {
	var unverified *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	var invalid x509.CertificateInvalidError
	fault := servercert.Fault(err)
	switch {
	case fault != "":
		return portal.Say("dial-cert-fault", "The server's certificate %s.", fault)
	case errors.As(err, &wrongName):
		return portal.Say("dial-cert-name", "The server's certificate is for %s and not for %s. Write one of those names into directory.servers.",
			list(certificateNames(wrongName.Certificate)), s.host)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return portal.Say("dial-cert-ended", "A certificate of the server, %q, is valid from %s to %s and not now. Renew it, or set the clock.",
			invalid.Cert.Subject, invalid.Cert.NotBefore.UTC().Format(time.DateOnly), invalid.Cert.NotAfter.UTC().Format(time.DateOnly))
	case errors.As(err, &unknown) && errors.As(err, &unverified) && len(unverified.UnverifiedCertificates) > 0:
		chain := unverified.UnverifiedCertificates
		return portal.Say("dial-cert-unknown", "The server's certificate comes from a CA that is not trusted here: %q. "+
			"Put the certificate of this CA into directory.ca_file.", chain[len(chain)-1].Issuer)
	case errors.As(err, &unverified):
		return portal.Say("dial-cert-other", "The server's certificate is not accepted: %v.", unverified.Err)
	}
	return portal.Sentence{}
}

func certificateNames(c *x509.Certificate) []string {
	names := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}
