package enroll

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"certportal/ca"
)

// MaxRequest is the longest certificate request that is read, in bytes; one with
// an RSA 4096 key takes less than two thousand.
const MaxRequest = 16 << 10

// KeyRequest is all that is taken from a certificate request (PKCS #10, RFC
// 2986): names, usages and whatever else it asks for are not even looked at.
type KeyRequest struct {
	Key       crypto.PublicKey
	Challenge string // challengePassword (RFC 2985 section 5.4.1); empty without
}

// ParseKeyRequest reads a certificate request in DER, checks that it was signed
// with the key it names, and that this is a key the portal certifies: else the
// error is a [*ca.KeyError].
func ParseKeyRequest(raw []byte) (KeyRequest, error) {
	if len(raw) > MaxRequest {
		return KeyRequest{}, fmt.Errorf("reading certificate request of %d bytes: limit is %d", len(raw), MaxRequest)
	}
	csr, err := x509.ParseCertificateRequest(raw)
	if err != nil {
		return KeyRequest{}, fmt.Errorf("parsing certificate request: %w", err)
	}
	if _, err := ca.KindOf(csr.PublicKey); err != nil {
		return KeyRequest{}, err
	}
	if !slices.Contains(soundSignatures(), csr.SignatureAlgorithm) {
		return KeyRequest{}, fmt.Errorf("reading certificate request: signature algorithm %s is not taken", csr.SignatureAlgorithm)
	}
	if err := csr.CheckSignature(); err != nil {
		return KeyRequest{}, fmt.Errorf("checking possession of the key: %w", err)
	}
	challenge, err := challengePassword(csr.RawTBSCertificateRequest)
	if err != nil {
		return KeyRequest{}, fmt.Errorf("reading attributes of certificate request: %w", err)
	}
	return KeyRequest{Key: csr.PublicKey, Challenge: challenge}, nil
}

// soundSignatures leaves out SHA-1, which the library still verifies in requests.
func soundSignatures() []x509.SignatureAlgorithm {
	return []x509.SignatureAlgorithm{
		x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512,
	}
}

// challengePassword finds the one attribute of that name. Two of them, or one
// with two values, could be read in two ways and are refused.
func challengePassword(tbs []byte) (string, error) {
	input := cryptobyte.String(tbs)
	var attributes cryptobyte.String
	tag := der.Tag(0).ContextSpecific().Constructed()
	if !input.ReadASN1(&input, der.SEQUENCE) || !input.SkipASN1(der.INTEGER) || !input.SkipASN1(der.SEQUENCE) ||
		!input.SkipASN1(der.SEQUENCE) || !input.ReadOptionalASN1(&attributes, nil, tag) {
		return "", errors.New("structure is not that of a request")
	}
	found, challenge := false, ""
	for !attributes.Empty() {
		var attribute, values cryptobyte.String
		var id []byte
		if !attributes.ReadASN1(&attribute, der.SEQUENCE) || !attribute.ReadASN1((*cryptobyte.String)(&id), der.OBJECT_IDENTIFIER) ||
			!attribute.ReadASN1(&values, der.SET) {
			return "", errors.New("attribute is not a type and a set of values")
		}
		if string(id) != challengeAttribute {
			continue
		}
		var value cryptobyte.String
		var kind der.Tag
		if found || !values.ReadAnyASN1(&value, &kind) || !values.Empty() {
			return "", errors.New("challenge is not one attribute with one value")
		}
		if kind != der.PrintableString && kind != der.UTF8String && kind != der.IA5String {
			return "", errors.New("challenge is not a text")
		}
		found, challenge = true, string(value)
	}
	return challenge, nil
}

// challengeAttribute is 1.2.840.113549.1.9.7 as the contents of its DER.
const challengeAttribute = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x07"
