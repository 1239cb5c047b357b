package web

import (
	"testing"
	"time"
)

// TestStart: the secrets of a sign-in depend on the whole cookie, and none reveals
// another one.
func TestStart(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_795_000_000, 0)
	start := newStart(at, "/new?p=ios")
	again, ok := parseStart(start.String())
	if !ok || again.next != start.next || !again.at.Equal(at) || again.flow() != start.flow() {
		t.Errorf("got %+v, %v after a round trip of %+v", again, ok, start)
	}
	f := start.flow()
	if f.State == f.Nonce || f.Nonce == f.Verifier || f.State == f.Verifier || len(f.Verifier) != 43 {
		t.Errorf("got %+v, want three secrets of 43 characters", f)
	}
	later, elsewhere, other := start, start, newStart(at, start.next)
	later.at, elsewhere.next = at.Add(time.Second), "/"
	for name, s := range map[string]ssoStart{"time": later, "page": elsewhere, "secret": other} {
		if g := s.flow(); g.State == f.State || g.Nonce == f.Nonce || g.Verifier == f.Verifier {
			t.Errorf("with another %s: a secret is the same", name)
		}
	}
}

func FuzzParseStart(f *testing.F) {
	f.Add(newStart(time.Unix(1_795_000_000, 0), "/new").String())
	f.Add("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA.1.Ly9ldmlsLmV4YW1wbGU")
	f.Add("..")
	f.Fuzz(func(t *testing.T, value string) {
		s, ok := parseStart(value)
		if !ok || s.next == "" {
			return
		}
		if next, local := localPath(s.next); !local || next != s.next {
			t.Errorf("%q leads to %q", value, s.next)
		}
	})
}
