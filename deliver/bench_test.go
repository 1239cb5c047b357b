package deliver_test

import (
	"testing"

	"certportal/deliver"

	"software.sslmate.com/src/go-pkcs12"
)

// BenchmarkPKCS12 stands beside BenchmarkEncoder: the ratio of the two is what
// the friendlyName costs, at most 1.15. BenchmarkRelabel has the difference.
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

// BenchmarkEncoder is the library alone at the same iterations.
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
