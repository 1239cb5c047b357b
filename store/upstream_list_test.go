package store_test

import (
	"testing"
	"time"

	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// Two replicas find the lists of a CA due at the same moment: the second waits for the row,
// and takes them no more, also when the look of the first is over by then.
func TestUpstreamListsAreTakenOnce(t *testing.T) {
	for name, first := range map[string]string{
		"it looks":  "UPDATE upstream_watches SET taken_until = $1::bigint + 300000",
		"it looked": "UPDATE upstream_watches SET looked_at = $1, taken_until = 0",
	} {
		t.Run(name, func(t *testing.T) {
			address := fixture.Postgres(t)
			db, plain := opened(t, address), connect(t, "pgx", address)
			const authority = "upstream-company"
			now := testkit.Noon
			take := func() bool {
				return testkit.Must(db.TakeUpstreamWatch(t.Context(), authority, now, now.Add(5*time.Minute)))(t)
			}
			if !take() || take() {
				t.Fatal("a new CA is not taken once")
			}
			testkit.NoError(t, db.RecordUpstreamLists(t.Context(), authority, now, nil))
			now = now.Add(time.Hour)
			other := testkit.Must(plain.BeginTx(t.Context(), nil))(t)
			testkit.Must(other.ExecContext(t.Context(), "SELECT 1 FROM upstream_watches FOR UPDATE"))(t)
			taken := make(chan bool, 1)
			go func() { taken <- take() }()
			testkit.Eventually(t, "waiting for the row", func() bool {
				var n int
				err := plain.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&n)
				return err == nil && n == 1
			})
			testkit.Must(other.ExecContext(t.Context(), first, now.UnixMilli()))(t)
			testkit.NoError(t, other.Commit())
			if <-taken {
				t.Error("both took them")
			}
		})
	}
}
