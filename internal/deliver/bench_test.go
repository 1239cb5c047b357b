package deliver_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"certportal/internal/deliver"

	"software.sslmate.com/src/go-pkcs12"
)

// BenchmarkPKCS12 measures a file with a friendlyName. Its ratio to BenchmarkEncoder is
// the cost of the name, at most 1.15. BenchmarkFriendlyName measures the difference.
func BenchmarkPKCS12(b *testing.B) {
	for _, format := range formats() {
		b.Run(string(format), func(b *testing.B) {
			in := bundle(b, "rsa", format, "Ada's phone")
			for b.Loop() {
				if _, err := deliver.PKCS12(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEncoder measures go-pkcs12 alone with the same iterations.
func BenchmarkEncoder(b *testing.B) {
	encoders := map[deliver.Format]*pkcs12.Encoder{
		deliver.FormatLegacy: pkcs12.LegacyDES.WithIterations(deliver.Iterations),
		deliver.FormatModern: pkcs12.Modern2023.WithIterations(deliver.Iterations),
	}
	for _, format := range formats() {
		b.Run(string(format), func(b *testing.B) {
			in := bundle(b, "rsa", format, "")
			for b.Loop() {
				if _, err := encoders[format].Encode(in.Key, in.Leaf, in.Chain, in.Password); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkProfile measures an Apple profile for a phone before it is signed; the
// limit is 15 ms. BenchmarkSign measures the signature.
func BenchmarkProfile(b *testing.B) {
	p := profile(b, deliver.TargetPhone)
	p.Identity.Rand = nil
	for b.Loop() {
		if _, err := p.XML(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSign signs a profile. BenchmarkSign/…/bare is the key operation alone.
func BenchmarkSign(b *testing.B) {
	content := xml(b, profile(b, deliver.TargetPhone))
	for _, kind := range keyKinds() {
		s := signerOf(b, kind)
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				if _, err := deliver.Sign(content, s, signedAt()); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(kind+"/bare", func(b *testing.B) {
			sum := sha256.Sum256(content)
			for b.Loop() {
				if _, err := s.Key.Sign(rand.Reader, sum[:], crypto.SHA256); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
