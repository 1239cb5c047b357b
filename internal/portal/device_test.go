package portal_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"certportal/internal/portal"
)

func TestCleanDeviceName(t *testing.T) {
	tests := []struct {
		name, in, want string
		reason         portal.Reason
	}{
		{"plain", "Anna's iPhone", "Anna's iPhone", ""},
		{"spaces", "  Anna's \t iPhone\n", "Anna's iPhone", ""},
		{"Chinese", "伟的手机", "伟的手机", ""},
		{"emoji with joiner", "👩‍💻 phone", "👩‍💻 phone", ""},
		{"composed", "Mu\u0308ller", "Müller", ""},
		{"bidirectional override", "Anna\u202egnp.exe", "Annagnp.exe", ""},
		{"zero width", "An\u200bna\ufeff", "Anna", ""},
		{"controls", "An\x00na\x1b[31m", "Anna[31m", ""},
		{"broken UTF-8", "Anna\xff", "Anna", ""},
		{"markup stays text", "<b>phone</b>", "<b>phone</b>", ""},
		{"forty", strings.Repeat("ä", 40), strings.Repeat("ä", 40), ""},
		{"forty-one", strings.Repeat("ä", 41), "", portal.NameLong},
		{"three hundred", strings.Repeat("a", 300), "", portal.NameLong},
		{"empty", "", "", portal.NameEmpty},
		{"only invisible", "\u200d\u202e \u2066", "", portal.NameEmpty},
		{"only blank letters", "\u3164\u2800\u115f\uffa0", "", portal.NameEmpty},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := portal.CleanDeviceName(tt.in)
			var refusal *portal.Refusal
			if errors.As(err, &refusal) != (tt.reason != "") || refusal != nil && refusal.Reason != tt.reason {
				t.Fatalf("error %v, want reason %q", err, tt.reason)
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzCleanDeviceName(f *testing.F) {
	f.Add("Anna's iPhone")
	f.Add("👩‍💻\u202e\x00")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := portal.CleanDeviceName(s)
		if err != nil {
			return
		}
		if n := utf8.RuneCountInString(got); n == 0 || n > portal.MaxDeviceName {
			t.Errorf("%q has %d characters", got, n)
		}
		if strings.ContainsFunc(got, func(r rune) bool { return r != '\u200d' && unicode.Is(unicode.C, r) }) {
			t.Errorf("%q keeps an invisible character", got)
		}
		if again, err := portal.CleanDeviceName(got); err != nil || again != got {
			t.Errorf("cleaning %q again gives %q, %v", got, again, err)
		}
	})
}
