package escape_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"certportal/internal/escape"
)

func TestA18_HiddenCharactersAreShown(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"override", "Anna\u202egnp.exe", `Anna\u202egnp.exe`},
		{"embeddings", "\u202a\u202b\u202c\u202d", `\u202a\u202b\u202c\u202d`},
		{"isolates", "\u2066\u2067\u2068\u2069", `\u2066\u2067\u2068\u2069`},
		{"marks", "\u200e\u200f\u061c", `\u200e\u200f\u061c`},
		{"zero width", "ro\u200bot\u2060\ufeff", `ro\u200bot\u2060\ufeff`},
		{"joiners", "\u200c\u200d", `\u200c\u200d`},
		{"separators", "a\u2028b\u2029c", `a\u2028b\u2029c`},
		{"soft hyphen", "ad\u00admin", `ad\u00admin`},
		{"fillers", "\u115f\u1160\u3164\uffa0", `\u115f\u1160\u3164\uffa0`},
		{"grapheme joiner", "a\u034fb", `a\u034fb`},
		{"annotation", "\ufff9\ufffa\ufffb", `\ufff9\ufffa\ufffb`},
		{"tags", "\U000e0001\U000e0041", `\udb40\udc01\udb40\udc41`},
		{"musical", "\U0001d173", `\ud834\udd73`},
		{"Mongolian separator", "\u180e", `\u180e`},
		{"controls", "\x00\x1b[2J\x7f\u0085\u009b", `\u0000\u001b[2J\u007f\u0085\u009b`},
		{"not UTF-8", "a\xffb", "a\ufffdb"},
		{"Hebrew", "שרה כהן", "שרה כהן"},
		{"Arabic", "محمد الأحمد", "محمد الأحمد"},
		{"combining marks", "Ã© नमस्ते", "Ã© नमस्ते"},
		{"Chinese", "李伟\u3000中", "李伟\u3000中"},
		{"emoji", "🙂☺\ufe0f", "🙂☺\ufe0f"},
		{"spaces", "Ola\u00a0Nordmann", "Ola\u00a0Nordmann"},
		{"markup", `<b>"a" & 'b'\</b>`, `<b>"a" & 'b'\</b>`},
		{"empty", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := escape.Value(tt.text); got != tt.want {
				t.Errorf("Value: got %q, want %q", got, tt.want)
			}
			if got := string(escape.Text([]byte(tt.text))); got != tt.want {
				t.Errorf("Text: got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestLinesStay: a text keeps its lines, a value has one.
func TestLinesStay(t *testing.T) {
	t.Parallel()
	const text = "a\tb\r\nc"
	if got := string(escape.Text([]byte(text))); got != text {
		t.Errorf("Text: got %q", got)
	}
	if got, want := escape.Value(text), `a\u0009b\u000d\u000ac`; got != want {
		t.Errorf("Value: got %q, want %q", got, want)
	}
}

// FuzzText: JSON with escapes says the same as without, and shows nothing hidden.
func FuzzText(f *testing.F) {
	for _, seed := range []string{"", "Anna", "\u202eAnna\u2069", "\U000e0041\"\\", "\xff\x00\u0085", "שרה"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "\ufffd")
		var written bytes.Buffer
		if err := json.NewEncoder(escape.Writer{W: &written}).Encode(s); err != nil {
			t.Fatal(err)
		}
		var got string
		if err := json.Unmarshal(written.Bytes(), &got); err != nil || got != s {
			t.Errorf("%q is written as %s and read as %q, %v", s, written.Bytes(), got, err)
		}
		if shown := escape.Value(s); escape.Value(shown) != shown {
			t.Errorf("%q is shown as %q, and that as %q", s, shown, escape.Value(shown))
		}
	})
}

func BenchmarkText(b *testing.B) {
	page := []byte(strings.Repeat("<td>Anna Müller 李伟</td>\n", 600))
	b.SetBytes(int64(len(page)))
	for b.Loop() {
		escape.Text(page)
	}
}
