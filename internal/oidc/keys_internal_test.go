package oidc

import "testing"

// TestReadKey: a key counts by its parameters alone, with any optional members.
func TestReadKey(t *testing.T) {
	const point = `"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"`
	for name, tt := range map[string]struct {
		raw string
		ok  bool
	}{
		"plain":                 {`{"kid":"a",` + point + `}`, true},
		"x5c that is none":      {`{"kid":"a","x5c":["bm8gY2VydGlmaWNhdGU="],` + point + `}`, true},
		"x5c of another form":   {`{"kid":"a","x5c":"MII","x5u":7,` + point + `}`, true},
		"x5t of a wrong length": {`{"kid":"a","x5t":"AAAA","x5t#S256":"AA",` + point + `}`, true},
		"no point":              {`{"kid":"a","kty":"EC","crv":"P-256","x":"AA","y":"AA"}`, false},
		"no object":             {`"a"`, false},
	} {
		key, err := readKey([]byte(tt.raw))
		if (err == nil) != tt.ok || tt.ok && (key.KeyID != "a" || !signs(key)) {
			t.Errorf("%s: %v, key %q, want it read: %t", name, err, key.KeyID, tt.ok)
		}
	}
	if got := keyID([]byte(`{"kid":"a","kty":"odd"}`)) + keyID([]byte(`[]`)); got != "a" {
		t.Errorf("ids %q, want a", got)
	}
}
