package auditmonitor_test

import (
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/auditmonitor"
)

func TestA19_ARewrittenChainStaysBroken(t *testing.T) {
	h, key, log := onSQLite(t, t.TempDir()), newKey(t), &logged{}
	entries := h.fill(t, 30)
	h.sealAt(t, key, entries[19])
	h.disarm(t)
	h.rewrite(t, entries, 10)
	looks := 0
	k := newKeeper(t, h, auditmonitor.Config{Key: keyOf(key), CheckpointEvery: 20 * time.Millisecond, Log: log.logger()})
	k.start(t)
	log.await(t, "THE LEDGER IS BROKEN")
	awaited(t, "another look", func() bool { looks++; return looks > 40 })
	k.stop()
	state := must[auditmonitor.State](t)(k.State(t.Context()))
	wantBreak(t, "state", state.Verification.Broken, 1, audit.CheckpointDiffers)
	equal(t, "seals", len(must[[]audit.Checkpoint](t)(h.Checkpoints(t.Context(), 0, 10))), 1)
	equal(t, "verifies again", log.count("verifies again"), 0)
}
