package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
	"certportal/store/sqldb"
)

// largeTables grow with the years.
func largeTables() []string {
	return []string{"certificates", "ledger", "revocations", "devices", "people", "person_words", "pickups", "letters", "challenges"}
}

// A step that reads or changes all rows of a table which grows says beside it, in a comment
// that begins with "Lock:", how long who waits at a million certificates, as measured with
// BenchmarkStepLocks. Those up to 31 were measured: docs/benchmarks.md.
func TestF18_NewStepsSayWhoWaits(t *testing.T) {
	const measured = 31
	onOlder(t, measured, func(t *testing.T, address string) {
		for _, step := range testkit.Must(store.PlanUpgrade(t.Context(), address))(t).Steps {
			var text string
			for _, file := range testkit.Must(filepath.Glob(fmt.Sprintf("migrations/%05d_*.sql", step.Version)))(t) {
				text += string(testkit.Must(os.ReadFile(file))(t))
			}
			for _, w := range step.Work {
				all := w.Kind == sqldb.WorkIndex || w.Kind == sqldb.WorkRows || w.Kind == sqldb.WorkRemove
				if all && slices.Contains(largeTables(), w.Table) && !strings.Contains(text, "-- Lock:") {
					t.Errorf("step %d works on all rows of %s: measure it with BenchmarkStepLocks and say in a comment \"-- Lock: …\" who waits how long", step.Version, w.Table)
				}
			}
		}
	})
}

// BenchmarkStepLocks runs each step of the schema on a database that "certportal seed" filled,
// while a writer changes a certificate again and again, and reports how long that waited.
func BenchmarkStepLocks(b *testing.B) {
	seeded := seededDatabase(b)
	newest := testkit.Must(store.SchemaVersion())(b)
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			for b.Loop() {
				address := e.empty(b)
				fixture.CopyToOlder(b, seeded, address, 10)
				plain := fixture.Plain(b, address)
				if e.name == "sqlite" { // the pages as a portal leaves them
					testkit.Must(plain.Exec("PRAGMA journal_mode=WAL"))(b)
				} else {
					testkit.Must(plain.Exec("ANALYZE"))(b)
				}
				for version := int64(11); version <= newest; version++ {
					longest, took := waitDuring(b, plain, func() { fixture.MakeSchema(b, address, version) })
					b.Logf("%s: step %d took %v, a writer waited %v at most", e.name, version, took.Round(time.Millisecond), longest.Round(time.Millisecond))
					b.ReportMetric(longest.Seconds(), fmt.Sprintf("s-wait-%d", version))
				}
			}
		})
	}
}

// waitDuring is the longest that a writer waited while do ran.
func waitDuring(b *testing.B, plain *sql.DB, do func()) (longest, took time.Duration) {
	b.Helper()
	var serial string
	testkit.NoError(b, plain.QueryRow("SELECT serial FROM certificates WHERE status = 'issued' LIMIT 1").Scan(&serial))
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			began := time.Now()
			_, err := plain.Exec("UPDATE certificates SET delivered_at = delivered_at WHERE serial = $1", serial)
			if err != nil && !strings.Contains(err.Error(), "BUSY") && !strings.Contains(err.Error(), "locked") {
				ended <- err
				return
			}
			longest = max(longest, time.Since(began))
			pausing := time.NewTimer(5 * time.Millisecond)
			<-pausing.C
		}
		ended <- nil
	}()
	began := time.Now()
	do()
	took = time.Since(began)
	end()
	testkit.NoError(b, <-ended)
	return longest, took
}
