package store

import (
	"encoding/json"
	"maps"
	"testing"
)

// detailOf accepts only what json.Marshal writes, byte for byte.
func FuzzDetail(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":"b"}`, `{"a":"b","c":""}`, `{"c":"b","a":""}`, `{"a":"b","a":"c"}`, `{"a" : "b"}`, `{"a":"\u003c"}`, `{"a":"\u003C"}`,
		`{"a":"<"}`, `{"a":"b",}`, `{,}`, `null`, `{"a":1}`, `{"":""}`, "{\"a\":\"\u2028\"}", "{\"a\":\"\xff\"}", `{"a":"b"}}`, "{\"a\":\"\x7f\"}",
		`{"ü":"é👩‍💻"}`, "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, ok := detailOf(text)
		var want map[string]string
		canonical := json.Unmarshal(text, &want) == nil
		if canonical {
			again, err := json.Marshal(want)
			canonical = err == nil && string(again) == string(text)
		}
		if ok != canonical || ok && !maps.Equal(got, want) {
			t.Errorf("%q: got %v, %t, want %v, %t", text, got, ok, want, canonical)
		}
	})
}
