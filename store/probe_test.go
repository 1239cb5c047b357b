package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"certportal/internal/drift"
)

// A probe writes, changes nothing, and tells when nothing can be written.
func TestProbe(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		before := must[drift.State](t)(db.DriftState(t.Context()))
		for range 3 {
			if err := db.Probe(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		equal(t, "state of the watch", must[drift.State](t)(db.DriftState(t.Context())), before)
		equal(t, "entries", len(entries(t, db)), 0)
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
