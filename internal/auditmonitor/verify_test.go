package auditmonitor_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/auditmonitor"
	"certportal/internal/test/testkit"
)

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func verify(t testing.TB, src auditmonitor.Store, o auditmonitor.Options) auditmonitor.Report {
	t.Helper()
	return testkit.Must(auditmonitor.Verify(t.Context(), src, o))(t)
}

// wantBreak compares sequence number and fault; "" for none.
func wantBreak(t testing.TB, what string, got *audit.Break, seq int64, fault audit.Fault) {
	t.Helper()
	if got == nil && fault == "" {
		return
	}
	if got == nil || got.Seq != seq || got.Fault != fault {
		t.Errorf("%s: got %v, want %s at %d", what, got, fault, seq)
	}
}

// sealAt makes a checkpoint of an entry.
func (h *harness) sealAt(t testing.TB, key crypto.Signer, e audit.Entry) {
	t.Helper()
	seal := testkit.Must(audit.Checkpoint{Head: e.Head(), At: e.At, Node: "portal-1", Key: "0a"}.Sign(key))(t)
	if err := h.AddCheckpoint(t.Context(), seal); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyAWholeLedger(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		empty := verify(t, h, auditmonitor.Options{})
		wantBreak(t, "empty", empty.Broken, 0, "")
		entries := h.fill(t, 2000)
		h.fill(t, 501)
		key := newKey(t)
		h.sealAt(t, key, entries[9])
		h.sealAt(t, key, entries[1999])
		report := verify(t, h, auditmonitor.Options{Known: []audit.Head{entries[99].Head()}})
		wantBreak(t, "whole", report.Broken, 0, "")
		testkit.Equal(t, "entries", report.Entries, 2501)
		testkit.Equal(t, "head", report.Head.Seq, 2501)
		testkit.Equal(t, "seals", report.Checkpoints, 2)
		rest := verify(t, h, auditmonitor.Options{From: entries[1998].Head()})
		testkit.Equal(t, "entries after an earlier look", rest.Entries, 502)
		testkit.Equal(t, "seals after an earlier look", rest.Checkpoints, 1)
	})
}

// tampering is a change that a database administrator makes at the n-th of 1,000
// entries, and the break to be found.
type tampering struct {
	name string
	do   func(t *testing.T, h *harness, es []audit.Entry, n int) (seq int64, fault audit.Fault)
}

func tamperings() []tampering {
	return []tampering{
		{"flip a byte", func(t *testing.T, h *harness, es []audit.Entry, n int) (int64, audit.Fault) {
			column := []string{"action", "actor", "role", "person", "object", "address", "request", "detail", "node", "prev", "hash"}[n%11]
			h.flip(t, column, int64(n), n)
			return int64(n), audit.Altered
		}},
		{"delete", func(t *testing.T, h *harness, es []audit.Entry, n int) (int64, audit.Fault) {
			h.exec(t, "DELETE FROM ledger WHERE seq = $1", n)
			if n == len(es) {
				return int64(n), audit.CutOff
			}
			return int64(n), audit.Missing
		}},
		{"swap", func(t *testing.T, h *harness, es []audit.Entry, n int) (int64, audit.Fault) {
			other := n%len(es) + 1 // the last one with the first
			h.exec(t, "UPDATE ledger SET seq = -1 WHERE seq = $1", n)
			h.exec(t, "UPDATE ledger SET seq = $1 WHERE seq = $2", n, other)
			h.exec(t, "UPDATE ledger SET seq = $1 WHERE seq = -1", other)
			return int64(min(n, other)), audit.Altered
		}},
		// The recorded head is moved too, so that only the checkpoint shows it.
		{"cut tail", func(t *testing.T, h *harness, es []audit.Entry, n int) (int64, audit.Fault) {
			var head audit.Head
			if n > 1 {
				head = es[n-2].Head()
			}
			h.exec(t, "DELETE FROM ledger WHERE seq >= $1", n)
			h.exec(t, "UPDATE ledger_head SET seq = $1, hash = $2", head.Seq, head.Hash[:])
			return int64(n), audit.CutOff
		}},
	}
}

