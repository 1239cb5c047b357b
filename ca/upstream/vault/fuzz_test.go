package vault

import (
	"testing"

	"certportal/ca/upstream/wire"
)

func FuzzParseSigned(f *testing.F) {
	f.Add([]byte(`{"data":{"certificate":"","ca_chain":[]},"warnings":["x"]}`))
	f.Add([]byte(`{"data":{"certificate":"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"}}`))
	f.Add([]byte(`{"errors":["permission denied"]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		answer, err := parseSigned(wire.Reply{Status: 200, Body: body})
		if err == nil && answer.Certificate == nil {
			t.Error("neither certificate nor error")
		}
		if refusal(wire.Reply{Status: 400, Body: body}) == nil {
			t.Error("refusal is no error")
		}
	})
}
