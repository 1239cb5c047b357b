package directory

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"certportal/internal/portal"
)

// fold normalizes a name for comparison: Unicode NFC, case-folded.
func fold(name string) string {
	return portal.Fold(name)
}

// skeleton removes from a name what a domain controller may ignore when it compares:
// case, accents and other marks, width, ligatures, invisible characters. Two people
// whose names have the same skeleton could be mistaken for each other.
func skeleton(name string) string {
	name = norm.NFKD.String(fold(norm.NFKD.String(name)))
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.M, unicode.Cf, unicode.Cc) || unicode.IsSpace(r) {
			return -1
		}
		return r
	}, name)
}
