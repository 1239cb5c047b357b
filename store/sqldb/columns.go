package sqldb

import (
	"crypto/sha256"
	"database/sql"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Moment is a time as it is stored, NULL for the zero time.
func Moment(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMilli(), Valid: !t.IsZero()}
}

// TimeOf is the time that Moment stored, in UTC; the zero time for NULL.
func TimeOf(ms sql.NullInt64) time.Time {
	if !ms.Valid {
		return time.Time{}
	}
	return time.UnixMilli(ms.Int64).UTC()
}

// Optional is a text that is NULL when empty.
func Optional(s string) sql.NullString { return sql.NullString{String: s, Valid: s != ""} }

// HashOf is the key of a text that need not be read again; empty gives NULL.
func HashOf(s string) []byte {
	if s == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

// Hash32 reads a stored SHA-256.
func Hash32(stored []byte) ([sha256.Size]byte, error) {
	if len(stored) != sha256.Size {
		return [sha256.Size]byte{}, fmt.Errorf("reading hash of %d octets, want %d", len(stored), sha256.Size)
	}
	return [sha256.Size]byte(stored), nil
}

// Storable reports whether PostgreSQL takes the text: valid UTF-8 without NUL.
// What is not storable was never stored, so looking for it finds nothing.
func Storable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

// Cleaned replaces what is not storable. Ledger entries are cleaned before they
// are hashed: a hostile header must neither stop an act nor break the chain.
func Cleaned(s string) string {
	const replacement = string(utf8.RuneError)
	return strings.ReplaceAll(strings.ToValidUTF8(s, replacement), "\x00", replacement)
}
