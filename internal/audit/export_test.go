package audit_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"certportal/internal/audit"
)

// hostile is an entry in which every value tries to end the line, the field or the
// message.
func hostile() audit.Entry {
	const text = "a\r\nb\x00\x1b[31m\u2028\u0085\"]\\ <130>1 - - - - - - forged \u202e\u2069\u200b ünï שרה 👩‍💻"
	e, _ := audit.Head{}.Append(audit.Entry{
		At: time.Date(2026, 11, 22, 12, 0, 0, 120e6, time.UTC), Node: text, Action: audit.SignInRefused,
		Actor: text, Role: text, Person: text, Object: text, Address: text, Request: text,
		Detail: map[string]string{text: text, "": ""},
	})
	return e
}

func TestJSONLinesComeBackAsTheyWere(t *testing.T) {
	for _, e := range append(chain(3), hostile()) {
		line, err := e.AppendJSON([]byte("before"))
		if err != nil {
			t.Fatal(err)
		}
		text, found := strings.CutPrefix(string(line), "before")
		if !found || strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
			t.Errorf("entry %d is no line: %q", e.Seq, line)
		}
		if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl) }); i >= 0 {
			t.Errorf("entry %d: hidden character at %q", e.Seq, text[max(0, i-20):])
		}
		back, err := audit.ParseJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if back.Hash != back.Sum() || back.Hash != e.Hash || !maps.Equal(back.Detail, e.Detail) {
			t.Errorf("entry %d came back as another: %+v", e.Seq, back)
		}
	}
}

// The promised schema: fields may be added, none renamed.
func TestJSONSchema(t *testing.T) {
	line, err := chain(1)[0].AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"version": 1.0, "seq": 1.0, "time": "2026-11-22T12:00:00.123Z", "node": "", "action": "certificate.issued", "outcome": "done",
		"actor": "p1", "role": "employee", "person": "p1", "object": "0a1b", "address": "192.0.2.7", "request": "r1",
	}
	for name, value := range want {
		if fields[name] != value {
			t.Errorf("%s: got %v, want %v", name, fields[name], value)
		}
	}
	for _, name := range []string{"detail", "prev", "hash"} {
		if fields[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestA18_OneEventIsOneSyslogMessage(t *testing.T) {
	header := regexp.MustCompile(`^<(109|110)>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [!-~]{1,255} certportal - [!-~]{1,32} \[certportal@32473( [a-z]+="([^"\\\]]|\\["\\\]])*")+\] \{`)
	for _, e := range append(chain(2), hostile()) {
		message, err := e.AppendSyslog(nil)
		if err != nil {
			t.Fatal(err)
		}
		if !header.Match(message) {
			t.Errorf("not RFC 5424: %q", message)
		}
		for _, r := range string(message) {
			if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl) {
				t.Fatalf("hidden character %q in the message of entry %d", r, e.Seq)
			}
		}
	}
}

func TestParseJSONRefuses(t *testing.T) {
	good, err := chain(1)[0].AppendJSON(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, line := range map[string]string{
		"nothing": "", "no JSON": "{", "another version": strings.Replace(string(good), `"version":1`, `"version":2`, 1),
		"no time": strings.Replace(string(good), "2026-11-22T", "yesterday", 1), "half a hash": strings.Replace(string(good), `"hash":"`, `"hash":"zz`, 1),
	} {
		if _, err := audit.ParseJSON([]byte(line)); err == nil {
			t.Errorf("%s was read", name)
		}
	}
}

func FuzzParseJSON(f *testing.F) {
	good, err := hostile().AppendJSON(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := audit.ParseJSON(line)
		if err != nil {
			return
		}
		again, err := e.AppendJSON(nil)
		if err != nil {
			return // a year beyond 9999
		}
		if back, err := audit.ParseJSON(again); err != nil || back.Sum() != e.Sum() {
			t.Errorf("%q came back as another: %v", line, err)
		}
	})
}

func TestHeads(t *testing.T) {
	head := chain(3)[2].Head()
	got, err := audit.ParseHead(" " + head.String() + "\n")
	if err != nil || got != head {
		t.Errorf("got %v, %v, want %v", got, err, head)
	}
	for _, text := range []string{"", "3", "3:", "x:" + strings.Repeat("0", 64), "0:" + strings.Repeat("0", 64), "3:00"} {
		if _, err := audit.ParseHead(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func TestA19_SealsCoverWhatTheySay(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	seal, err := audit.Checkpoint{Head: chain(3)[2].Head(), At: time.Now(), Node: "n", Key: "0a"}.Sign(key)
	if err != nil || seal.Verify(key.Public()) != nil {
		t.Fatalf("got %v, %v", err, seal.Verify(key.Public()))
	}
	for name, change := range map[string]func(*audit.Checkpoint){
		"number": func(s *audit.Checkpoint) { s.Seq++ }, "hash": func(s *audit.Checkpoint) { s.Hash[0] ^= 1 }, "node": func(s *audit.Checkpoint) { s.Node = "m" },
		"time": func(s *audit.Checkpoint) { s.At = s.At.Add(time.Millisecond) }, "key": func(s *audit.Checkpoint) { s.Key = "0b" },
		"signature": func(s *audit.Checkpoint) { s.Signature = append([]byte{}, s.Signature[:8]...) },
	} {
		changed := seal
		change(&changed)
		if changed.Verify(key.Public()) == nil {
			t.Errorf("a seal with another %s verifies", name)
		}
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (audit.Checkpoint{}).Sign(other); err == nil || seal.Verify(other.Public()) == nil {
		t.Error("RSA seals")
	}
}

// Entries of the first release have no node, and still verify.
func TestA19_EntriesWithoutNodeKeepTheirHash(t *testing.T) {
	e := chain(1)[0]
	const written = "4918117e0db73c00afdbd6321677e38bf355271e73b61a6a746352105d08b668"
	if got := fmt.Sprintf("%x", e.Hash); got != written {
		t.Errorf("hash %s, want %s", got, written)
	}
	with := e
	with.Node = "portal-1"
	if with.Sum() == e.Sum() {
		t.Error("the node is not hashed")
	}
}
