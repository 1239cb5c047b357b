package deliver

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"
)

// Signer is the key and certificate that sign a profile. With the publicly trusted TLS
// certificate of the portal, an iPhone shows "Verified".
type Signer struct {
	// Chain is the certificate of Key, then the CAs above it, nearest first.
	// Self-signed CAs are left out of the signature.
	Chain []*x509.Certificate

	// Key is RSA or ECDSA, in memory or in a hardware token. Signatures are
	// deterministic, so that ranges of one file fit together, except for an ECDSA key
	// in a token.
	Key crypto.Signer
}

// Sign makes a CMS SignedData (RFC 5652) with embedded content, in DER, with SHA-256
// and the signing time at. If at is before notBefore of the certificate, notBefore is
// used, because a device would refuse the signature.
//
// Sign uses no CMS package because those use the current time and randomized ECDSA
// signatures: a phone that requests the second half of a file would get that of
// another file.
func Sign(content []byte, s Signer, at time.Time) ([]byte, error) {
	algorithm, err := s.algorithm()
	if err != nil {
		return nil, fmt.Errorf("signing profile: %w", err)
	}
	if begin := s.Chain[0].NotBefore; at.Before(begin) {
		at = begin
	}
	attributes, err := signedAttributes(content, at)
	if err != nil {
		return nil, fmt.Errorf("signing profile: %w", err)
	}
	signature, err := s.sign(attributes)
	if err != nil {
		return nil, fmt.Errorf("signing profile: %w", err)
	}
	leaf := s.Chain[0]
	sha := pkix.AlgorithmIdentifier{Algorithm: oidSHA256()}
	signed := signedData{
		Version: 1, Digests: []pkix.AlgorithmIdentifier{sha}, Certificates: s.certificates(),
		Signers: []signerInfo{{
			Version: 1, Issuer: issuerAndSerial{asn1.RawValue{FullBytes: leaf.RawIssuer}, leaf.SerialNumber},
			Digest: sha, Attributes: attributes, Algorithm: algorithm, Signature: signature,
		}},
	}
	if signed.Content, err = dataContent(content); err != nil {
		return nil, fmt.Errorf("encoding signed profile: %w", err)
	}
	der, err := asn1.Marshal(signed)
	if err != nil {
		return nil, fmt.Errorf("encoding signed profile: %w", err)
	}
	outer := contentInfo{
		Type:    asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2},
		Content: asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: der},
	}
	if der, err = asn1.Marshal(outer); err != nil {
		return nil, fmt.Errorf("encoding signed profile: %w", err)
	}
	return der, nil
}

// Check returns the error with which Sign would refuse the signer, so that callers can
// check one when it is configured.
func (s Signer) Check() error {
	_, err := s.algorithm()
	return err
}

// algorithm returns the AlgorithmIdentifier of the signature (RFC 5754 section 3). It
// refuses algorithms that phones do not verify, and a key that does not belong to the
// certificate.
func (s Signer) algorithm() (pkix.AlgorithmIdentifier, error) {
	none := pkix.AlgorithmIdentifier{}
	if len(s.Chain) == 0 || s.Key == nil {
		return none, errors.New("certificate or key of the signer is missing")
	}
	public, ok := s.Key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(s.Chain[0].PublicKey) {
		return none, errors.New("key does not belong to the signer's certificate")
	}
	switch key := s.Key.Public().(type) {
	case *rsa.PublicKey:
		return pkix.AlgorithmIdentifier{
			Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, Parameters: asn1.NullRawValue,
		}, nil
	case *ecdsa.PublicKey:
		return pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}, nil
	default:
		return none, fmt.Errorf("signer's key of type %T is neither RSA nor ECDSA", key)
	}
}

// sign signs the attributes, as a SET (RFC 5652 section 5.4).
func (s Signer) sign(attributes asn1.RawValue) ([]byte, error) {
	set, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: attributes.Bytes})
	if err != nil {
		return nil, fmt.Errorf("encoding signed attributes: %w", err)
	}
	sum := sha256.Sum256(set)
	var random io.Reader = rand.Reader
	if _, inMemory := s.Key.(*ecdsa.PrivateKey); inMemory {
		random = nil // a deterministic signature (RFC 6979)
	}
	return s.Key.Sign(random, sum[:], crypto.SHA256)
}

// certificates makes the SET of the chain, without roots above the leaf.
func (s Signer) certificates() asn1.RawValue {
	var all []byte
	for _, c := range append(s.Chain[:1:1], withoutRoots(s.Chain[1:])...) {
		all = append(all, c.Raw...)
	}
	return asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: all}
}

// signedAttributes makes the attributes content type, signing time and digest (RFC 5652
// section 11), tagged [0]. encoding/asn1 sorts the SET as DER demands.
func signedAttributes(content []byte, at time.Time) (asn1.RawValue, error) {
	sum := sha256.Sum256(content)
	var list []attribute
	for _, a := range []struct {
		last  int
		value any
	}{{3, oidData()}, {4, sum[:]}, {5, at.UTC().Truncate(time.Second)}} {
		der, err := asn1.Marshal(a.value)
		if err != nil {
			return asn1.RawValue{}, fmt.Errorf("encoding signed attribute: %w", err)
		}
		list = append(list, attribute{
			ID:     asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, a.last},
			Values: asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: der},
		})
	}
	der, err := asn1.MarshalWithParams(list, "set")
	if err != nil {
		return asn1.RawValue{}, fmt.Errorf("encoding signed attributes: %w", err)
	}
	var set asn1.RawValue
	if err := parse(der, &set); err != nil {
		return asn1.RawValue{}, fmt.Errorf("encoding signed attributes: %w", err)
	}
	return asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: set.Bytes}, nil
}

// signedData is SignedData (RFC 5652 section 5.1).
type signedData struct {
	Version      int
	Digests      []pkix.AlgorithmIdentifier `asn1:"set"`
	Content      contentInfo
	Certificates asn1.RawValue
	Signers      []signerInfo `asn1:"set"`
}

// signerInfo is SignerInfo (RFC 5652 section 5.3).
type signerInfo struct {
	Version    int
	Issuer     issuerAndSerial
	Digest     pkix.AlgorithmIdentifier
	Attributes asn1.RawValue
	Algorithm  pkix.AlgorithmIdentifier
	Signature  []byte
}

// issuerAndSerial names the signer's certificate (RFC 5652 section 10.2.4).
type issuerAndSerial struct {
	Issuer asn1.RawValue
	Serial *big.Int
}
