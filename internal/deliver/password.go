package deliver

import (
	"crypto/rand"
	"fmt"
	"io"
)

const (
	// PasswordLength is the number of characters of an install password. With
	// 30 symbols they hold 58.9 bits, each guess costing [Iterations] hashes.
	PasswordLength = 12

	// groupLength is how many characters stand together on a screen.
	groupLength = 4

	// symbols leaves out i, l, o, u, 0 and 1, which people misread and mistype.
	symbols = "abcdefghjkmnpqrstvwxyz23456789"
)

// NewPassword returns an install password of [PasswordLength] characters from
// a-z and 2-9 without i, l, o and u. A nil random means crypto/rand. The error
// is that of the reader.
func NewPassword(random io.Reader) (string, error) {
	if random == nil {
		random = rand.Reader
	}
	// Bytes from the last, incomplete run of 30 are thrown away: taken modulo
	// 30 they would make the first sixteen symbols likelier than the others.
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

// GroupPassword cuts a password into groups of four characters for display;
// the separators between them are no part of it. A shorter rest is a group of
// its own, an empty password none.
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
