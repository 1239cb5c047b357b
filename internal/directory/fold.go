package directory

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// fold is a name in the one spelling that compares: composed, without case.
func fold(name string) string {
	return norm.NFC.String(cases.Fold().String(norm.NFC.String(name)))
}

// skeleton is a name without what a domain controller may overlook when it
// compares: case, accents and other marks, width, ligatures, invisible letters.
// Two people whose names have the same skeleton could be taken for each other.
func skeleton(name string) string {
	name = norm.NFKD.String(cases.Fold().String(norm.NFKD.String(name)))
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.M, unicode.Cf, unicode.Cc) || unicode.IsSpace(r) {
			return -1
		}
		return r
	}, name)
}
