package ca

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Publication holds the addresses at which an authority publishes. They are written into
// the certificates that it issues, and belong to one key of one authority: they must be
// served until the last of these certificates has expired.
type Publication struct {
	// CRLURLs are the addresses of the authority's CRL, at least one, the first with
	// http; further ones may use ldap.
	CRLURLs []string
	// IssuerURLs are the addresses of the authority's certificate in DER, with http.
	// Optional.
	IssuerURLs []string
	// OCSPURLs are the addresses of OCSP responders, with http. Optional.
	OCSPURLs []string
}

// empty reports whether there is no address at all, as for a root that signs CRLs only.
func (p Publication) empty() bool {
	return len(p.CRLURLs)+len(p.IssuerURLs)+len(p.OCSPURLs) == 0
}

// clone copies the addresses, so that a later change by the caller has no effect.
func (p Publication) clone() Publication {
	return Publication{slices.Clone(p.CRLURLs), slices.Clone(p.IssuerURLs), slices.Clone(p.OCSPURLs)}
}

// check demands a CRL address, because a server that cannot check revocation refuses the
// certificate (Exchange answers 403.13). The first must use http, because servers and
// phones fetch it without directory credentials.
func (p Publication) check() error {
	if len(p.CRLURLs) == 0 {
		return errors.New("CRL addresses: want at least one")
	}
	for i, address := range p.CRLURLs {
		if err := checkURL(address, i > 0); err != nil {
			return fmt.Errorf("CRL address %d: %w", i+1, err)
		}
	}
	for i, address := range slices.Concat(p.IssuerURLs, p.OCSPURLs) {
		if err := checkURL(address, false); err != nil {
			return fmt.Errorf("issuer or OCSP address %d: %w", i+1, err)
		}
	}
	return nil
}

// checkURL refuses https: to verify that server's certificate, the client would need
// the revocation status that it is fetching (RFC 5280 section 8).
func checkURL(address string, ldap bool) error {
	for _, r := range address {
		if r <= ' ' || r > '~' {
			return fmt.Errorf("address %q: want ASCII without spaces", address)
		}
	}
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("parsing address: %w", err)
	}
	if ldap && u.Scheme == "ldap" {
		return nil
	}
	if u.Scheme != "http" || u.Hostname() == "" || u.User != nil || strings.Contains(address, "#") {
		return fmt.Errorf("address %q: want http://host/path", address)
	}
	return nil
}
