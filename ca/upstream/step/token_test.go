package step

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"certportal/internal/test/testkit"
)

func TestKeyIsReadInEveryForm(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	testkit.NoError(t, err)
	plain, err := json.Marshal(jose.JSONWebKey{Key: private})
	testkit.NoError(t, err)
	for _, algorithm := range []jose.KeyAlgorithm{jose.PBES2_HS256_A128KW, jose.PBES2_HS512_A256KW} {
		encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: algorithm, Key: []byte("right"), PBES2Count: 1000}, nil)
		testkit.NoError(t, err)
		sealed, err := encrypter.Encrypt(plain)
		testkit.NoError(t, err)
		compact, err := sealed.CompactSerialize()
		testkit.NoError(t, err)
		for _, text := range []string{string(plain), compact, sealed.FullSerialize()} {
			key, err := parseKey(text, "right")
			if err != nil || key.KeyID == "" {
				t.Errorf("%s %.20s: %v", algorithm, text, err)
			}
			if _, err := parseKey(text, "wrong"); (err == nil) != (text == string(plain)) {
				t.Errorf("%s %.20s with wrong password: %v", algorithm, text, err)
			}
		}
	}
}
