package app

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

// profileSigner returns the signer of Apple profiles: the configured certificate, or
// the portal's current TLS certificate.
func (p *App) profileSigner() (func() ([]*x509.Certificate, crypto.Signer), error) {
	current := func() *tls.Certificate { return p.tls.forPeople() }
	if a := p.Settings.Apple; a.SignerCertificate != "" {
		pair, err := tls.LoadX509KeyPair(a.SignerCertificate, a.SignerKey)
		if err != nil {
			return nil, fmt.Errorf("apple.signer_certificate: %w", err)
		}
		current = func() *tls.Certificate { return &pair }
	}
	return func() ([]*x509.Certificate, crypto.Signer) { return chainAndKey(current()) }, nil
}

// chainAndKey takes a TLS certificate apart; nothing for one that does not parse.
func chainAndKey(pair *tls.Certificate) ([]*x509.Certificate, crypto.Signer) {
	var chain []*x509.Certificate
	for _, der := range pair.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, nil
		}
		chain = append(chain, cert)
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, nil
	}
	return chain, key
}
