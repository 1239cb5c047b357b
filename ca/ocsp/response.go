package ocsp

import (
	"crypto/rand"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"certportal/ca"
)

// single is a SingleResponse: the status of one certificate (RFC 6960 section 4.2.1).
type single struct {
	id         []byte // CertID as received
	status     Status
	thisUpdate time.Time
	nextUpdate time.Time
}

// Error responses. They are not signed (RFC 6960 section 4.2.1), so they are constants.
const (
	refusedMalformed    = "\x30\x03\x0a\x01\x01"
	refusedInternal     = "\x30\x03\x0a\x01\x02"
	refusedTryLater     = "\x30\x03\x0a\x01\x03"
	refusedUnauthorized = "\x30\x03\x0a\x01\x06"
)

// sign makes the body of an answer: ResponseData, algorithm and signature. It leaves out
// the certificates, which all answers of a signer share, to save memory in the cache.
func (s *signer) sign(singles []single, nonce []byte, now time.Time) ([]byte, error) {
	tbs, err := s.data(singles, nonce, now)
	if err != nil {
		return nil, fmt.Errorf("encoding answer: %w", err)
	}
	signature, err := s.key.Sign(rand.Reader, sum(s.hash, tbs), s.hash)
	if err != nil {
		return nil, fmt.Errorf("signing answer: %w", err)
	}
	var b cryptobyte.Builder
	b.AddBytes(tbs)
	b.AddBytes(s.algorithm)
	b.AddASN1BitString(signature)
	return b.Bytes()
}

// data encodes the ResponseData. Times are rounded down to seconds, so that none is after
// producedAt.
func (s *signer) data(singles []single, nonce []byte, now time.Time) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(tagged(2), func(b *cryptobyte.Builder) { b.AddASN1OctetString(s.keyHash) })
		addTime(b, now)
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, one := range singles {
				addSingle(b, one)
			}
		})
		if nonce == nil {
			return
		}
		b.AddASN1(tagged(1), func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { addNonce(b, nonce) })
		})
	})
	return b.Bytes()
}

func addSingle(b *cryptobyte.Builder, one single) {
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(one.id)
		switch one.status.State {
		case Good:
			b.AddASN1(der.Tag(0).ContextSpecific(), func(*cryptobyte.Builder) {})
		case Revoked:
			addRevoked(b, one)
		default:
			b.AddASN1(der.Tag(2).ContextSpecific(), func(*cryptobyte.Builder) {})
		}
		addTime(b, one.thisUpdate)
		b.AddASN1(tagged(0), func(b *cryptobyte.Builder) { addTime(b, one.nextUpdate) })
	})
}

// addRevoked states time and reason as CRLs do: it leaves out reason 0 (RFC 5280 section
// 5.3.1).
func addRevoked(b *cryptobyte.Builder, one single) {
	b.AddASN1(tagged(1), func(b *cryptobyte.Builder) {
		addTime(b, ca.RevokedAt(one.status.At, one.thisUpdate))
		if one.status.Reason == 0 {
			return
		}
		b.AddASN1(tagged(0), func(b *cryptobyte.Builder) { b.AddASN1Enum(int64(one.status.Reason)) })
	})
}

func addNonce(b *cryptobyte.Builder, nonce []byte) {
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(oidNonce)) })
		b.AddASN1(der.OCTET_STRING, func(b *cryptobyte.Builder) { b.AddASN1OctetString(nonce) })
	})
}

func addTime(b *cryptobyte.Builder, t time.Time) {
	b.AddASN1GeneralizedTime(t.UTC().Truncate(time.Second))
}

// wrap makes the OCSPResponse of a body and the certificates of its signer, one after the
// other. It runs for every answer served from memory, so it writes each octet once.
func wrap(body, certificates []byte) []byte {
	certs := headed(len(certificates))
	list := headed(certs)
	basic := len(body) + list
	octets := headed(basic)
	typed := len(oidBasic) + 2 + headed(octets)
	bytes := headed(typed)
	const status = "\x0a\x01\x00" // successful
	out := make([]byte, 0, headed(len(status)+headed(bytes)))
	out = appendHeader(out, der.SEQUENCE, len(status)+headed(bytes))
	out = append(out, status...)
	out = appendHeader(out, tagged(0), bytes)
	out = appendHeader(out, der.SEQUENCE, typed)
	out = appendHeader(out, der.OBJECT_IDENTIFIER, len(oidBasic))
	out = append(out, oidBasic...)
	out = appendHeader(out, der.OCTET_STRING, octets)
	out = appendHeader(out, der.SEQUENCE, basic)
	out = append(out, body...)
	out = appendHeader(out, tagged(0), certs)
	out = appendHeader(out, der.SEQUENCE, len(certificates))
	return append(out, certificates...)
}

// headed gives the length of a DER element with n octets of content.
func headed(n int) int {
	switch {
	case n < 0x80:
		return n + 2
	case n < 0x100:
		return n + 3
	case n < 0x10000:
		return n + 4
	}
	return n + 5
}

func appendHeader(out []byte, tag der.Tag, n int) []byte {
	out = append(out, byte(tag))
	switch {
	case n < 0x80:
		return append(out, byte(n))
	case n < 0x100:
		return append(out, 0x81, byte(n))
	case n < 0x10000:
		return append(out, 0x82, byte(n>>8), byte(n))
	}
	return append(out, 0x83, byte(n>>16), byte(n>>8), byte(n))
}
