package ca

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// ServerConfig describes the TLS certificate of the portal itself.
type ServerConfig struct {
	// Names are host names in ASCII and IP addresses, at least one; the first
	// becomes the common name.
	Names    []string
	Validity time.Duration // Optional: default 365 days, at most 825 days, Apple's limit
	Backdate time.Duration // Optional: default 5 minutes, at most 1 hour
}

// maxServerValidity is Apple's limit for TLS certificates under a root that a user
// installed.
const maxServerValidity = 825 * 24 * time.Hour

// names are the subject alternative names of a server certificate.
type names struct {
	hosts     []string
	addresses []net.IP
}

// TemporaryServerCertificate makes a TLS certificate that its own key signs, which no client
// trusts, for a portal whose CA cannot issue. It is valid for a week.
func TemporaryServerCertificate(key crypto.Signer, hosts []string, now time.Time) (*x509.Certificate, error) {
	serves, err := parseNames(hosts)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: hosts[0], OrganizationalUnit: []string{"temporary, of no CA"}},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(7 * 24 * time.Hour), DNSNames: serves.hosts, IPAddresses: serves.addresses,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func (cfg ServerConfig) prepare(i *Issuer, pub crypto.PublicKey, now time.Time) (*Prepared, error) {
	serves, err := parseNames(cfg.Names)
	if err != nil {
		return nil, err
	}
	want, err := i.newOwnSpec(cfg.Validity, cfg.Backdate, pub, now)
	if err != nil {
		return nil, fmt.Errorf("preparing server certificate: %w", err)
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: cfg.Names[0]},
		DNSNames:    serves.hosts,
		IPAddresses: serves.addresses,
		// TLS 1.3 and the ECDHE suites only sign with this key.
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	want.names = serves
	return i.prepare(template, want)
}

// OwnConfig describes one of the portal's own certificates: a [ServerConfig],
// [ResponderConfig], [RAConfig] or [AuditSignerConfig].
type OwnConfig interface {
	prepare(i *Issuer, pub crypto.PublicKey, now time.Time) (*Prepared, error)
}

// PrepareOwn builds and lints one of the portal's own certificates, to be signed by
// [Issuer.Sign]. The errors are those of [Issuer.Prepare], with Field "name" in a
// [*SubjectError], and those of an invalid setting. A [*KeyError] is also returned for
// an RA without an RSA key, and for an audit signer without an EC key.
func (i *Issuer) PrepareOwn(cfg OwnConfig, pub crypto.PublicKey, now time.Time) (*Prepared, error) {
	return cfg.prepare(i, pub, now)
}

// newOwnSpec checks times and key of one of the portal's own certificates.
func (i *Issuer) newOwnSpec(length, backdate time.Duration, pub crypto.PublicKey, now time.Time) (*spec, error) {
	kind, err := KindOf(pub)
	if err != nil {
		return nil, err
	}
	length, backdate, err = checkTimes(length, backdate, maxServerValidity)
	if err != nil {
		return nil, err
	}
	if err := i.publication.check(); err != nil {
		return nil, err
	}
	valid, err := i.period(now, backdate, length)
	if err != nil {
		return nil, err
	}
	return &spec{publication: i.publication, validity: valid, pub: pub, kind: kind}, nil
}

// parseNames separates host names and IP addresses. Wildcards are refused, because
// the host names of the portal are known.
func parseNames(list []string) (*names, error) {
	if len(list) == 0 {
		return nil, &SubjectError{Field: "name", Reason: "is missing"}
	}
	var n names
	for i, name := range list {
		if slices.Contains(list[:i], name) {
			return nil, &SubjectError{Field: "name", Reason: "stands twice"}
		}
		if address, err := netip.ParseAddr(name); err == nil && address.Zone() == "" {
			n.addresses = append(n.addresses, net.IP(address.Unmap().AsSlice()))
			continue
		}
		if !validHost(name) {
			return nil, &SubjectError{Field: "name", Reason: "is neither a lower-case ASCII host name of at most 64 characters nor an IP address"}
		}
		n.hosts = append(n.hosts, name)
	}
	return &n, nil
}

// validHost accepts the preferred syntax of RFC 1034 section 3.5, in lower case and
// short enough for a common name.
func validHost(name string) bool {
	if len(name) > maxCommonName {
		return false
	}
	for _, label := range strings.Split(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		if strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}

// serverRules gives the lints of the portal's TLS certificate.
func serverRules() []rule {
	return []rule{
		{"server-names", "RFC 9525 section 6", lintServerNames},
		{"server-usage", "RFC 5280 section 4.2.1.12", lintServerUsage},
		{"extensions-known", "golden list of the server profile", lintKnownServer},
	}
}

func lintServerNames(cert *x509.Certificate, want *spec) error {
	var entries []asn1.RawValue
	for _, host := range want.names.hosts {
		entries = append(entries, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, Bytes: []byte(host)})
	}
	for _, address := range want.names.addresses {
		entries = append(entries, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 7, Bytes: address})
	}
	e, _ := extensionOf(cert, oidSAN())
	return equalDER(e.Value, entries)
}

func lintServerUsage(cert *x509.Certificate, _ *spec) error {
	e, _ := extensionOf(cert, oidExtKeyUsage())
	if err := equalDER(e.Value, []asn1.ObjectIdentifier{oidServerAuth()}); err != nil {
		return fmt.Errorf("extended key usage is not serverAuth alone: %w", err)
	}
	if e, _ := extensionOf(cert, oidKeyUsage()); !bytes.Equal(e.Value, []byte{0x03, 0x02, 0x07, 0x80}) || !e.Critical {
		return errors.New("key usage is not a critical digitalSignature alone")
	}
	return nil
}

func lintKnownServer(cert *x509.Certificate, _ *spec) error {
	return allowedOnly(cert)
}
