package localca

import (
	"net/url"

	"certportal/ca"
)

// The names of the own root and of the first issuing CA, in the store and in the addresses
// of their lists.
const (
	RootName    = ca.RootName
	IssuingName = ca.FirstAuthority
)

// CRLURL is the address of an issuer's CRL below the plain-http address.
func CRLURL(base *url.URL, issuer string) string { return base.JoinPath("crl", issuer+".crl").String() }

// CertificateURL is the address of a CA certificate (AIA caIssuers).
func CertificateURL(base *url.URL, issuer string) string {
	return base.JoinPath("ca", issuer+".cer").String()
}

// OCSPURL is the address of the OCSP responder.
func OCSPURL(base *url.URL) string { return base.JoinPath("ocsp").String() }

// published are the addresses in the certificates of an authority. None without base.
func published(base *url.URL, issuer string) ca.Publication {
	if base == nil {
		return ca.Publication{}
	}
	return ca.Publication{
		CRLURLs: []string{CRLURL(base, issuer)}, IssuerURLs: []string{CertificateURL(base, issuer)}, OCSPURLs: []string{OCSPURL(base)},
	}
}
