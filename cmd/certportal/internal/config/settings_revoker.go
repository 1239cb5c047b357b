package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"certportal/ca"
)

// maxRevokers is how many certificates one revoker may have: one takes the place of the other.
const maxRevokers = 2

// HasRevoker reports whether a host revokes for a CA.
func (s *Settings) HasRevoker(u UpstreamSettings) bool {
	return s.ListenRevoker != "" && u.RevokerCertificate != ""
}

// checkRevokers checks what is set for hosts of CAs that cannot be asked to revoke.
func (s *Settings) checkRevokers() error {
	var errs []error
	any := false
	for i, u := range s.Upstreams {
		any = any || u.RevokerCertificate != ""
		if u.RevokerCertificate != "" && s.ListenRevoker == "" {
			errs = append(errs, fmt.Errorf("upstreams[%d].revoker_certificate: name the address for it in listen_revoker", i))
		}
	}
	switch {
	case s.ListenRevoker != "" && !listenable(s.ListenRevoker):
		errs = append(errs, mistake("listen_revoker", s.ListenRevoker, "write ADDRESS:PORT with a port of 0 to 65535, or nothing for none"))
	case s.ListenRevoker != "" && !any:
		errs = append(errs, mistake("listen_revoker", s.ListenRevoker, "name the certificate of the host that may use it in revoker_certificate of one of upstreams"))
	}
	return errors.Join(errs...)
}

// ReadRevoker reads the certificates of the host that revokes for the CA; none without. A file
// that other accounts can change is refused, as it is read for every connection.
func (u UpstreamSettings) ReadRevoker() ([]*x509.Certificate, error) {
	if u.RevokerCertificate == "" {
		return nil, nil
	}
	if err := checkNamed(u.RevokerCertificate, access{readers: true}); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(u.RevokerCertificate)
	if err != nil {
		return nil, err
	}
	certs, err := ca.ParseAnchors(text)
	if err != nil {
		return nil, err
	}
	for _, cert := range certs {
		if cert.IsCA {
			return nil, fmt.Errorf("%s: %s is a CA: write the certificate of the host itself, without its chain", u.RevokerCertificate, cert.Subject)
		}
	}
	if len(certs) > maxRevokers {
		return nil, fmt.Errorf("%s: it holds %d certificates: write that of the host, and its next one beside it", u.RevokerCertificate, len(certs))
	}
	return certs, nil
}
