package ca_test

import (
	"runtime"
	"runtime/debug"
	"slices"
	"testing"

	"certportal/ca"
)

func BenchmarkPrepare(b *testing.B) {
	for _, issuing := range []string{"rsa", "ec"} {
		for _, key := range []string{"rsa", "ec"} {
			b.Run(issuing+"-issues-"+key, func(b *testing.B) {
				issuer, profile := ca.FixtureIssuer(b, issuing), ca.FixtureProfile(b)
				pub := ca.FixtureKey(b, "user-"+key).Public()
				for b.Loop() {
					if _, err := issuer.Prepare(profile, ca.FixtureSubject(), pub, ca.FixtureNow()); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkSign(b *testing.B) {
	for _, issuing := range []string{"rsa", "ec"} {
		b.Run(issuing, func(b *testing.B) {
			issuer := ca.FixtureIssuer(b, issuing)
			for b.Loop() {
				b.StopTimer()
				p := prepared(b, issuer)
				b.StartTimer()
				if _, err := issuer.Sign(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkGenerateRSA2048 is the reference for the two benchmarks above.
func BenchmarkGenerateRSA2048(b *testing.B) {
	for b.Loop() {
		if _, err := ca.RSA2048.Generate(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewIssuer(b *testing.B) {
	h := ca.FixtureHierarchy(b, "rsa")
	for b.Loop() {
		if _, err := ca.NewIssuer(ca.IssuerConfig{Certificate: h.Issuing, Signer: h.IssuingKey}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenKey(b *testing.B) {
	file, err := ca.EncryptKey(ca.FixtureKey(b, "issuing-rsa"), passphrase)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := ca.DecryptKey(file, passphrase); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCRLMillion builds a CRL of a million entries, sorted as a store gives them.
// Its peak is all memory that the runtime obtained from the system, entries included.
func BenchmarkCRLMillion(b *testing.B) {
	issuer := ca.FixtureIssuer(b, "rsa")
	cfg := listOf(b, manyRevoked(b, 1_000_000)...)
	slices.SortFunc(cfg.Revoked, func(x, y ca.Revocation) int { return x.Serial.Compare(y.Serial) })
	debug.FreeOSMemory()
	var peak uint64
	b.ReportAllocs()
	for b.Loop() {
		if _, err := issuer.CRL(cfg); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		peak = max(peak, taken())
		b.StartTimer()
	}
	b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
}

// taken gives the memory that the runtime holds.
func taken() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Sys - m.HeapReleased
}
