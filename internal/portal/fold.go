package portal

import (
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Fold returns the form in which two names are compared: Unicode NFC, case-folded. A
// Caser may keep state, so each call has its own.
func Fold(name string) string {
	return norm.NFC.String(strings.Map(lowerCherokee, cases.Fold().String(norm.NFC.String(name))))
}

// lowerCherokee mends cases.Fold, which exchanges upper and lower case of this script, so that
// two spellings of one name stayed two names.
func lowerCherokee(r rune) rune {
	if unicode.Is(unicode.Cherokee, r) {
		return unicode.ToLower(r)
	}
	return r
}
