package ocsp

import (
	"crypto"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"certportal/ca"
)

const (
	// MaxRequest is the maximum size of a request in octets. It fits 64 CertIDs, a
	// signature and the client's own certificates.
	MaxRequest = 64 << 10

	// maxIDs bounds the CertIDs of one request. Mail servers and phones send one, a
	// whole chain has three.
	maxIDs = 64

	// maxNonce is the longest nonce of RFC 9654 section 2.1.
	maxNonce = 128
)

// ErrMalformed is wrapped by every error about a request that cannot be parsed.
var ErrMalformed = errors.New("malformed OCSP request")

// Request is an OCSPRequest (RFC 6960 section 4.1.1). requestorName and signature are
// ignored, because the answers do not depend on the client.
type Request struct {
	IDs   []ID   // in the order asked, at least one
	Nonce []byte // 1 to 128 octets; nil for none
}

// ID names one certificate: a CertID of RFC 6960 section 4.1.1.
type ID struct {
	Hash     crypto.Hash // of the next two fields; 0 for an unsupported one
	NameHash []byte      // of the issuer's name
	KeyHash  []byte      // of the issuer's key
	Serial   ca.Serial   // zero for a number that cannot be a serial

	form form
	raw  []byte // as received: answers repeat it
}

// ParseRequest parses a request in DER. The error wraps [ErrMalformed]. The result refers
// to the octets of raw.
func ParseRequest(raw []byte) (Request, error) {
	var req Request
	if len(raw) > MaxRequest {
		return req, malformed(fmt.Sprintf("request of %d octets", len(raw)))
	}
	in := cryptobyte.String(raw)
	var outer, tbs cryptobyte.String
	if !in.ReadASN1(&outer, der.SEQUENCE) || !in.Empty() || !outer.ReadASN1(&tbs, der.SEQUENCE) {
		return req, malformed("request is not one SEQUENCE")
	}
	// The signature is ignored, so its content is not parsed.
	if !outer.SkipOptionalASN1(tagged(0)) || !outer.Empty() {
		return req, malformed("signature is not the last part")
	}
	var version int64
	if !tbs.ReadOptionalASN1Integer(&version, tagged(0), int64(0)) || version != 0 {
		return req, malformed("version is not 1")
	}
	var list, extensions cryptobyte.String
	var extended bool
	if !tbs.SkipOptionalASN1(tagged(1)) || !tbs.ReadASN1(&list, der.SEQUENCE) ||
		!tbs.ReadOptionalASN1(&extensions, &extended, tagged(2)) || !tbs.Empty() {
		return req, malformed("request has parts that are wrong or out of order")
	}
	if err := req.readIDs(list); err != nil {
		return req, err
	}
	if !extended {
		return req, nil
	}
	return req, readExtensions(extensions, func(id, value cryptobyte.String) error { return req.readNonce(id, value) })
}

func (req *Request) readIDs(list cryptobyte.String) error {
	for !list.Empty() {
		if len(req.IDs) == maxIDs {
			return malformed("list is longer than 64")
		}
		id, err := readID(&list)
		if err != nil {
			return err
		}
		req.IDs = append(req.IDs, id)
	}
	if len(req.IDs) == 0 {
		return malformed("list is empty")
	}
	return nil
}

// readID reads one Request: a CertID and its singleRequestExtensions.
func readID(list *cryptobyte.String) (ID, error) {
	var one, extensions cryptobyte.String
	var extended bool
	if !list.ReadASN1(&one, der.SEQUENCE) {
		return ID{}, malformed("request of a certificate is not a SEQUENCE")
	}
	raw := one
	var body cryptobyte.String
	if !one.ReadASN1(&body, der.SEQUENCE) {
		return ID{}, malformed("CertID is not a SEQUENCE")
	}
	id := ID{raw: raw[:len(raw)-len(one)]}
	if !one.ReadOptionalASN1(&extensions, &extended, tagged(0)) || !one.Empty() {
		return ID{}, malformed("request of a certificate has a part too many")
	}
	if extended {
		ignored := func(cryptobyte.String, cryptobyte.String) error { return nil }
		if err := readExtensions(extensions, ignored); err != nil {
			return ID{}, err
		}
	}
	return id, id.read(body)
}

func (id *ID) read(body cryptobyte.String) error {
	var algorithm, oid cryptobyte.String
	if !body.ReadASN1(&algorithm, der.SEQUENCE) || !algorithm.ReadASN1(&oid, der.OBJECT_IDENTIFIER) {
		return malformed("hash of a CertID is not named")
	}
	id.Hash = hashOf(oid)
	id.form.hash = id.Hash
	if !algorithm.Empty() && id.Hash != 0 {
		var null cryptobyte.String
		if !algorithm.ReadASN1(&null, der.NULL) || !null.Empty() || !algorithm.Empty() {
			return malformed("hash of a CertID has parameters")
		}
		id.form.null = true
	}
	number := new(big.Int)
	var name, key cryptobyte.String
	if !body.ReadASN1(&name, der.OCTET_STRING) || !body.ReadASN1(&key, der.OCTET_STRING) ||
		!body.ReadASN1Integer(number) || !body.Empty() {
		return malformed("CertID is not hashes and a number")
	}
	id.NameHash, id.KeyHash = name, key
	// A number that cannot be a serial is answered with unknown.
	if serial, err := ca.SerialOf(number); err == nil {
		id.Serial = serial
	}
	return nil
}

// readExtensions calls read for every extension. A critical extension that is not known
// makes the request malformed (RFC 6960 section 4.4).
func readExtensions(outer cryptobyte.String, read func(id, value cryptobyte.String) error) error {
	var list cryptobyte.String
	if !outer.ReadASN1(&list, der.SEQUENCE) || !outer.Empty() {
		return malformed("extensions are not one SEQUENCE")
	}
	for !list.Empty() {
		var one, id, value cryptobyte.String
		critical := false
		if !list.ReadASN1(&one, der.SEQUENCE) || !one.ReadASN1(&id, der.OBJECT_IDENTIFIER) ||
			one.PeekASN1Tag(der.BOOLEAN) && !one.ReadASN1Boolean(&critical) ||
			!one.ReadASN1(&value, der.OCTET_STRING) || !one.Empty() {
			return malformed("extension is not a name and a value")
		}
		if critical && !known(id) {
			return malformed("extension is critical and not known")
		}
		if err := read(id, value); err != nil {
			return err
		}
	}
	return nil
}

// readNonce reads the nonce, which the answer repeats (RFC 9654 section 2.1).
func (req *Request) readNonce(id, value cryptobyte.String) error {
	if string(id) != oidNonce {
		return nil
	}
	if req.Nonce != nil {
		return malformed("nonce stands twice")
	}
	var nonce cryptobyte.String
	if !value.ReadASN1(&nonce, der.OCTET_STRING) || !value.Empty() {
		return malformed("nonce is not an OCTET STRING")
	}
	if len(nonce) == 0 || len(nonce) > maxNonce {
		return malformed(fmt.Sprintf("nonce is of %d octets", len(nonce)))
	}
	req.Nonce = nonce
	return nil
}

func malformed(reason string) error { return fmt.Errorf("%s: %w", reason, ErrMalformed) }

// tagged is a constructed context-specific tag.
func tagged(n uint8) der.Tag { return der.Tag(n).ContextSpecific().Constructed() }
