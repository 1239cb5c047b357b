package auditmonitor_test

import (
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/auditmonitor"
	"certportal/internal/test/testkit"
)

func TestA19_ARewrittenChainStaysBroken(t *testing.T) {
	h, key, log := onSQLite(t), newKey(t), testkit.NewLog(t)
	entries := h.fill(t, 30)
	h.sealAt(t, key, entries[19])
	h.disarm(t)
	h.rewrite(t, entries, 10)
	looks := 0
	k := newMonitor(t, h, auditmonitor.Config{Key: keyOf(key), CheckpointEvery: 20 * time.Millisecond, Log: log.Logger()})
	k.start(t)
	log.Await(t, "THE AUDIT LOG IS BROKEN")
	testkit.Eventually(t, "another look", func() bool { looks++; return looks > 40 })
	k.stop()
	state := testkit.Must(k.State(t.Context()))(t)
	wantBreak(t, "state", state.Verification.Broken, 1, audit.CheckpointDiffers)
	testkit.Equal(t, "seals", len(testkit.Must(h.Checkpoints(t.Context(), 0, 10))(t)), 1)
	testkit.Equal(t, "verifies again", log.Count("verifies again"), 0)
}
