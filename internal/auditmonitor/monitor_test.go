package auditmonitor_test

import (
	"context"
	"crypto"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/auditmonitor"
	"certportal/internal/test/testkit"
)

// testMonitor is a monitor over a harness.
type testMonitor struct {
	*auditmonitor.Monitor
	harness *harness
	stop    func()
}

func newMonitor(t *testing.T, h *harness, c auditmonitor.Config) *testMonitor {
	t.Helper()
	c.Store, c.Node = h.DB, "portal-1"
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &testMonitor{Monitor: testkit.Must(auditmonitor.New(c))(t), harness: h}
}

// start runs it until the end of the test or stop.
func (k *testMonitor) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		k.Run(ctx)
		close(done)
	}()
	k.stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(k.stop)
}

func (k *testMonitor) awaitReader(t *testing.T, name string, seq int64) {
	t.Helper()
	testkit.Eventually(t, name, func() bool {
		for _, r := range testkit.Must(k.State(t.Context()))(t).Cursors {
			if r.Name == name && r.Seq >= seq {
				return true
			}
		}
		return false
	})
}

func keyOf(key crypto.Signer) func(context.Context) (crypto.Signer, string, error) {
	return func(context.Context) (crypto.Signer, string, error) { return key, "0a", nil }
}

func TestMonitorSignsAndSignsAtTheEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		key, log := newKey(t), testkit.NewLog(t)
		h.fill(t, 10)
		k := newMonitor(t, h, auditmonitor.Config{
			Key: keyOf(key), Certified: certifiedBy(key.Public()), CheckpointEvery: 50 * time.Millisecond, Log: log.Logger(),
		})
		k.start(t)
		log.Await(t, "head=10:")
		k.stop()
		h.fill(t, 5)
		again := newMonitor(t, h, auditmonitor.Config{Key: keyOf(key), CheckpointEvery: time.Hour})
		again.start(t)
		again.stop()
		seal := testkit.Must(h.LastCheckpoint(t.Context()))(t)
		testkit.Equal(t, "sealed at the end", seal.Seq, 15)
		if err := seal.Verify(key.Public()); err != nil {
			t.Error(err)
		}
		check := testkit.Must(h.LastVerification(t.Context()))(t)
		testkit.Equal(t, "verified", check.Seq, 15)
		idle := newMonitor(t, h, auditmonitor.Config{Key: keyOf(key), CheckpointEvery: 10 * time.Millisecond})
		idle.start(t)
		idle.stop()
		testkit.Equal(t, "seals", len(testkit.Must(h.Checkpoints(t.Context(), 0, 10))(t)), 2)
	})
}

// No checkpoint is made of a broken chain: the break is reported once, in the log and
// in the audit log, and is gone when it is repaired.
func TestA19_ABrokenLedgerIsNotSealed(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		key, log := newKey(t), testkit.NewLog(t)
		h.fill(t, 20)
		h.disarm(t)
		h.exec(t, "UPDATE ledger SET actor = 'nobody' WHERE seq = 7")
		k := newMonitor(t, h, auditmonitor.Config{Key: keyOf(key), CheckpointEvery: 20 * time.Millisecond, Log: log.Logger()})
		k.start(t)
		log.Await(t, "THE AUDIT LOG IS BROKEN")
		testkit.Eventually(t, "the entry", func() bool { return testkit.Must(h.Head(t.Context()))(t).Seq == 21 })
		k.stop()
		testkit.Equal(t, "seals", len(testkit.Must(h.Checkpoints(t.Context(), 0, 10))(t)), 0)
		state := testkit.Must(k.State(t.Context()))(t)
		wantBreak(t, "state", state.Verification.Broken, 7, audit.Altered)
		testkit.Equal(t, "verified up to", state.Verification.Seq, 6)
		testkit.Equal(t, "told", log.Count("THE AUDIT LOG IS BROKEN"), 1)
		last := testkit.Must(h.Entries(t.Context(), 20, 1))(t)[0]
		testkit.Equal(t, "entry", last.Action, audit.LogBroken)

		h.exec(t, "UPDATE ledger SET actor = $1 WHERE seq = 7", sample(7).Actor)
		k = newMonitor(t, h, auditmonitor.Config{Key: keyOf(key), CheckpointEvery: 20 * time.Millisecond, Log: log.Logger(), Now: func() time.Time {
			return time.Now().Add(2 * time.Hour)
		}})
		k.start(t)
		log.Await(t, "verifies again")
		log.Await(t, "head=21:")
	})
}