// flip changes one octet of a column where it is stored.
func (h *harness) flip(t testing.TB, column string, seq int64, where int) {
	t.Helper()
	var stored []byte
	if err := h.plain.QueryRow("SELECT "+column+" FROM ledger WHERE seq = $1", seq).Scan(&stored); err != nil {
		t.Fatal(err)
	}
	stored[where%len(stored)] ^= 1
	var value any = stored
	if column != "prev" && column != "hash" {
		value = string(stored)
	}
	h.exec(t, "UPDATE ledger SET "+column+" = $1 WHERE seq = $2", value, seq)
}

// At each of 1,000 positions a byte is flipped, or the entry deleted, swapped or cut
// off, in turn: all are found, with the first bad number. Under the race detector it is
// a sample of positions; "scripts/test long" does all four at all positions.
func TestA19_TamperingIsFoundAtEveryPosition(t *testing.T) {
	const events = 1000
	kinds := tamperings()
	step, tried := len(kinds), events
	switch {
	case testkit.Times(t, 1) > 1:
		step, tried = 1, events*len(kinds)
	case testing.Short() || testkit.UnderRace:
		step, tried = 50*len(kinds), events/50
	}
	onBoth(t, func(t *testing.T, h *harness) {
		entries := h.fill(t, events)
		h.sealAt(t, newKey(t), entries[events-1])
		h.disarm(t)
		h.exec(t, "CREATE TABLE copied AS SELECT * FROM ledger")
		found := 0
		for i, tamper := range kinds {
			for n := 1 + i%step; n <= events; n += step {
				seq, fault := tamper.do(t, h, entries, n)
				report := verify(t, h, auditmonitor.Options{})
				wantBreak(t, fmt.Sprint(tamper.name, " at ", n), report.Broken, seq, fault)
				if report.Broken != nil {
					found++
				}
				h.restore(t, n, entries)
			}
		}
		testkit.Equal(t, "found", found, tried)
		wantBreak(t, "restored", verify(t, h, auditmonitor.Options{}).Broken, 0, "")
	})
}

// restore restores the entries from n on, and their swapped neighbours.
func (h *harness) restore(t testing.TB, n int, entries []audit.Entry) {
	t.Helper()
	head := entries[len(entries)-1].Head()
	for _, where := range []string{"seq >= $1 AND seq <= $1 + 1 OR seq = 1 OR seq = -1", "seq > $1 + 1"} {
		if where == "seq > $1 + 1" {
			var rest int
			if err := h.plain.QueryRow("SELECT count(*) FROM ledger WHERE "+where, n).Scan(&rest); err != nil {
				t.Fatal(err)
			}
			if rest == max(0, len(entries)-n-1) {
				continue
			}
		}
		h.exec(t, "DELETE FROM ledger WHERE "+where, n)
		h.exec(t, "INSERT INTO ledger SELECT * FROM copied WHERE "+where, n)
	}
	h.exec(t, "UPDATE ledger_head SET seq = $1, hash = $2", head.Seq, head.Hash[:])
}

// rewrite changes the actor of an entry and recomputes all later hashes and the
// recorded head: the work of a competent attacker.
func (h *harness) rewrite(t testing.TB, entries []audit.Entry, n int) {
	t.Helper()
	var head audit.Head
	if n > 1 {
		head = entries[n-2].Head()
	}
	for i := n - 1; i < len(entries); i++ {
		e := entries[i]
		if i == n-1 {
			e.Actor = "nobody"
		}
		e, head = head.Append(e)
		h.exec(t, "UPDATE ledger SET actor = $2, prev = $3, hash = $4 WHERE seq = $1", e.Seq, e.Actor, e.Prev[:], e.Hash[:])
	}
	h.exec(t, "UPDATE ledger_head SET seq = $1, hash = $2", head.Seq, head.Hash[:])
}

