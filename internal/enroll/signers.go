package enroll

import (
	"context"
	"crypto/x509"
	"fmt"

	"certportal/ca"
	"certportal/internal/portal"
)

// signers are the CAs whose certificates the portal delivers and renews.
type signers struct {
	chain     func(leaf *x509.Certificate) []*x509.Certificate
	upstreams map[string]*Upstream        // by name
	refresh   func(context.Context) error // reads again which authorities there are
}

// recorded parses a certificate that the store returned, for delivery, and verifies that it is
// what a CA of this portal signed: a disk that flips a bit says nothing (fault F11).
func (s signers) recorded(ctx context.Context, serial ca.Serial, der []byte) (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parsing certificate %s: %w", serial, err)
	}
	issued, err := s.issued(ctx, cert)
	if err != nil {
		return nil, err
	}
	if named, err := ca.SerialOf(cert.SerialNumber); err != nil || named != serial || !issued {
		return nil, fmt.Errorf("certificate %s is not delivered: what is stored is not what a CA of this machine signed; "+
			"run certportal audit verify --certificates, and see certportal ca show for a CA whose files are missing here", serial)
	}
	return cert, nil
}

// issued reports whether an issuing CA of this portal signed a certificate that is recorded.
// Another replica may have issued it by a CA that this one did not read yet, so it reads again
// before it says no. Strangers cannot make it read: what is not recorded never comes here.
func (s signers) issued(ctx context.Context, cert *x509.Certificate) (bool, error) {
	if s.know(cert) {
		return true, nil
	}
	err := s.refresh(ctx)
	if s.know(cert) {
		return true, nil
	}
	return false, portal.AsOutage(portal.PartStore, "reading the issuing CAs again", err)
}

func (s signers) know(cert *x509.Certificate) bool {
	for _, u := range s.upstreams {
		if u.issued(cert) {
			return true
		}
	}
	chain := s.chain(cert)
	return len(chain) > 0 && cert.CheckSignatureFrom(chain[0]) == nil
}