// Without its key, a portal continues and logs the error.
func TestMonitorWithoutAKey(t *testing.T) {
	h, log := onSQLite(t), testkit.NewLog(t)
	h.fill(t, 3)
	k := newMonitor(t, h, auditmonitor.Config{CheckpointEvery: 20 * time.Millisecond, Log: log.Logger(),
		Key: func(context.Context) (crypto.Signer, string, error) { return nil, "", errors.New("the CA is sealed") }})
	k.start(t)
	log.Await(t, "the CA is sealed")
	testkit.Equal(t, "verified", testkit.Must(h.LastVerification(t.Context()))(t).Seq, 3)
}

// Two replicas verify, sign and forward once.
func TestReplicasShareTheWork(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		c := newCollector(t)
		c.listen(t)
		key := newKey(t)
		config := auditmonitor.Config{Key: keyOf(key), CheckpointEvery: 20 * time.Millisecond, Targets: []auditmonitor.Target{c.target()}}
		first, second := newMonitor(t, h, config), newMonitor(t, &harness{DB: open(t, h.address)}, config)
		first.start(t)
		second.start(t)
		h.fill(t, 3000)
		first.awaitReader(t, c.target().Name(), 3000)
		first.stop()
		second.stop()
		got := c.received()
		checkOrder(t, got, 3000)
		testkit.Equal(t, "messages", len(got), 3000)
		testkit.Equal(t, "sealed", testkit.Must(h.LastCheckpoint(t.Context()))(t).Seq, 3000)
	})
}

func TestFileKeepsACopy(t *testing.T) {
	h := onSQLite(t)
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	// A crash in the middle of a line.
	if err := os.WriteFile(path, []byte(`{"version":1,"se`), 0o600); err != nil {
		t.Fatal(err)
	}
	target := auditmonitor.File{Path: path, Node: "portal-1"}
	k := newMonitor(t, h, auditmonitor.Config{Targets: []auditmonitor.Target{target}})
	k.start(t)
	h.fill(t, 2500)
	k.awaitReader(t, target.Name(), 2500)
	info := testkit.Must(os.Stat(path))(t)
	testkit.Equal(t, "mode", info.Mode().Perm(), 0o600)
	lines := strings.Split(strings.TrimSuffix(string(testkit.Must(os.ReadFile(path))(t)), "\n"), "\n")
	testkit.Equal(t, "lines", len(lines), 2501)
	var checker audit.Checker
	for _, line := range lines[1:] {
		if broken := checker.Next(testkit.Must(audit.ParseJSON([]byte(line)))(t)); broken != nil {
			t.Fatal(broken)
		}
	}
	testkit.Equal(t, "head of the copy", checker.Head, testkit.Must(h.Head(t.Context()))(t))
}

// A full disk stops the copy and nothing else.
func TestF21_AFullDiskStopsTheCopyAlone(t *testing.T) {
	h, log := onSQLite(t), testkit.NewLog(t)
	if _, err := os.Stat("/dev/full"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no /dev/full here")
		}
		t.Skip("there is no /dev/full here")
	}
	k := newMonitor(t, h, auditmonitor.Config{Targets: []auditmonitor.Target{auditmonitor.File{Path: "/dev/full"}}, Log: log.Logger()})
	k.start(t)
	h.fill(t, 10)
	log.Await(t, "no space left")
	if err := h.Note(t.Context(), sample(11)); err != nil {
		t.Error(err)
	}
}
