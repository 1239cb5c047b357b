package directory

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// Cost of a password check: argon2id with 19 MiB and two passes on one lane, the
// second choice of the OWASP Password Storage Cheat Sheet.
const (
	hashMemory = 19 * 1024 // KiB
	hashPasses = 2
	hashLanes  = 1
	hashSize   = 32
	saltSize   = 16
)

// maxMemory and maxPasses limit the cost parameters of a stored hash.
const (
	maxMemory = 1 << 20 // KiB
	maxPasses = 16
)

// hasher computes and checks password hashes, at most four at a time: each takes 19 MiB.
type hasher struct {
	slots chan struct{}
}

func newHasher() *hasher { return &hasher{slots: make(chan struct{}, 4)} }

// hash returns a PHC string: $argon2id$v=19$m=…,t=…,p=…$salt$hash.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltSize)
	if _, err := rand.Read(salt); err != nil {
		return "", fmt.Errorf("making salt: %w", err)
	}
	sum, err := h.derive(ctx, password, phc{hashMemory, hashPasses, hashLanes, salt, make([]byte, hashSize)})
	if err != nil {
		return "", err
	}
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s",
		argon2.Version, hashMemory, hashPasses, hashLanes, encode(salt), encode(sum)), nil
}

// check reports whether the password belongs to the hash.
func (h *hasher) check(ctx context.Context, encoded, password string) (bool, error) {
	p, err := parsePHC(encoded)
	if err != nil {
		return false, err
	}
	sum, err := h.derive(ctx, password, p)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(sum, p.hash) == 1, nil
}

func (h *hasher) derive(ctx context.Context, password string, p phc) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for a password check: %w", ctx.Err())
	}
	defer func() { <-h.slots }()
	// Keyboards differ in whether they send composed or decomposed characters.
	typed := []byte(norm.NFC.String(password))
	return argon2.IDKey(typed, p.salt, p.passes, p.memory, p.lanes, uint32(len(p.hash))), nil
}

// phc is a parsed PHC string.
type phc struct {
	memory, passes uint32
	lanes          uint8
	salt, hash     []byte
}

var errHashFormat = errors.New("password hash has an unknown format")

func parsePHC(s string) (phc, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return phc{}, errHashFormat
	}
	var p phc
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.passes, &p.lanes); err != nil {
		return phc{}, fmt.Errorf("%w: %w", errHashFormat, err)
	}
	var saltErr, hashErr error
	p.salt, saltErr = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	p.hash, hashErr = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if err := errors.Join(saltErr, hashErr); err != nil {
		return phc{}, fmt.Errorf("%w: %w", errHashFormat, err)
	}
	if p.memory == 0 || p.memory > maxMemory || p.passes == 0 || p.passes > maxPasses || p.lanes == 0 ||
		len(p.salt) < 8 || len(p.hash) < 16 || len(p.hash) > 64 {
		return phc{}, errHashFormat
	}
	return p, nil
}
