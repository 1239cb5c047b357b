package signin

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"

	"certportal/internal/deliver"
)

// HandoffCode is the code of a hand-off in its one spelling: eight characters,
// upper case.
type HandoffCode string

const (
	handoffCodeLength = 8
	handoffCodeLabel  = "certportal hand-off code"

	// codeSymbols are those of install passwords, in capitals: people copy a code
	// from one screen to the other.
	codeSymbols = "ABCDEFGHJKMNPQRSTVWXYZ23456789"

	// maxTypedCode bounds what is read of a typed code, in bytes.
	maxTypedCode = 64
)

func newHandoffCode() (HandoffCode, error) {
	symbols, err := deliver.NewPassword(rand.Reader)
	if err != nil {
		return "", fmt.Errorf("making hand-off code: %w", err)
	}
	return HandoffCode(strings.ToUpper(symbols[:handoffCodeLength])), nil
}

// ParseHandoffCode reads a code as people type it: in either case, with spaces
// and hyphens anywhere. False for what no code can be.
func ParseHandoffCode(s string) (HandoffCode, bool) {
	code, ok := typedCode(s, handoffCodeLength)
	return HandoffCode(code), ok
}

// typedCode normalises a typed code.
func typedCode(s string, length int) (string, bool) {
	if len(s) > maxTypedCode {
		return "", false
	}
	s = strings.ToUpper(strings.NewReplacer(" ", "", "-", "", "\t", "", "\u2011", "", "\u2013", "").Replace(s))
	foreign := func(r rune) bool { return !strings.ContainsRune(codeSymbols, r) }
	if len(s) != length || strings.ContainsFunc(s, foreign) {
		return "", false
	}
	return s, true
}

// Grouped is the code as screens show it, "7F3K-9QXM".
func (c HandoffCode) Grouped() string {
	return strings.Join(deliver.GroupPassword(string(c)), "-")
}

// The cost of hashing a code: 8 MiB, a few milliseconds. Eight characters hold 39
// bits, which a plain hash would give away to a reader of the database within the
// minutes that a code lives.
const (
	codePasses  = 1
	codeMemory  = 8 << 10 // KiB
	codeThreads = 1
)

// codeHashers is how many codes are hashed at once, which bounds the memory that
// strangers can make the portal take.
const codeHashers = 4

// hashCode is the key under which a hand-off is kept.
func (s *Service) hashCode(ctx context.Context, code HandoffCode) ([32]byte, error) {
	return s.hashTyped(ctx, handoffCodeLabel, string(code))
}

// hashTyped hashes a typed code. The label serves as the salt: the
// code is looked up by its hash.
func (s *Service) hashTyped(ctx context.Context, label, code string) ([32]byte, error) {
	select {
	case s.hashing <- struct{}{}:
	case <-ctx.Done():
		return [32]byte{}, fmt.Errorf("waiting to hash a code: %w", ctx.Err())
	}
	defer func() { <-s.hashing }()
	return [32]byte(argon2.IDKey([]byte(code), []byte(label), codePasses, codeMemory, codeThreads, 32)), nil
}

// handoffNumbers is how many numbers there are, 00 to 99.
const handoffNumbers = 100

// drawNumber draws the number that the desktop shows, each with the same chance.
func drawNumber() (int, error) {
	drawn, err := rand.Int(rand.Reader, big.NewInt(handoffNumbers))
	if err != nil {
		return 0, fmt.Errorf("drawing number: %w", err)
	}
	return int(drawn.Int64()), nil
}

// ParseHandoffNumber reads a number as people type it: two digits, with spaces
// anywhere. False for what no number can be.
func ParseHandoffNumber(s string) (int, bool) {
	if len(s) > maxTypedCode {
		return 0, false
	}
	s = strings.ReplaceAll(s, " ", "")
	n, err := strconv.ParseUint(s, 10, 8)
	return int(n), err == nil && len(s) == 2
}
