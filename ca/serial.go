package ca

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
)

// ErrSerial is wrapped by every error about an invalid serial number.
var ErrSerial = errors.New("not a serial number of 1 to 20 octets")

const (
	// maxSerialOctets is the maximum length of RFC 5280 section 4.1.2.2.
	maxSerialOctets = 20
	// newSerialOctets gives 134 random bits: 6 in the first octet, 128 in the others.
	newSerialOctets = 17
)

// Serial is the serial number of a certificate: a positive integer of at most
// 20 octets (RFC 5280 section 4.1.2.2). The zero value is no serial. Serials can be
// compared with == and used as map keys. They need no allocation, which matters for
// a CRL of a million entries.
type Serial struct {
	length uint8
	octets [maxSerialOctets]byte // big endian, the first length octets, none in front that is zero
}

// NewSerial makes a serial of 17 octets with 134 random bits from random, or
// from crypto/rand when random is nil. The length is constant, so that serials
// align in tables.
func NewSerial(random io.Reader) (Serial, error) {
	if random == nil {
		random = rand.Reader
	}
	var s Serial
	if _, err := io.ReadFull(random, s.octets[:newSerialOctets]); err != nil {
		return Serial{}, fmt.Errorf("drawing serial: %w", err)
	}
	// Clear the sign bit and set the next: positive, and never shorter.
	s.octets[0] = s.octets[0]&0x3f | 0x40
	s.length = newSerialOctets
	return s, nil
}

// ParseSerial parses a serial in hexadecimal, in upper or lower case, with or
// without 0x, with or without colons and spaces. The error wraps [ErrSerial].
func ParseSerial(text string) (Serial, error) {
	digits := strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(text), ":", ""), " ", "")
	digits = strings.TrimPrefix(strings.ToLower(digits), "0x")
	digits = strings.TrimLeft(digits, "0")
	if len(digits) == 0 || len(digits) > 2*maxSerialOctets {
		return Serial{}, fmt.Errorf("parsing serial of %d characters: %w", len(text), ErrSerial)
	}
	if len(digits)%2 == 1 {
		digits = "0" + digits
	}
	var s Serial
	n, err := hex.Decode(s.octets[:], []byte(digits))
	if err != nil {
		return Serial{}, fmt.Errorf("parsing serial of %d characters: %w", len(text), ErrSerial)
	}
	s.length = uint8(n)
	return s, nil
}

// SerialOf converts the serial of a parsed certificate, request or CRL entry. The
// error wraps [ErrSerial].
func SerialOf(number *big.Int) (Serial, error) {
	if number == nil || number.Sign() <= 0 || number.BitLen() > 8*maxSerialOctets {
		return Serial{}, fmt.Errorf("reading serial: %w", ErrSerial)
	}
	var s Serial
	s.length = uint8(copy(s.octets[:], number.Bytes()))
	return s, nil
}

// Big gives the serial as a number, zero for the zero value.
func (s Serial) Big() *big.Int { return new(big.Int).SetBytes(s.bytes()) }

// String gives lower-case hexadecimal of even length, without 0x: the form in
// which the portal stores and compares serials. Empty for the zero value.
func (s Serial) String() string { return hex.EncodeToString(s.bytes()) }

// IsZero reports whether there is no serial.
func (s Serial) IsZero() bool { return s.length == 0 }

// MarshalText gives the same text as [Serial.String].
func (s Serial) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText parses text like [ParseSerial]; empty text is the zero value.
func (s *Serial) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*s = Serial{}
		return nil
	}
	parsed, err := ParseSerial(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}

// Compare compares serials as numbers; negative when s is smaller.
func (s Serial) Compare(other Serial) int {
	if s.length != other.length {
		return int(s.length) - int(other.length)
	}
	return bytes.Compare(s.bytes(), other.bytes())
}

// bytes gives the octets of the number, big endian, without leading zeros.
func (s *Serial) bytes() []byte { return s.octets[:s.length] }
