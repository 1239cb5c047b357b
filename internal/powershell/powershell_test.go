package powershell_test

import (
	"strings"
	"testing"

	"certportal/internal/powershell"
)

// FuzzQuote: what is quoted is one literal: within it every quote is doubled, and the value
// comes back.
func FuzzQuote(f *testing.F) {
	for _, seed := range []string{"", "'", "''", "’‘", "$(x)", "a'b’c", "\r\n"} {
		f.Add(seed)
	}
	quotes := "'\u2018\u2019\u201a\u201b"
	f.Fuzz(func(t *testing.T, s string) {
		got := []rune(powershell.Quote(s))
		if len(got) < 2 || got[0] != '\'' || got[len(got)-1] != '\'' {
			t.Fatalf("%q", string(got))
		}
		inner := got[1 : len(got)-1]
		for i := 0; i < len(inner); i++ {
			if inner[i] == '\n' || inner[i] == '\r' {
				t.Errorf("%q ends a line", string(got))
			}
			if !strings.ContainsRune(quotes, inner[i]) {
				continue
			}
			if i++; i == len(inner) || inner[i] != inner[i-1] {
				t.Fatalf("%q: a quote is not doubled", string(got))
			}
		}
	})
}
