//go:build pkcs11

package app

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"maps"
	"testing"
	"time"

	"certportal/ca"
	"certportal/cmd/certportal/internal/hsm"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/test/softhsm"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// BenchmarkEnrolInToken compares enrolments of a portal whose RSA 3072 key is in a token with
// those of one whose key is in a file, in turn. The signing of each is taken off: what is
// left must be alike.
func BenchmarkEnrolInToken(b *testing.B) {
	h := softhsm.New(b, "Issuing")
	inFile := fixture.FastCA()
	inFile["CERTPORTAL_CA_ISSUING_KEY"] = string(ca.RSA3072)
	places := []map[string]string{inFile, inTokens(h, "", "Issuing", ca.RSA3072)}
	var enrol []func(string) (*x509.Certificate, error)
	var keys []crypto.Signer
	for _, environ := range places {
		maps.Copy(environ, map[string]string{"CERTPORTAL_CERTIFICATES_DEVICES": "1000", "CERTPORTAL_CERTIFICATES_PER_HOUR": "100000"})
		p := testkit.Must(openWith(b, b.TempDir(), environ))(b)
		enrol = append(enrol, person(b, p))
		file := testkit.Must(p.CA.Folder.KeyFile("issuing"))(b)
		if hsm.IsReference(file) {
			tokens := localca.Tokens(p.Settings)
			b.Cleanup(func() { tokens.Close() })
			keys = append(keys, testkit.Must(tokens.Open(file))(b))
			continue
		}
		keys = append(keys, testkit.Must(ca.DecryptKey(file, p.CA.Passphrase))(b))
	}
	var enrolling, signing [2]time.Duration
	rounds := 0
	for b.Loop() {
		for i := range places {
			began := time.Now()
			testkit.Must(enrol[i](fmt.Sprint("phone ", rounds)))(b)
			enrolling[i] += time.Since(began)
			digest := sha256.Sum256([]byte(fmt.Sprint(rounds)))
			began = time.Now()
			testkit.Must(keys[i].Sign(rand.Reader, digest[:], crypto.SHA256))(b)
			signing[i] += time.Since(began)
		}
		rounds++
	}
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(rounds) }
	rest := func(i int) float64 { return each(enrolling[i]) - each(signing[i]) }
	b.ReportMetric(each(signing[0]), "file-sign-ms")
	b.ReportMetric(each(signing[1]), "token-sign-ms")
	b.ReportMetric(rest(0), "file-rest-ms")
	b.ReportMetric(rest(1), "token-rest-ms")
	b.ReportMetric(100*(rest(1)-rest(0))/each(enrolling[1]), "overhead-%")
}
