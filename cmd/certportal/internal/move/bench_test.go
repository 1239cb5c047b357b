package move

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// BenchmarkMove moves a SQLite database that "certportal seed" filled to PostgreSQL, and that
// back.
func BenchmarkMove(b *testing.B) {
	seeded := os.Getenv("SEEDED_DATABASE")
	if seeded == "" {
		b.Skip("SEEDED_DATABASE names no database filled by certportal seed")
	}
	for b.Loop() {
		b.StopTimer()
		file := filepath.Join(b.TempDir(), "portal.db")
		testkit.NoError(b, os.WriteFile(file, testkit.Must(os.ReadFile(seeded))(b), 0o600))
		server := fixture.EmptyPostgres(b)
		b.StartTimer()
		for _, way := range []struct{ name, from, to string }{
			{"to-postgres", file, server}, {"to-sqlite", server, filepath.Join(b.TempDir(), "back.db")},
		} {
			began := time.Now()
			j := records{address: way.from}.job(way.to)
			step := ""
			j.Step = func(what string) {
				if step != "" {
					b.ReportMetric(time.Since(began).Seconds(), "s-"+step+"-"+way.name)
				}
				step = what
			}
			o := testkit.Must(Run(context.Background(), j))(b)
			took := time.Since(began)
			b.ReportMetric(took.Seconds(), "s-"+way.name)
			b.ReportMetric(float64(o.Rows["certificates"])/took.Seconds(), "certificates/s-"+way.name)
		}
	}
}
