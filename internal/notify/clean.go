package notify

import (
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	// maxAddress is the longest address there is, in bytes (RFC 5321 section
	// 4.5.3.1.3, without the angle brackets).
	maxAddress = 254

	// maxValue is the longest name a letter shows, in characters.
	maxValue = 100
)

// Deliverable reports whether a letter can be sent to an address: a bare one in
// ASCII, without quoting, comment or anything that could end a line (attack A18).
// What a directory holds in its mail attribute is anybody's text.
func Deliverable(address string) bool {
	if address == "" || len(address) > maxAddress || strings.ContainsAny(address, " \"<>()[],:;\\") {
		return false
	}
	for _, r := range address {
		if r <= ' ' || r > '~' {
			return false
		}
	}
	parsed, err := mail.ParseAddress(address)
	return err == nil && parsed.Name == "" && parsed.Address == address
}

// plain makes somebody's text fit for one line of a letter: without control,
// format (bidirectional overrides among them) and line characters, not longer
// than a name may be. It says nothing about HTML, which html/template escapes.
func plain(s string) string {
	s = norm.NFC.String(strings.ToValidUTF8(s, ""))
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\u200d': // emoji need it
			return r
		case unicode.IsSpace(r):
			return ' '
		case unicode.Is(unicode.C, r):
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) <= maxValue {
		return s
	}
	return string([]rune(s)[:maxValue-1]) + "…"
}
