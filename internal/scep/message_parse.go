package scep

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"strconv"

	"github.com/smallstep/pkcs7"
	wire "github.com/smallstep/scep"

	"certportal/ca"
)

// The attributes of a message (RFC 8894 section 3.2.1).
func oidMessageType() asn1.ObjectIdentifier    { return verisign(2) }
func oidStatus() asn1.ObjectIdentifier         { return verisign(3) }
func oidFailInfo() asn1.ObjectIdentifier       { return verisign(4) }
func oidSenderNonce() asn1.ObjectIdentifier    { return verisign(5) }
func oidRecipientNonce() asn1.ObjectIdentifier { return verisign(6) }
func oidTransaction() asn1.ObjectIdentifier    { return verisign(7) }

func verisign(last int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, last}
}

const (
	maxTransaction = 255
	maxNonce       = 64
	maxAttributes  = 16
)

var (
	// errMalformed reports that a message cannot get a SCEP response.
	errMalformed = errors.New("message is malformed")

	// errSignature reports that the signature of a message is invalid.
	errSignature = errors.New("signature does not verify")
)

// message is a signed message with a verified signature.
type message struct {
	kind        wire.MessageType // not validated yet
	transaction asn1.RawValue    // unchanged, for the response
	nonce       []byte           // senderNonce
	signer      *x509.Certificate
	content     []byte // the envelope
}

// parseMessage parses the outer, signed layer. With errAlgorithm and errSignature it
// returns enough of the message for a response; with errMalformed nothing.
func parseMessage(raw []byte) (message, error) {
	normal, err := toDER(raw)
	if err != nil {
		return message{}, fmt.Errorf("%w: %w", errMalformed, err)
	}
	p7, err := pkcs7.Parse(normal)
	if err != nil {
		return message{}, fmt.Errorf("%w: %w", errMalformed, err)
	}
	if len(p7.Signers) != 1 {
		return message{}, fmt.Errorf("%w: %d signers", errMalformed, len(p7.Signers))
	}
	m := message{signer: p7.GetOnlySigner(), content: p7.Content}
	if m.signer == nil {
		return message{}, fmt.Errorf("%w: certificate of the signer is missing", errMalformed)
	}
	if err := m.readAttributes(p7); err != nil {
		return message{}, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return m, m.verify(p7)
}

// readAttributes requires each attribute once and with one value. For duplicates the
// library returns the first, and other parsers may return the last.
func (m *message) readAttributes(p7 *pkcs7.PKCS7) error {
	found := make(map[string]asn1.RawValue)
	attributes := p7.Signers[0].AuthenticatedAttributes
	if len(attributes) > maxAttributes {
		return fmt.Errorf("%d attributes", len(attributes))
	}
	for _, a := range attributes {
		var value asn1.RawValue
		if rest, err := asn1.Unmarshal(a.Value.Bytes, &value); err != nil || len(rest) > 0 {
			return fmt.Errorf("attribute %s has not one value", a.Type)
		}
		if _, twice := found[a.Type.String()]; twice {
			return fmt.Errorf("attribute %s occurs twice", a.Type)
		}
		found[a.Type.String()] = value
	}
	m.transaction = found[oidTransaction().String()]
	kind, nonce := found[oidMessageType().String()], found[oidSenderNonce().String()]
	switch {
	case !isText(m.transaction) || len(m.transaction.Bytes) == 0 || len(m.transaction.Bytes) > maxTransaction:
		return errors.New("transaction id is missing or too long")
	case !isText(kind) || len(kind.Bytes) > 3:
		return errors.New("message type is missing or too long")
	case nonce.Class != asn1.ClassUniversal || nonce.Tag != asn1.TagOctetString || len(nonce.Bytes) == 0 || len(nonce.Bytes) > maxNonce:
		return errors.New("sender nonce is missing or too long")
	}
	m.kind, m.nonce = wire.MessageType(kind.Bytes), nonce.Bytes
	return nil
}

// isText reports whether the value is a string whose octets are valid for its type: it is
// copied to the response, which the client must be able to parse.
func isText(v asn1.RawValue) bool {
	if v.Tag != asn1.TagPrintableString && v.Tag != asn1.TagUTF8String && v.Tag != asn1.TagIA5String {
		return false
	}
	var text string
	rest, err := asn1.Unmarshal(v.FullBytes, &text)
	return err == nil && len(rest) == 0
}

// verify checks the algorithms before the signature.
func (m *message) verify(p7 *pkcs7.PKCS7) error {
	// The response is encrypted to the signer, which needs an RSA key.
	if _, ok := m.signer.PublicKey.(*rsa.PublicKey); !ok {
		return fmt.Errorf("%w: signer with a key of %T", errAlgorithm, m.signer.PublicKey)
	}
	if _, err := ca.KindOf(m.signer.PublicKey); err != nil {
		return fmt.Errorf("%w: signer: %w", errAlgorithm, err)
	}
	signer := p7.Signers[0]
	if digest := signer.DigestAlgorithm.Algorithm; !isSHA2(digest) {
		return fmt.Errorf("%w: digest %s", errAlgorithm, digest)
	}
	if with := signer.DigestEncryptionAlgorithm.Algorithm; !isAcceptedSignature(with) {
		return fmt.Errorf("%w: signature %s", errAlgorithm, with)
	}
	if err := p7.Verify(); err != nil {
		return fmt.Errorf("%w: %w", errSignature, err)
	}
	return nil
}

func isSHA2(digest asn1.ObjectIdentifier) bool {
	return digest.Equal(pkcs7.OIDDigestAlgorithmSHA256) || digest.Equal(pkcs7.OIDDigestAlgorithmSHA384) ||
		digest.Equal(pkcs7.OIDDigestAlgorithmSHA512)
}

// isAcceptedSignature accepts RSA. The hash is the one of the digest algorithm, even when
// the name of the signature algorithm includes another.
func isAcceptedSignature(signature asn1.ObjectIdentifier) bool {
	for _, taken := range []asn1.ObjectIdentifier{
		pkcs7.OIDEncryptionAlgorithmRSA, pkcs7.OIDEncryptionAlgorithmRSASHA256,
		pkcs7.OIDEncryptionAlgorithmRSASHA384, pkcs7.OIDEncryptionAlgorithmRSASHA512,
	} {
		if signature.Equal(taken) {
			return true
		}
	}
	return false
}

// name returns the message type for the logs: a known name, a number or "other", never
// text that the sender chose. The library's String method panics on unknown types.
func (m message) name() string {
	switch m.kind {
	case wire.PKCSReq:
		return "PKCSReq"
	case wire.RenewalReq:
		return "RenewalReq"
	}
	n, err := strconv.ParseUint(string(m.kind), 10, 8)
	if err != nil {
		return "other"
	}
	return strconv.FormatUint(n, 10)
}
