package ntlm_test

import (
	"bytes"
	"testing"

	"certportal/ca/upstream/ntlm"
)

// good is a challenge with time: 48 octets of header and 16 of target information.
func good() []byte {
	m := append([]byte("NTLMSSP\x00\x02\x00\x00\x00"), make([]byte, 8)...)
	m = append(m, 0x15, 0x82, 0x8a, 0xe2)
	m = append(m, bytes.Repeat([]byte{2}, 8)...)
	m = append(m, make([]byte, 8)...)
	m = append(m, 16, 0, 16, 0, 48, 0, 0, 0)
	return append(m, 7, 0, 8, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0)
}

func TestChallengesThatAreRefused(t *testing.T) {
	if _, err := ntlm.ParseChallenge(good()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func([]byte) []byte{
		"empty":               func([]byte) []byte { return nil },
		"cut":                 func(m []byte) []byte { return m[:47] },
		"another type":        func(m []byte) []byte { m[8] = 3; return m },
		"no Unicode":          func(m []byte) []byte { m[20] &^= 1; return m },
		"no extended session": func(m []byte) []byte { m[22] &^= 8; return m },
		"no target":           func(m []byte) []byte { m[22] &^= 0x80; return m },
		"offset behind":       func(m []byte) []byte { m[44] = 200; return m },
		"offset of 32 bits":   func(m []byte) []byte { copy(m[44:], "\xff\xff\xff\xff"); return m },
		"length behind":       func(m []byte) []byte { m[40] = 17; return m },
		"no end":              func(m []byte) []byte { m[40] = 12; return m },
		"pair is cut":         func(m []byte) []byte { m[50] = 200; return m },
		"no time":             func(m []byte) []byte { m[48] = 1; return m },
		"9 kB":                func(m []byte) []byte { return append(m, make([]byte, 9<<10)...) },
	} {
		if _, err := ntlm.ParseChallenge(change(good())); err == nil {
			t.Errorf("%s: challenge is accepted", name)
		}
	}
}

func FuzzChallenge(f *testing.F) {
	f.Add(good())
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := ntlm.ParseChallenge(raw)
		if err != nil {
			return
		}
		if _, err := c.Authenticate(ntlm.Account{Domain: "CORP", User: "portal"}, ntlm.Binding{Service: "HTTP/h"}); err != nil {
			t.Error(err)
		}
	})
}
