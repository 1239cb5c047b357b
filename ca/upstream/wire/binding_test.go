package wire

import (
	"crypto/x509"
	"encoding/hex"
	"testing"

	"certportal/internal/test/testkit"
)

// The value is that of Windows for a certificate with this SHA-256, as the tests of other
// clients give it.
func TestChannelBinding(t *testing.T) {
	hash := testkit.Must(hex.DecodeString("e3ca49271e5089cc48ce82109f1324f41dbeddc29a777410c738f7868c4ff405"))(t)
	testkit.Equal(t, "channel binding", hex.EncodeToString(channel(hash)), "6ea19df066da4622051f9c4f92c6df74")
}

func TestServersWithoutChannelBinding(t *testing.T) {
	for _, algorithm := range []x509.SignatureAlgorithm{x509.PureEd25519, x509.UnknownSignatureAlgorithm} {
		if _, err := serverEndPoint(&x509.Certificate{SignatureAlgorithm: algorithm}); err == nil {
			t.Errorf("%s: certificate is bound to", algorithm)
		}
	}
}
