package portal_test

import (
	"testing"
	"unicode"

	"certportal/internal/portal"
)

// A folded name stays as it is, and letters that differ by case alone are folded to one, in
// every script: two accounts whose logins differ so are one.
func TestA5_FoldingEndsInOneForm(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		name := string(r)
		once := portal.Fold(name)
		if twice := portal.Fold(once); twice != once {
			t.Errorf("%U is folded to %q, and that to %q", r, once, twice)
		}
		lower := unicode.ToLower(r)
		pair := lower != r && unicode.ToUpper(lower) == r // not dotted I, whose small letter has another capital
		if pair && portal.Fold(string(lower)) != once {
			t.Errorf("%U is folded to %q, its small letter to %q", r, once, portal.Fold(string(lower)))
		}
	}
}
