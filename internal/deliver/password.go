package deliver

import (
	"crypto/rand"
	"fmt"
	"io"
)

const (
	// PasswordLength is the number of characters of an install password. With 30
	// symbols it has 58.9 bits of entropy; each guess costs [Iterations] hashes.
	PasswordLength = 12

	// groupLength is the number of characters per group on a screen.
	groupLength = 4

	// symbols leaves out i, l, o, u, 0 and 1, which people misread and mistype.
	symbols = "abcdefghjkmnpqrstvwxyz23456789"
)

// NewPassword returns an install password of [PasswordLength] characters from
// a-z and 2-9 without i, l, o and u. A nil random means crypto/rand. The error is
// that of the reader.
func NewPassword(random io.Reader) (string, error) {
	if random == nil {
		random = rand.Reader
	}
	// Bytes from 240 are rejected: modulo 30 they would make the first sixteen
	// symbols more likely than the others.
	const fair = 256 - 256%len(symbols)
	password := make([]byte, 0, PasswordLength)
	var one [1]byte
	for len(password) < PasswordLength {
		if _, err := io.ReadFull(random, one[:]); err != nil {
			return "", fmt.Errorf("reading randomness for install password: %w", err)
		}
		if int(one[0]) < fair {
			password = append(password, symbols[int(one[0])%len(symbols)])
		}
	}
	return string(password), nil
}

// GroupPassword splits a password into groups of four characters for display; the
// last may be shorter. An empty password has no groups.
func GroupPassword(password string) []string {
	var groups []string
	for len(password) > groupLength {
		groups = append(groups, password[:groupLength])
		password = password[groupLength:]
	}
	if password == "" {
		return groups
	}
	return append(groups, password)
}
