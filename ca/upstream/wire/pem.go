package wire

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"certportal/ca/upstream"
)

// ParsePEM reads certificates in PEM (RFC 7468), at least one and no other blocks.
func ParsePEM(text string) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("PEM block is %q and no certificate", Text(block.Type))
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parsing certificate: %w", err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errors.New("no certificate in PEM")
	}
	return certs, nil
}

// ParseIssued makes an answer of a certificate in PEM and of its chain, which may hold the
// certificate too. issuer takes the place of a chain that is missing.
func ParseIssued(certificate, issuer string, chain []string) (upstream.Answer, error) {
	leaf, err := ParsePEM(certificate)
	if err != nil {
		return upstream.Answer{}, fmt.Errorf("reading issued certificate: %w", err)
	}
	if len(chain) == 0 && issuer != "" {
		chain = []string{issuer}
	}
	answer := upstream.Answer{Certificate: leaf[0]}
	for _, text := range chain {
		certs, err := ParsePEM(text)
		if err != nil {
			return upstream.Answer{}, fmt.Errorf("reading chain of issued certificate: %w", err)
		}
		answer.Chain = append(answer.Chain, slices.DeleteFunc(certs, answer.Certificate.Equal)...)
	}
	return answer, nil
}

// RequestPEM gives a certificate request in PEM (RFC 7468 section 7).
func RequestPEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}
