package auditmonitor_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/auditmonitor"
)

// logged keeps what a logger wrote.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write fulfils io.Writer.
func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func (l *logged) await(t *testing.T, text string) {
	t.Helper()
	awaited(t, "log line with "+text, func() bool { return l.count(text) > 0 })
}

// awaited looks again until something is so; a test that waits in vain ends here.
func awaited(t *testing.T, what string, so func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	patience := time.After(2 * time.Minute)
	for !so() {
		select {
		case <-ticker.C:
		case <-patience:
			t.Fatalf("waiting for %s in vain", what)
		}
	}
}

// keeper is one that runs over a house.
type keeper struct {
	*auditmonitor.Monitor
	house *house
	stop  func()
}

func newKeeper(t *testing.T, h *house, c auditmonitor.Config) *keeper {
	t.Helper()
	c.Store, c.Node = h.DB, "portal-1"
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &keeper{Monitor: must[*auditmonitor.Monitor](t)(auditmonitor.New(c)), house: h}
}

// start lets it run until the end of the test or stop.
func (k *keeper) start(t *testing.T) {
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

func (k *keeper) awaitReader(t *testing.T, name string, seq int64) {
	t.Helper()
	awaited(t, name, func() bool {
		for _, r := range must[auditmonitor.State](t)(k.State(t.Context())).Cursors {
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

func TestKeeperSealsAndSealsAtTheEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		key, log := newKey(t), &logged{}
		h.fill(t, 10)
		k := newKeeper(t, h, auditmonitor.Config{
			Key: keyOf(key), Certified: certifiedBy(key.Public()), CheckpointEvery: 50 * time.Millisecond, Log: log.logger(),
		})
		k.start(t)
		log.await(t, "head=10:")
		k.stop()
		h.fill(t, 5)
		again := newKeeper(t, h, auditmonitor.Config{Key: keyOf(key), CheckpointEvery: time.Hour})
		again.start(t)
		again.stop()
		seal := must[audit.Checkpoint](t)(h.LastCheckpoint(t.Context()))
		equal(t, "sealed at the end", seal.Seq, 15)
		if err := seal.Verify(key.Public()); err != nil {
			t.Error(err)
		}
		check := must[audit.Verification](t)(h.LastVerification(t.Context()))
		equal(t, "verified", check.Seq, 15)
		idle := newKeeper(t, h, auditmonitor.Config{Key: keyOf(key), CheckpointEvery: 10 * time.Millisecond})
		idle.start(t)
		idle.stop()
		equal(t, "seals", len(must[[]audit.Checkpoint](t)(h.Checkpoints(t.Context(), 0, 10))), 2)
	})
}

// A chain that was tampered with is not sealed: the break is told once, in the log
// and in the ledger, and is gone when it is mended.
func TestA19_ABrokenLedgerIsNotSealed(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		key, log := newKey(t), &logged{}
		h.fill(t, 20)
		h.disarm(t)
		h.exec(t, "UPDATE ledger SET actor = 'nobody' WHERE seq = 7")
		k := newKeeper(t, h, auditmonitor.Config{Key: keyOf(key), CheckpointEvery: 20 * time.Millisecond, Log: log.logger()})
		k.start(t)
		log.await(t, "THE LEDGER IS BROKEN")
		awaited(t, "the entry", func() bool { return must[audit.Head](t)(h.Head(t.Context())).Seq == 21 })
		k.stop()
		equal(t, "seals", len(must[[]audit.Checkpoint](t)(h.Checkpoints(t.Context(), 0, 10))), 0)
		state := must[auditmonitor.State](t)(k.State(t.Context()))
		wantBreak(t, "state", state.Verification.Broken, 7, audit.Altered)
		equal(t, "verified up to", state.Verification.Seq, 6)
		equal(t, "told", log.count("THE LEDGER IS BROKEN"), 1)
		last := must[[]audit.Entry](t)(h.Entries(t.Context(), 20, 1))[0]
		equal(t, "entry", last.Action, audit.LogBroken)

		h.exec(t, "UPDATE ledger SET actor = $1 WHERE seq = 7", sample(7).Actor)
		k = newKeeper(t, h, auditmonitor.Config{Key: keyOf(key), CheckpointEvery: 20 * time.Millisecond, Log: log.logger(), Now: func() time.Time {
			return time.Now().Add(2 * time.Hour)
		}})
		k.start(t)
		log.await(t, "verifies again")
		log.await(t, "head=21:")
	})
}

