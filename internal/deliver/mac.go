package deliver

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"hash"
	"unicode/utf16"
)

const (
	// macID is the purpose byte of a MAC key (RFC 7292 appendix B.3).
	macID = 3
	// hashBlock is "v" of RFC 7292 appendix B.2 in bytes, for SHA-1 and SHA-256.
	hashBlock = 64
)

// macSum computes the MAC over the AuthenticatedSafe (RFC 7292 section 5.1) with the
// hash, salt and iterations in mac.
func macSum(mac macData, authSafe []byte, password string) ([]byte, error) {
	var newHash func() hash.Hash
	switch oid := mac.Digest.Algorithm.Algorithm; {
	case oid.Equal(oidSHA1()):
		newHash = sha1.New
	case oid.Equal(oidSHA256()):
		newHash = sha256.New
	default:
		return nil, fmt.Errorf("computing PKCS#12 MAC: hash %s is neither SHA-1 nor SHA-256", oid)
	}
	key := iterate(newHash(), kdfSeed(macID, mac.Salt, password), mac.Iterations)
	sum := hmac.New(newHash, key)
	sum.Write(authSafe)
	return sum.Sum(nil), nil
}

// kdfSeed gives the concatenation of D, S and P of RFC 7292 appendix B.2, in whole
// blocks. The steps for longer keys are not needed, because a MAC key has the length
// of one hash.
func kdfSeed(id byte, salt []byte, password string) []byte {
	bmp := append(bmpBytes(password), 0, 0) // appendix B.1: with its terminator
	seed := make([]byte, 0, hashBlock*(3+len(salt)/hashBlock+len(bmp)/hashBlock))
	for range hashBlock {
		seed = append(seed, id)
	}
	return appendRepeated(appendRepeated(seed, salt), bmp)
}

// appendRepeated appends pattern over and over up to the next multiple of the
// hash block; an empty pattern adds nothing.
func appendRepeated(seed, pattern []byte) []byte {
	length := (len(pattern) + hashBlock - 1) / hashBlock * hashBlock
	for i := range length {
		seed = append(seed, pattern[i%len(pattern)])
	}
	return seed
}

// bmpBytes encodes s in big-endian UTF-16 without a terminator.
func bmpBytes(s string) []byte {
	units := utf16.Encode([]rune(s))
	out := make([]byte, 0, 2*len(units)+2)
	for _, u := range units {
		out = append(out, byte(u>>8), byte(u))
	}
	return out
}

func oidSHA1() asn1.ObjectIdentifier   { return asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26} }
func oidSHA256() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1} }