func TestA19_ARewrittenChainDiffersFromItsSeals(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		entries, key := h.fill(t, 100), newKey(t)
		for _, n := range []int{20, 60, 80} {
			h.sealAt(t, key, entries[n-1])
		}
		h.disarm(t)
		h.rewrite(t, entries, 85)
		// After the last checkpoint only a head that was kept elsewhere shows it.
		wantBreak(t, "behind the last seal", verify(t, h, auditmonitor.Options{}).Broken, 0, "")
		known := []audit.Head{entries[89].Head()}
		wantBreak(t, "held against a kept head", verify(t, h, auditmonitor.Options{Known: known}).Broken, 81, audit.KnownDiffers)
		h.rewrite(t, entries, 30)
		broken := verify(t, h, auditmonitor.Options{}).Broken
		wantBreak(t, "between seals", broken, 21, audit.CheckpointDiffers)
		testkit.Equal(t, "until", broken.Until, 60)
		h.rewrite(t, entries, 1)
		wantBreak(t, "from the first entry on", verify(t, h, auditmonitor.Options{}).Broken, 1, audit.CheckpointDiffers)
	})
}

func TestA19_OtherWaysToTamper(t *testing.T) {
	tests := []struct {
		name  string
		do    func(t *testing.T, h *harness, es []audit.Entry)
		o     func(es []audit.Entry) auditmonitor.Options
		seq   int64
		fault audit.Fault
	}{
		{"nothing", func(*testing.T, *harness, []audit.Entry) {}, nil, 0, ""},
		{"the recorded end", func(t *testing.T, h *harness, _ []audit.Entry) {
			h.exec(t, "UPDATE ledger_head SET hash = $1", make([]byte, 32))
		}, nil, 50, audit.HeadDiffers},
		{"the recorded end, set back", func(t *testing.T, h *harness, es []audit.Entry) {
			h.exec(t, "UPDATE ledger_head SET seq = 49, hash = $1", es[48].Hash[:])
		}, nil, 49, audit.HeadDiffers},
		{"the recorded end, moved on", func(t *testing.T, h *harness, _ []audit.Entry) {
			h.exec(t, "UPDATE ledger_head SET seq = 51")
		}, nil, 51, audit.CutOff},
		{"an entry that is no JSON", func(t *testing.T, h *harness, _ []audit.Entry) {
			h.exec(t, "UPDATE ledger SET detail = '{' WHERE seq = 7")
		}, nil, 7, audit.Altered},
		{"the same meaning in other octets", func(t *testing.T, h *harness, _ []audit.Entry) {
			h.exec(t, `UPDATE ledger SET detail = replace(detail, '\u003c', '\u003C') WHERE seq = 7`)
		}, nil, 7, audit.Altered},
		{"one entry with a fitting hash", func(t *testing.T, h *harness, es []audit.Entry) {
			e := es[6]
			e.Actor = "nobody"
			sum := e.Sum()
			h.exec(t, "UPDATE ledger SET actor = 'nobody', hash = $1 WHERE seq = 7", sum[:])
		}, nil, 7, audit.Rewritten},
		{"all entries", func(t *testing.T, h *harness, _ []audit.Entry) {
			h.exec(t, "DELETE FROM ledger")
			h.exec(t, "UPDATE ledger_head SET seq = 0, hash = $1", make([]byte, 32))
		}, func(es []audit.Entry) auditmonitor.Options {
			return auditmonitor.Options{Known: []audit.Head{es[9].Head()}}
		}, 1, audit.CutOff},
		{"entries of an earlier look", func(t *testing.T, h *harness, es []audit.Entry) {
			h.exec(t, "DELETE FROM ledger WHERE seq > 20")
			h.exec(t, "UPDATE ledger_head SET seq = 20, hash = $1", es[19].Hash[:])
		}, func(es []audit.Entry) auditmonitor.Options { return auditmonitor.Options{From: es[29].Head()} }, 21, audit.CutOff},
	}
	onBoth(t, func(t *testing.T, h *harness) {
		h.disarm(t)
		for _, tt := range tests {
			h.exec(t, "DELETE FROM ledger")
			h.exec(t, "UPDATE ledger_head SET seq = 0, hash = $1", make([]byte, 32))
			entries := h.fill(t, 50)
			tt.do(t, h, entries)
			var o auditmonitor.Options
			if tt.o != nil {
				o = tt.o(entries)
			}
			wantBreak(t, tt.name, verify(t, h, o).Broken, tt.seq, tt.fault)
		}
	})
}

