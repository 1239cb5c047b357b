package signin

import (
	"certportal/internal/portal"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// maskedWords is how many words of a name are hinted at.
	maskedWords = 4

	// mask replaces the rest of a word of any length.
	mask = "**"
)

// MaskName hints at a name to those who know it already: "Li Wei" becomes
// "L** W**". What shows nothing, turns the direction of text or joins onto the
// letter before is left out, so that a name cannot change the words around it.
func MaskName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.Is(portal.Blanks(), r):
			return ' '
		case r == utf8.RuneError, unicode.Is(unicode.C, r), unicode.Is(unicode.M, r):
			return -1
		}
		return r
	}, name)
	words := strings.Fields(name)
	if len(words) == 0 {
		return mask
	}
	if len(words) > maskedWords {
		words = words[:maskedWords]
	}
	for i, word := range words {
		first, _ := utf8.DecodeRuneInString(word)
		words[i] = string(first) + mask
	}
	return strings.Join(words, " ")
}
