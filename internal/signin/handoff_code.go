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

// drawNumbers draws the number of the desktop and the three the phone offers, of
// two digits each. No two share a digit in its place, or are each other reversed:
// people compare them across two screens.
func drawNumbers() (number int, choices [3]int, err error) {
	for i := 0; i < len(choices); {
		n, err := randomBelow(90)
		if err != nil {
			return 0, choices, err
		}
		choices[i] = 10 + n
		if !confusable(choices[i], choices[:i]) {
			i++
		}
	}
	right, err := randomBelow(len(choices))
	return choices[right], choices, err
}

func confusable(n int, others []int) bool {
	for _, o := range others {
		if n/10 == o/10 || n%10 == o%10 || n == o%10*10+o/10 {
			return true
		}
	}
	return false
}

func randomBelow(n int) (int, error) {
	drawn, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		return 0, fmt.Errorf("drawing number: %w", err)
	}
	return int(drawn.Int64()), nil
}

// ParseHandoffNumber reads the chosen number. Anything else is 0, which no
// hand-off has.
func ParseHandoffNumber(s string) int {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || len(s) != 2 {
		return 0
	}
	return int(n)
}
