// Package escape makes characters visible that change how text reads without being
// seen: control characters, bidirectional controls (Unicode Standard Annex #9), zero-width
// characters, line and paragraph separators and further characters that are drawn as
// nothing. A directory may hold any of them, and a name with one can pass for another
// name, or reorder the words around it.
//
// They are shown as JSON writes them (RFC 8259 section 7), \u202e: an escape inside a
// JSON string is still the same string. Letters of every script stay as they are.
package escape

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Value shows all of them, for a value that is shown on one line.
func Value(s string) string {
	if !strings.ContainsFunc(s, isHidden) && utf8.ValidString(s) {
		return s
	}
	b := make([]byte, 0, len(s)+16)
	for _, r := range s {
		b = Append(b, r)
	}
	return string(b)
}

// Text shows all but tabs and line breaks, for text made of many values: a page, a
// line of a log. It returns text itself when there is nothing to show.
func Text(text []byte) []byte {
	if plain(text) {
		return text
	}
	b := make([]byte, 0, len(text)+64)
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if isLayout(r) {
			b = append(b, byte(r))
		} else {
			b = Append(b, r)
		}
		text = text[size:]
	}
	return b
}

// Append appends a character, or its escape.
func Append(b []byte, r rune) []byte {
	if !isHidden(r) {
		return utf8.AppendRune(b, r)
	}
	if high, low := utf16.EncodeRune(r); high != unicode.ReplacementChar {
		return fmt.Appendf(b, `\u%04x\u%04x`, high, low)
	}
	return fmt.Appendf(b, `\u%04x`, r)
}

// Writer shows the hidden characters of what is written to W. Each call of Write must
// bring whole characters, as loggers and JSON encoders do.
type Writer struct{ W io.Writer }

// Write implements io.Writer.
func (w Writer) Write(text []byte) (int, error) {
	if _, err := w.W.Write(Text(text)); err != nil {
		return 0, fmt.Errorf("writing text: %w", err)
	}
	return len(text), nil
}

// plain reports text without hidden characters, quickly for ASCII.
func plain(text []byte) bool {
	for i := 0; i < len(text); {
		if c := text[i]; c >= ' ' && c < 0x7f {
			i++
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if !isLayout(r) && (isHidden(r) || r == utf8.RuneError && size == 1) {
			return false
		}
		i += size
	}
	return true
}

func isLayout(r rune) bool { return r == '\t' || r == '\n' || r == '\r' }

// isHidden reports what is drawn as nothing, or changes how its surroundings are drawn.
// Variation selectors are left: emoji and Japanese names need them.
func isHidden(r rune) bool {
	if r < 0x80 {
		return r < ' ' || r == 0x7f
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
}
