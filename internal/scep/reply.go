package scep

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"fmt"

	"github.com/smallstep/pkcs7"
	wire "github.com/smallstep/scep"
)

// failure is the answer to a request that is refused (RFC 8894 section 3.3.2.2):
// signed attributes about no content at all.
func (a *agent) failure(m message, info wire.FailInfo) ([]byte, error) {
	return a.reply(m, nil, pkcs7.Attribute{Type: oidStatus(), Value: string(wire.FAILURE)},
		pkcs7.Attribute{Type: oidFailInfo(), Value: string(info)})
}

// success is the answer that carries the certificate, for the device's eyes
// alone: names of people travel over plain http here.
func (a *agent) success(m message, algorithm asn1.ObjectIdentifier, cert *x509.Certificate) ([]byte, error) {
	bundle, err := pkcs7.DegenerateCertificate(cert.Raw)
	if err != nil {
		return nil, fmt.Errorf("bundling certificate: %w", err)
	}
	sealed, err := sealFor(m.signer, algorithm, bundle)
	if err != nil {
		return nil, err
	}
	return a.reply(m, sealed, pkcs7.Attribute{Type: oidStatus(), Value: string(wire.SUCCESS)})
}

// reply signs a CertRep with SHA-256, said here because the library begins with
// SHA-1.
func (a *agent) reply(m message, content []byte, more ...pkcs7.Attribute) ([]byte, error) {
	nonce := make([]byte, 16)
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("making nonce: %w", err)
	}
	signed, err := pkcs7.NewSignedData(content)
	if err != nil {
		return nil, fmt.Errorf("encoding answer: %w", err)
	}
	signed.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	attributes := append([]pkcs7.Attribute{
		{Type: oidTransaction(), Value: asn1.RawValue{FullBytes: m.transaction.FullBytes}},
		{Type: oidMessageType(), Value: string(wire.CertRep)},
		{Type: oidSenderNonce(), Value: nonce},
		{Type: oidRecipientNonce(), Value: m.nonce},
	}, more...)
	err = signed.AddSigner(a.cert, a.key, pkcs7.SignerInfoConfig{ExtraSignedAttributes: attributes})
	if err != nil {
		return nil, fmt.Errorf("signing answer: %w", err)
	}
	if content == nil {
		signed.Detach()
	}
	return signed.Finish()
}
