package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// String formats the head as NUMBER:HASH, as [ParseHead] reads it.
func (h Head) String() string { return fmt.Sprintf("%d:%x", h.Seq, h.Hash) }

// ParseHead parses a head: the sequence number, a colon, and the hash in hexadecimal.
func ParseHead(text string) (Head, error) {
	number, hash, found := strings.Cut(strings.TrimSpace(text), ":")
	seq, err := strconv.ParseInt(number, 10, 64)
	if !found || err != nil || seq < 1 {
		return Head{}, fmt.Errorf("reading head %q: want NUMBER:HASH", text)
	}
	sum, err := parseHash(hash)
	if err != nil {
		return Head{}, fmt.Errorf("reading head %q: %w", text, err)
	}
	return Head{Seq: seq, Hash: sum}, nil
}

func parseHash(text string) ([sha256.Size]byte, error) {
	sum, err := hex.DecodeString(text)
	if err != nil || len(sum) != sha256.Size {
		return [sha256.Size]byte{}, fmt.Errorf("hash is not %d hexadecimal digits", 2*sha256.Size)
	}
	return [sha256.Size]byte(sum), nil
}
