package store_test

import (
	"math"
	"path/filepath"
	"testing"
	"time"

	"certportal/internal/test/testkit"
)

// BenchmarkRevoked reads 1,000,000 revocations for a CRL, sorted.
func BenchmarkRevoked(b *testing.B) {
	const many = 1_000_000
	file, err := filepath.Abs(filepath.Join(benchmarkFolder(b), "portal.db"))
	if err != nil {
		b.Fatal(err)
	}
	db := opened(b, file)
	_, err = connect(b, "sqlite", file).Exec(`WITH RECURSIVE n (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < $1)
		INSERT INTO revocations (issuer, seq, serial, revoked_at, reason_code, not_after)
		SELECT 'issuing', seq, '4' || lower(substr(hex(randomblob(17)), 2)), $2, 1, $3 FROM n`,
		many, testkit.Noon.UnixMilli(), testkit.Noon.Add(365*24*time.Hour).UnixMilli())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if got := len(revokedBetween(b, db, 0, math.MaxInt64, testkit.Noon)); got != many {
			b.Fatalf("got %d", got)
		}
	}
}
