//go:build pkcs11

package hsm_test

import (
	"crypto"
	"testing"

	"certportal/ca"
	"certportal/cmd/certportal/internal/hsm"
	"certportal/internal/test/softhsm"
	"certportal/internal/test/testkit"
)

// BenchmarkSign is a signature by a key of the module, and by one that looks after its
// token.
func BenchmarkSign(b *testing.B) {
	h := softhsm.New(b, "keys")
	tokens := tokensOf(b, h)
	for _, kind := range []ca.KeyKind{ca.RSA3072, ca.ECP256} {
		key := created(b, tokens, kind)
		for name, signer := range map[string]crypto.Signer{"module": testkit.Must(hsm.InModule(key))(b), "portal": key} {
			b.Run(string(kind)+"/"+name, func(b *testing.B) {
				for b.Loop() {
					if err := signs(signer); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
