package notify

import (
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	// maxAddress is the longest valid address, in bytes (RFC 5321 section 4.5.3.1.3,
	// without the angle brackets).
	maxAddress = 254

	// maxValue is the longest name in a message, in characters.
	maxValue = 100
)

// Deliverable reports whether mail can be sent to an address: a bare ASCII address
// without quoting, comment or line breaks (attack A18). The mail attribute of a
// directory may contain any text.
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

// plain makes text fit for one line of a message: without control, format (including
// bidirectional overrides) and line characters, and at most maxValue characters. HTML
// is escaped later by html/template. Mail to operators shows the hidden characters.
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
