// Package servercert explains certificates of other servers that Go refuses although
// their CA may be trusted, so that no message advises to trust it once more.
package servercert

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// Fault returns what is wrong with the certificate of a server in the error of a TLS
// handshake, in words for an administrator: one without subject alternative names, or a
// chain with a SHA-1 or MD5 signature. It returns "" for other errors.
func Fault(err error) string {
	var name x509.HostnameError
	if errors.As(err, &name) && nameless(name.Certificate) {
		return fmt.Sprintf("has no subject alternative name, only the common name %q, which TLS clients no longer read (RFC 9525). "+
			"Issue it again with the DNS name %s among its subject alternative names", name.Certificate.Subject.CommonName, name.Host)
	}
	var unknown x509.UnknownAuthorityError
	var unverified *tls.CertificateVerificationError
	if !errors.As(err, &unknown) || !errors.As(err, &unverified) {
		return ""
	}
	for i, c := range unverified.UnverifiedCertificates {
		if !weak(c.SignatureAlgorithm) || i > 0 && bytes.Equal(c.RawSubject, c.RawIssuer) {
			continue // the signature of a root over itself is not verified
		}
		if i == 0 {
			return fmt.Sprintf("is signed with %s, which is refused from every CA. Issue it again with SHA-256", c.SignatureAlgorithm)
		}
		return fmt.Sprintf("comes from the CA %q, whose own certificate is signed with %s, which is refused. Renew that CA certificate with SHA-256",
			c.Subject, c.SignatureAlgorithm)
	}
	return ""
}

func nameless(c *x509.Certificate) bool {
	return c != nil && len(c.DNSNames) == 0 && len(c.IPAddresses) == 0 && len(c.EmailAddresses) == 0 && len(c.URIs) == 0
}

func weak(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return true
	}
	return false
}
