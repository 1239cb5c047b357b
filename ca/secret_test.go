package ca_test

import (
	"testing"

	"certportal/ca"
	"certportal/internal/test/testkit"
)

// TestSecretSurvivesAPassphrase: the secret is that of the key, so it stays when the
// key is encrypted again under another passphrase, and on every replica.
func TestSecretSurvivesAPassphrase(t *testing.T) {
	for _, kind := range []ca.KeyKind{ca.RSA2048, ca.ECP256, ca.ECP384} {
		t.Run(string(kind), func(t *testing.T) {
			key := testkit.Must(kind.Generate())(t)
			want := testkit.Must(ca.DeriveSecret(key, "a"))(t)
			for _, passphrase := range []string{"the first passphrase", "another passphrase"} {
				file := testkit.Must(ca.EncryptKey(key, []byte(passphrase)))(t)
				again := testkit.Must(ca.DecryptKey(file, []byte(passphrase)))(t)
				if got := testkit.Must(ca.DeriveSecret(again, "a"))(t); got != want {
					t.Errorf("under %q: another secret", passphrase)
				}
			}
			if testkit.Must(ca.DeriveSecret(key, "b"))(t) == want {
				t.Error("another label gives the same secret")
			}
			if testkit.Must(ca.DeriveSecret(testkit.Must(kind.Generate())(t), "a"))(t) == want {
				t.Error("another key gives the same secret")
			}
		})
	}
}