// certifiedBy accepts checkpoints of one key.
func certifiedBy(key crypto.PublicKey) auditmonitor.Certified {
	return func(_ context.Context, s audit.Checkpoint) error {
		if s.Verify(key) != nil {
			return &audit.Break{Seq: s.Seq, Fault: audit.CheckpointForged}
		}
		return nil
	}
}

func TestA19_ForgedSealsAreFound(t *testing.T) {
	right, wrong := newKey(t), newKey(t)
	onBoth(t, func(t *testing.T, h *harness) {
		entries := h.fill(t, 50)
		h.sealAt(t, right, entries[9])
		o := auditmonitor.Options{Certified: certifiedBy(right.Public())}
		wantBreak(t, "right key", verify(t, h, o).Broken, 0, "")
		h.sealAt(t, wrong, entries[19])
		wantBreak(t, "wrong key", verify(t, h, o).Broken, 20, audit.CheckpointForged)
		h.disarm(t)
		h.exec(t, "DELETE FROM ledger_seals WHERE seq = 20")
		h.exec(t, "UPDATE ledger_seals SET at = at + 1")
		wantBreak(t, "another time", verify(t, h, o).Broken, 10, audit.CheckpointForged)
	})
}

// Verification is not disturbed by entries that are written at the same time.
func TestVerifyBesideWriters(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		h.fill(t, 2000)
		stop, stopped := make(chan struct{}), make(chan error, 1)
		go func() {
			for {
				select {
				case <-stop:
					stopped <- nil
					return
				default:
				}
				if err := h.Note(t.Context(), audit.Entry{At: testkit.Noon, Action: audit.SignedIn}); err != nil {
					stopped <- err
					return
				}
			}
		}()
		for range 20 {
			wantBreak(t, "beside a writer", verify(t, h, auditmonitor.Options{}).Broken, 0, "")
		}
		close(stop)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

func TestVerifyTellsThatItCouldNotRead(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		h.fill(t, 10)
		h.exec(t, "ALTER TABLE ledger RENAME TO elsewhere")
		report, err := auditmonitor.Verify(t.Context(), h, auditmonitor.Options{})
		if err == nil || report.Broken != nil {
			t.Errorf("got %v, %v, want an error", report.Broken, err)
		}
	})
}

// BenchmarkVerify verifies a million entries, or a tenth with -short.
func BenchmarkVerify(b *testing.B) {
	entries := 1_000_000
	if testing.Short() {
		entries /= 10
	}
	h := onSQLite(b)
	began := time.Now()
	h.fill(b, entries)
	b.Logf("filled in %v", time.Since(began))
	key := newKey(b)
	for n := 1000; n <= entries; n += 1000 {
		page := testkit.Must(h.Entries(b.Context(), int64(n)-1, 1))(b)
		h.sealAt(b, key, page[0])
	}
	b.ResetTimer()
	for range b.N {
		report := testkit.Must(auditmonitor.Verify(b.Context(), h, auditmonitor.Options{Certified: certifiedBy(key.Public())}))(b)
		if report.Broken != nil || report.Entries != int64(entries) || report.Checkpoints != entries/1000 {
			b.Fatalf("got %+v", report)
		}
	}
}
