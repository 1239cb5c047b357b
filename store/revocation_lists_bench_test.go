package store_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// BenchmarkLists reads, builds, signs and stores the lists of 1,000,000 revocations, of
// one issuing CA and of two. Its peak is all memory that the runtime held beyond that of
// before.
func BenchmarkLists(b *testing.B) {
	for _, authorities := range []int{1, 2} {
		b.Run(fmt.Sprint(authorities, " authorities"), func(b *testing.B) { benchmarkLists(b, authorities) })
	}
}

func benchmarkLists(b *testing.B, authorities int) {
	const many = 1_000_000
	file := testkit.Must(filepath.Abs(filepath.Join(benchmarkFolder(b), "portal.db")))(b)
	db := opened(b, file)
	_, err := connect(b, "sqlite", file).Exec(`WITH RECURSIVE n (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < $1)
		INSERT INTO revocations (issuer, authority, seq, serial, revoked_at, reason_code, not_after)
		SELECT 'issuing', CASE WHEN seq % $4 = 0 THEN NULL ELSE 'issuing-2' END, seq - $1 - 1, '4' || lower(substr(hex(randomblob(17)), 2)), $2, 1, $3 FROM n`,
		many, testkit.Noon.UnixMilli(), testkit.Noon.Add(365*24*time.Hour).UnixMilli(), authorities)
	testkit.NoError(b, err)
	config := crl.Config{Store: db, Now: func() time.Time { return testkit.Noon }, Log: slog.New(slog.DiscardHandler)}
	issuer := fixture.Issuer(b, fixture.Hierarchy(b, ca.RSA3072))
	for _, name := range []string{"issuing", "issuing-2"}[:authorities] {
		config.Authorities = append(config.Authorities, crl.Authority{
			Name: name, Life: crl.DefaultLife, Renew: crl.DefaultRenew, Issuer: func() (*ca.Issuer, error) { return issuer, nil },
		})
	}
	lists := testkit.Must(crl.New(config))(b)
	debug.FreeOSMemory()
	before, peak := heldMiB(), 0.0
	for b.Loop() {
		ended := make(chan error)
		go func() { ended <- lists.Refresh(b.Context()) }()
		for running := true; running; {
			select {
			case err := <-ended:
				testkit.NoError(b, err)
				running = false
			case <-time.After(5 * time.Millisecond):
				peak = max(peak, heldMiB())
			}
		}
	}
	entries := 0
	for _, a := range config.Authorities {
		list, _ := lists.CRL(a.Name)
		entries += list.Entries
	}
	testkit.Equal(b, "entries", entries, many)
	b.ReportMetric(peak-before, "peak-MiB")
}

// heldMiB is the memory that the runtime holds.
func heldMiB() float64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.Sys-m.HeapReleased) / (1 << 20)
}
