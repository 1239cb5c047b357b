package config

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"certportal/internal/notify"
)

// ACMESettings name a server that issues the TLS certificate for the hosts of public_url and
// of the check page by ACME (RFC 8555), in the place of tls.certificate. The server fetches
// http://HOST/.well-known/acme-challenge/TOKEN: port 80 of both hosts must reach listen_http.
type ACMESettings struct {
	// Address of the server's directory, such as https://acme-v02.api.letsencrypt.org/directory
	// of Let's Encrypt. Empty: none.
	Directory string `yaml:"directory"`

	// Say true when you accept the terms of service of the server.
	AcceptTerms bool `yaml:"accept_terms"`

	// Mail addresses for the account at the server. Optional.
	Contact []string `yaml:"contact"`

	// File with the CA certificates (PEM or DER) that sign the server's own TLS
	// certificate. Default: the CAs this machine trusts.
	CAFile string `yaml:"ca_file"`

	// Key id that a server for its customers only gave you (external account binding).
	AccountID string `yaml:"account_id"`

	// File with its MAC key in base64url, likewise.
	AccountKeyFile string `yaml:"account_key_file"`
}

// ACMENames are the names in the certificate by ACME, that of the portal first.
func (s *Settings) ACMENames(public Addresses) []string {
	var names []string
	for _, u := range []*url.URL{public.HTTPS, public.Check} {
		if u == nil {
			continue
		}
		name := strings.ToLower(u.Hostname())
		if _, err := netip.ParseAddr(name); err != nil && isHostName(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// ACMERoots are the CAs of tls.acme.ca_file; nil for those of this machine.
func (s *Settings) ACMERoots() (*x509.CertPool, error) { return ReadRoots(s.TLS.ACME.CAFile) }

// ACMEAccountKey reads the key of tls.acme.account_key_file; nil without one.
func (s *Settings) ACMEAccountKey() ([]byte, error) {
	if s.TLS.ACME.AccountKeyFile == "" {
		return nil, nil
	}
	text, err := ReadSecret(s.TLS.ACME.AccountKeyFile)
	if err != nil {
		return nil, err
	}
	key, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(string(text)), "="))
	if err != nil || len(key) == 0 {
		return nil, errors.New("it holds no key in base64url (RFC 4648 section 5): copy it from where the server's operator shows it")
	}
	return key, nil
}

// checkACME finds mistakes in the settings of the ACME server.
func (s *Settings) checkACME() error {
	a := s.TLS.ACME
	var errs []error
	for i, address := range a.Contact {
		if !notify.Deliverable(address) {
			errs = append(errs, mistake(fmt.Sprintf("tls.acme.contact[%d]", i), address, "write one bare address, such as pki@corp.example"))
		}
	}
	if (a.AccountID == "") != (a.AccountKeyFile == "") {
		errs = append(errs, mistake("tls.acme.account_id", a.AccountID, "give it together with tls.acme.account_key_file"))
	}
	if a.Directory == "" {
		return errors.Join(errs...)
	}
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" {
		errs = append(errs, mistake("tls.acme.directory", a.Directory, "write the address of the directory, such as https://acme-v02.api.letsencrypt.org/directory"))
	}
	if !a.AcceptTerms {
		errs = append(errs, mistake("tls.acme.accept_terms", a.AcceptTerms, "read the terms of service of the server and say true: it takes no order otherwise"))
	}
	if s.TLS.Certificate != "" || s.TLS.Key != "" {
		errs = append(errs, mistake("tls.acme.directory", a.Directory, "give tls.certificate or tls.acme, not both"))
	}
	for key, address := range map[string]string{"public_url": s.PublicURL, "public_check_url": s.PublicCheckURL} {
		u, err := url.Parse(address)
		if err != nil || key == "public_check_url" && address == "" {
			continue // reported with the addresses
		}
		if _, numbers := netip.ParseAddr(u.Hostname()); numbers == nil || !isHostName(u.Hostname()) {
			errs = append(errs, mistake(key, address, "write a host name: tls.acme orders a certificate for it"))
		}
	}
	return errors.Join(errs...)
}

// checkACMEFiles reads the files of the ACME server.
func (s *Settings) checkACMEFiles() error {
	var errs []error
	if _, err := s.ACMERoots(); err != nil {
		errs = append(errs, fmt.Errorf("tls.acme.ca_file: %w", err))
	}
	if _, err := s.ACMEAccountKey(); err != nil {
		errs = append(errs, fmt.Errorf("tls.acme.account_key_file: %w", err))
	}
	return errors.Join(errs...)
}
