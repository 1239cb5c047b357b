package directory

import (
	"strings"
	"testing"
)

func TestHashAndCheck(t *testing.T) {
	h := newHasher()
	hash, err := h.hash(t.Context(), "correct horse é")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := hash[:len("$argon2id$v=19$m=19456,t=2,p=1$")], "$argon2id$v=19$m=19456,t=2,p=1$"; got != want {
		t.Errorf("hash opens with %q, want %q", got, want)
	}
	tests := []struct {
		name, password string
		want           bool
	}{
		{"right", "correct horse é", true},
		{"decomposed é", "correct horse e\u0301", true},
		{"wrong", "correct horse e", false},
		{"other case", "Correct horse é", false},
		{"empty", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := h.check(t.Context(), hash, tt.password)
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("check = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestParsePHCRefuses(t *testing.T) {
	good := "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	if _, err := parsePHC(good); err != nil {
		t.Fatalf("the good hash: %v", err)
	}
	tests := []struct{ name, hash string }{
		{"empty", ""},
		{"other algorithm", strings.Replace(good, "argon2id", "argon2i", 1)},
		{"other version", strings.Replace(good, "v=19", "v=16", 1)},
		{"all memory", strings.Replace(good, "m=19456", "m=4294967295", 1)},
		{"endless passes", strings.Replace(good, "t=2", "t=4000000000", 1)},
		{"no lanes", strings.Replace(good, "p=1", "p=0", 1)},
		{"short hash", good[:len(good)-30]},
		{"not base64", strings.Replace(good, "$AAAA", "$!!!!", 1)},
		{"a part more", good + "$"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := parsePHC(tt.hash); err == nil {
				t.Errorf("parsePHC = %+v, want an error", got)
			}
		})
	}
}

func FuzzParsePHC(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePHC(s)
		if err == nil && (p.memory > maxMemory || p.passes > maxPasses || len(p.hash) < 16) {
			t.Errorf("parsePHC(%q) lets through %+v", s, p)
		}
	})
}
