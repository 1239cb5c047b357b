package enroll

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"certportal/ca"
	"certportal/internal/portal"
)

// MaxRequest is the longest certificate request that is read, in bytes; one with
// an RSA 4096 key takes less than two thousand.
const MaxRequest = 16 << 10

// The reasons of a Denial for a request that a person pasted. The audit log keeps
// them: add, do not rename.
const (
	RequestEmpty     = "request-empty"
	RequestLong      = "request-long"        // over MaxRequest bytes
	RequestForm      = "request-form"        // not one whole certificate request in PEM
	RequestSecret    = "request-private-key" // a private key was pasted in its place
	RequestAlgorithm = "request-algorithm"   // signed with a hash or scheme that is not taken
	RequestProof     = "request-proof"       // not signed with the key it names
	RequestPlatform  = "request-platform"    // for an iPhone or iPad, which takes up no such certificate
)

var (
	errSignatureAlgorithm = errors.New("signature algorithm is not taken")
	errPossession         = errors.New("request is not signed with its key")
	errRequestForm        = errors.New("structure is not that of a request")
)

// pemBegin begins the first line of a block (RFC 7468 section 3).
const pemBegin = "-----BEGIN"

// KeyRequest is all that is taken from a certificate request (PKCS #10, RFC
// 2986): names, usages and everything else it asks for are ignored.
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
	csr, err := withoutNames(raw)
	if err != nil {
		return KeyRequest{}, fmt.Errorf("parsing certificate request: %w", err)
	}
	if _, err := ca.KindOf(csr.PublicKey); err != nil {
		return KeyRequest{}, err
	}
	if !slices.Contains(soundSignatures(), csr.SignatureAlgorithm) {
		return KeyRequest{}, fmt.Errorf("reading certificate request: %w: %s", errSignatureAlgorithm, csr.SignatureAlgorithm)
	}
	if err := csr.CheckSignature(); err != nil {
		return KeyRequest{}, fmt.Errorf("checking possession of the key: %w: %w", errPossession, err)
	}
	challenge, err := challengePassword(csr.RawTBSCertificateRequest)
	if err != nil {
		return KeyRequest{}, fmt.Errorf("reading attributes of certificate request: %w", err)
	}
	return KeyRequest{Key: csr.PublicKey, Challenge: challenge}, nil
}

// withoutNames parses the parts of a request that count: key, attributes as they are,
// signature. Names and extensions are taken out before the library parses the rest, so
// that one it cannot parse does not spoil a request of which no name is taken. The
// signature is that over the whole request.
func withoutNames(raw []byte) (*x509.CertificateRequest, error) {
	input := cryptobyte.String(raw)
	var whole, signed, fields, version, key, algorithm, signature cryptobyte.String
	if !input.ReadASN1(&whole, der.SEQUENCE) || !input.Empty() || !whole.ReadASN1Element(&signed, der.SEQUENCE) ||
		!whole.ReadASN1Element(&algorithm, der.SEQUENCE) || !whole.ReadASN1Element(&signature, der.BIT_STRING) || !whole.Empty() {
		return nil, errRequestForm
	}
	inside := signed
	if !inside.ReadASN1(&fields, der.SEQUENCE) || !fields.ReadASN1Element(&version, der.INTEGER) ||
		!fields.SkipASN1(der.SEQUENCE) || !fields.ReadASN1Element(&key, der.SEQUENCE) {
		return nil, errRequestForm
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(version)
			b.AddASN1(der.SEQUENCE, func(*cryptobyte.Builder) {})
			b.AddBytes(key)
			b.AddASN1(der.Tag(0).ContextSpecific().Constructed(), func(*cryptobyte.Builder) {})
		})
		b.AddBytes(algorithm)
		b.AddBytes(signature)
	})
	bare, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("taking out names: %w", err)
	}
	csr, err := x509.ParseCertificateRequest(bare)
	if err != nil {
		return nil, err
	}
	csr.RawTBSCertificateRequest = signed
	return csr, nil
}

// ParsePastedRequest reads a certificate request in PEM (RFC 7468 section 7) as
// people copy it: with any line ends, a byte order mark, blanks around it, explanatory
// text before it, and the older label. Every other text is refused. All errors are a
// *Denial.
func ParsePastedRequest(text string) (KeyRequest, error) {
	text = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), "\ufeff"))
	switch {
	case text == "":
		return KeyRequest{}, &portal.Denial{Why: RequestEmpty}
	case strings.Contains(text, "PRIVATE KEY-----"):
		return KeyRequest{}, &portal.Denial{Why: RequestSecret}
	case len(text) > MaxRequest:
		return KeyRequest{}, &portal.Denial{Why: RequestLong}
	}
	raw, ok := onlyRequest(text)
	if !ok {
		return KeyRequest{}, &portal.Denial{Why: RequestForm}
	}
	key, err := ParseKeyRequest(raw)
	if err != nil {
		return KeyRequest{}, fmt.Errorf("%w: %w", &portal.Denial{Why: rejectReason(err)}, err)
	}
	return key, nil
}

// onlyRequest decodes the one block of the text. Before its first line, text is passed
// over (RFC 7468 section 2), such as that of openssl req -text. The decoder passes over
// what it cannot read: a second block, or anything behind the first, could be taken for
// another request than its reader sees.
func onlyRequest(text string) ([]byte, bool) {
	before, _, found := strings.Cut(text, pemBegin+" ")
	if !found || strings.Count(text, pemBegin) != 1 || !endsLine(before) {
		return nil, false
	}
	block, rest := pem.Decode([]byte(text[len(before):]))
	if block == nil || len(block.Headers) != 0 || strings.TrimSpace(string(rest)) != "" {
		return nil, false
	}
	return block.Bytes, block.Type == "CERTIFICATE REQUEST" || block.Type == "NEW CERTIFICATE REQUEST"
}

// endsLine reports whether what follows a text begins a line, blanks apart.
func endsLine(text string) bool {
	text = strings.TrimRight(text, " \t")
	return text == "" || strings.HasSuffix(text, "\n") || strings.HasSuffix(text, "\r")
}

// rejectReason sorts the errors of ParseKeyRequest by what a person can do about them.
func rejectReason(err error) string {
	var weak *ca.KeyError
	switch {
	case errors.As(err, &weak):
		return portal.KeyRefused
	case errors.Is(err, errSignatureAlgorithm):
		return RequestAlgorithm
	case errors.Is(err, errPossession):
		return RequestProof
	}
	return RequestForm
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
		return "", errRequestForm
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