// Without its key, a portal goes on and says so.
func TestKeeperWithoutAKey(t *testing.T) {
	h, log := onSQLite(t, t.TempDir()), &logged{}
	h.fill(t, 3)
	k := newKeeper(t, h, auditmonitor.Config{CheckpointEvery: 20 * time.Millisecond, Log: log.logger(),
		Key: func(context.Context) (crypto.Signer, string, error) { return nil, "", errors.New("the CA is sealed") }})
	k.start(t)
	log.await(t, "the CA is sealed")
	equal(t, "verified", must[audit.Verification](t)(h.LastVerification(t.Context())).Seq, 3)
}

// Two replicas verify, seal and send once.
func TestReplicasShareTheWork(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		c := newCollector(t)
		c.listen(t)
		key := newKey(t)
		config := auditmonitor.Config{Key: keyOf(key), CheckpointEvery: 20 * time.Millisecond, Targets: []auditmonitor.Target{c.target()}}
		first, second := newKeeper(t, h, config), newKeeper(t, &house{DB: open(t, h.address)}, config)
		first.start(t)
		second.start(t)
		h.fill(t, 3000)
		first.awaitReader(t, c.target().Name(), 3000)
		first.stop()
		second.stop()
		got := c.received()
		checkOrder(t, got, 3000)
		equal(t, "messages", len(got), 3000)
		equal(t, "sealed", must[audit.Checkpoint](t)(h.LastCheckpoint(t.Context())).Seq, 3000)
	})
}

func TestFileKeepsACopy(t *testing.T) {
	h := onSQLite(t, t.TempDir())
	path := filepath.Join(t.TempDir(), "ledger.jsonl")
	// A crash in the middle of a line.
	if err := os.WriteFile(path, []byte(`{"version":1,"se`), 0o600); err != nil {
		t.Fatal(err)
	}
	target := auditmonitor.File{Path: path, Node: "portal-1"}
	k := newKeeper(t, h, auditmonitor.Config{Targets: []auditmonitor.Target{target}})
	k.start(t)
	h.fill(t, 2500)
	k.awaitReader(t, target.Name(), 2500)
	info := must[os.FileInfo](t)(os.Stat(path))
	equal(t, "mode", info.Mode().Perm(), 0o600)
	lines := strings.Split(strings.TrimSuffix(string(must[[]byte](t)(os.ReadFile(path))), "\n"), "\n")
	equal(t, "lines", len(lines), 2501)
	var checker audit.Checker
	for _, line := range lines[1:] {
		if broken := checker.Next(must[audit.Entry](t)(audit.ParseJSON([]byte(line)))); broken != nil {
			t.Fatal(broken)
		}
	}
	equal(t, "head of the copy", checker.Head, must[audit.Head](t)(h.Head(t.Context())))
}

// A disk that takes nothing stops the copy and nothing else.
func TestF21_AFullDiskStopsTheCopyAlone(t *testing.T) {
	h, log := onSQLite(t, t.TempDir()), &logged{}
	if _, err := os.Stat("/dev/full"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no /dev/full here")
		}
		t.Skip("there is no /dev/full here")
	}
	k := newKeeper(t, h, auditmonitor.Config{Targets: []auditmonitor.Target{auditmonitor.File{Path: "/dev/full"}}, Log: log.logger()})
	k.start(t)
	h.fill(t, 10)
	log.await(t, "no space left")
	if err := h.Note(t.Context(), sample(11)); err != nil {
		t.Error(err)
	}
}
