package step

import (
	"testing"

	"certportal/ca/upstream/wire"
)

func FuzzParseSigned(f *testing.F) {
	f.Add([]byte(`{"crt":"","ca":"","certChain":[]}`))
	f.Add([]byte(`{"crt":"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, body []byte) {
		answer, err := parseSigned(wire.Reply{Status: 201, Body: body})
		if err == nil && answer.Certificate == nil {
			t.Error("neither certificate nor error")
		}
		parseCertificates(wire.Reply{Status: 200, Body: body})
		refusal(wire.Reply{Status: 403, Body: body})
	})
}

func FuzzParseKey(f *testing.F) {
	f.Add(`{"kty":"EC","crv":"P-256"}`, "password")
	f.Add(`eyJhbGciOiJQQkVTMi1IUzI1NitBMTI4S1ciLCJwMmMiOjF9.a.b.c.d`, "")
	f.Fuzz(func(t *testing.T, text, password string) {
		key, err := parseKey(text, password)
		if err == nil && key.KeyID == "" {
			t.Error("key without id")
		}
	})
}
