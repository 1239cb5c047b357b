package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// A probe writes, changes nothing, and fails when writing is impossible.
func TestProbe(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		before := testkit.Must(db.DriftState(t.Context()))(t)
		for range 3 {
			if err := db.Probe(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		testkit.Equal(t, "state of the watch", testkit.Must(db.DriftState(t.Context()))(t), before)
		testkit.Equal(t, "entries", len(fixture.Entries(t, db)), 0)
		if _, err := db.plain.ExecContext(t.Context(), "DELETE FROM watch"); err != nil {
			t.Fatal(err)
		}
		if err := db.Probe(t.Context()); err == nil {
			t.Error("a write that touched nothing passed for one")
		}
	})
}

func TestProbeOfAFileThatWasTakenAway(t *testing.T) {
	file := filepath.Join(t.TempDir(), "portal.db")
	db := opened(t, file)
	if err := os.Rename(file, file+".old"); err != nil {
		t.Fatal(err)
	}
	wantMoved(t, "probing", db.Probe(t.Context()))
}
