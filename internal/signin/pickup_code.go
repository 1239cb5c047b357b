package signin

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"certportal/internal/deliver"
)

// PickupCode is the code of an invitation in its one spelling: twelve characters,
// upper case.
type PickupCode string

const (
	pickupCodeLength = 12
	pickupCodeLabel  = "certportal pickup code"
)

// NewPickupCode draws a code of 58.9 bits.
func NewPickupCode() (PickupCode, error) {
	symbols, err := deliver.NewPassword(rand.Reader)
	if err != nil {
		return "", fmt.Errorf("making pickup code: %w", err)
	}
	return PickupCode(strings.ToUpper(symbols[:pickupCodeLength])), nil
}

// ParsePickupCode reads a code as people type it: in either case, with spaces and
// hyphens anywhere. False for what no code can be. Symbols that are taken for each
// other are in no code, so that 0 and O, 1, I and L are a reading error and
// not another spelling: which symbol was meant is unknown.
func ParsePickupCode(s string) (PickupCode, bool) {
	code, ok := typedCode(s, pickupCodeLength)
	return PickupCode(code), ok
}

// Grouped is the code as screens and slips show it, "7F3K-9QXM-2WTA".
func (c PickupCode) Grouped() string {
	return strings.Join(deliver.GroupPassword(string(c)), "-")
}

// HashPickupCode is the key under which an invitation is kept. It waits while too
// many codes are being hashed, no longer than the context lives.
func (s *Service) HashPickupCode(ctx context.Context, code PickupCode) ([32]byte, error) {
	return s.hashTyped(ctx, pickupCodeLabel, string(code))
}
