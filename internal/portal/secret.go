package portal

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Secret is the secret of an installation: the same on all its replicas, and not in
// its database. What is keyed by it cannot be made by an attacker who can write every
// row. The zero value is none.
type Secret [32]byte

// Key derives a key for one purpose (RFC 5869). Keys under other labels do not follow
// from it.
func (s Secret) Key(label string) [32]byte {
	b, err := hkdf.Key(sha256.New, s[:], nil, label, sha256.Size)
	if err != nil { // only for lengths over 255 hashes
		panic(err)
	}
	return [32]byte(b)
}

// MAC authenticates a list of fields under a label (HMAC-SHA256, RFC 2104). Fields are
// preceded by their length, so that no other list gives the same bytes.
func (s Secret) MAC(label string, fields ...string) [32]byte {
	key := s.Key(label)
	h := hmac.New(sha256.New, key[:])
	for _, f := range fields {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(f))))
		h.Write([]byte(f))
	}
	return [32]byte(h.Sum(nil))
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s == Secret{} }

// Format writes no part of the secret, under any verb.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "secret of the installation") }
