package web

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
)

var (
	// errNoCertificate means that the client showed no certificate.
	errNoCertificate = errors.New("no client certificate")

	errCertificateHeader = errors.New("the header of the client certificate is none of the known forms")
)

// proxyHeader reads the certificate of a client: from its handshake with the portal, or,
// where a trusted proxy ended TLS, from the header in which the proxy sends it.
type proxyHeader struct {
	name    string // empty: no proxy ends TLS
	proxies []netip.Prefix
	log     *slog.Logger
	claimed sync.Once // logs that an address which is no trusted proxy sends the header
}

// certificateOf gives the certificate whose key the client proved to hold, or
// errNoCertificate.
func (p *proxyHeader) certificateOf(r *http.Request) (*x509.Certificate, error) {
	values := r.Header.Values(p.name)
	if p.name != "" && p.trusts(r) {
		return certificateIn(values)
	}
	if p.name != "" && len(values) > 0 {
		p.claimed.Do(func() {
			p.log.Warn("an address that is no trusted proxy sends the header of a client certificate, which is ignored", "address", r.RemoteAddr)
		})
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, errNoCertificate
	}
	return r.TLS.PeerCertificates[0], nil
}

func (p *proxyHeader) trusts(r *http.Request) bool {
	peer, ok := parseClientAddress(r.RemoteAddr)
	return ok && slices.ContainsFunc(p.proxies, func(prefix netip.Prefix) bool { return prefix.Contains(peer) })
}

// certificateIn reads the header in the forms of RFC 9440 (base64 between colons), of
// nginx ($ssl_client_escaped_cert, PEM in percent-encoding), of Apache (PEM with blanks
// for line ends) and of HAProxy (base64 of the DER). More than one value is refused: one
// of them is not the proxy's.
func certificateIn(values []string) (*x509.Certificate, error) {
	if len(values) > 1 {
		return nil, fmt.Errorf("%w: it comes %d times", errCertificateHeader, len(values))
	}
	if len(values) == 0 || values[0] == "" || values[0] == "(null)" {
		return nil, errNoCertificate
	}
	der, err := derIn(values[0])
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCertificateHeader, err)
	}
	return cert, nil
}

func derIn(value string) ([]byte, error) {
	const begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
	if strings.Contains(value, "%") {
		plain, err := url.PathUnescape(value)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errCertificateHeader, err)
		}
		value = plain
	}
	if body, found := strings.CutPrefix(value, begin); found {
		body, _, _ = strings.Cut(body, end)
		block, _ := pem.Decode([]byte(begin + "\n" + strings.Join(strings.Fields(body), "\n") + "\n" + end + "\n"))
		if block == nil {
			return nil, errCertificateHeader
		}
		return block.Bytes, nil
	}
	der, err := base64.StdEncoding.DecodeString(strings.Trim(value, ":"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCertificateHeader, err)
	}
	return der, nil
}
