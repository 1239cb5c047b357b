package crl_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/ca/ocsp"
)

// journalAt opens a journal of a fixture.
func journalAt(t *testing.T, o *fixture, file string) *crl.Journal {
	t.Helper()
	j, err := crl.OpenJournal(crl.JournalConfig{
		Path: file, Store: o.db, Now: o.clock, Log: slog.New(slog.NewTextHandler(o.log, nil)),
		Lists: func() []crl.List {
			var all []crl.List
			for _, h := range o.Health() {
				all = append(all, h.List)
			}
			return all
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func follow(t *testing.T, j *crl.Journal) {
	t.Helper()
	if err := j.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func recall(t *testing.T, j *crl.Journal) int {
	t.Helper()
	n, err := j.Recover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// restored is a fixture whose database was copied, changed, and restored from the copy.
type restored struct {
	*fixture
	file, journal  string
	folder         *crl.Folder
	before, during ca.Serial // revoked before the copy and after
	issued         ca.Serial // issued after the copy, not revoked
	both           ca.Serial // issued and revoked after the copy
	known          ca.Serial // issued before the copy, not revoked
	highest        int64     // highest number of a published list
}

// restore copies a database, revokes and issues certificates, and restores the copy.
func restore(t *testing.T) *restored {
	t.Helper()
	dir := t.TempDir()
	r := &restored{file: filepath.Join(dir, "portal.db"), journal: filepath.Join(dir, "elsewhere", "revocation.journal")}
	r.folder = &crl.Folder{Path: t.TempDir()}
	r.fixture = fixtureAt(t, r.file, func(c *crl.Config) { c.Targets = []crl.Target{r.folder} })
	r.folder.Signers = r.signers
	r.refresh()
	j := journalAt(t, r.fixture, r.journal)
	r.before, r.during, r.known = r.revokeNew(), r.reserve(), r.reserve()
	r.refresh()
	follow(t, j)
	// The copy is taken while nothing is written, as sqlite3's .backup does in operation.
	r.db.Close()
	copyFile(t, r.file, r.file+".copy")
	r.db = opened(t, r.file)
	r.Publisher = r.replica()
	j.Close()
	j = journalAt(t, r.fixture, r.journal)
	if n := recall(t, j); n != 0 {
		t.Errorf("brought back %d after a mere restart, want none", n)
	}
	r.pass(20 * time.Hour)
	r.revoke(r.during)
	r.issued, r.both = r.reserve(), r.revokeNew()
	r.refresh()
	if err := r.Deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.highest = held(t, r.fixture, "issuing").Number
	follow(t, j)
	j.Close()
	// Restore the copy.
	r.db.Close()
	for _, name := range []string{r.file, r.file + "-wal", r.file + "-shm"} {
		if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	copyFile(t, r.file+".copy", r.file)
	r.db = opened(t, r.file)
	r.Publisher = r.replica()
	r.pass(time.Hour)
	return r
}

func (r *restored) checkBroughtBack(t *testing.T, reasons bool) {
	t.Helper()
	r.refresh()
	l, parsed := r.list("issuing")
	if l.Number <= r.highest {
		t.Errorf("list %d after the restore, want it above %d", l.Number, r.highest)
	}
	reason := map[string]int{}
	for _, e := range parsed.RevokedCertificateEntries {
		reason[fmt.Sprintf("%x", e.SerialNumber)] = e.ReasonCode
	}
	for what, serial := range map[string]ca.Serial{"revoked before": r.before, "revoked since": r.during, "issued and revoked since": r.both} {
		if !r.names("issuing", serial) {
			t.Errorf("%s: not listed any more", what)
		}
		status, err := r.db.Status(t.Context(), serial)
		if err != nil || status.State != ocsp.Revoked {
			t.Errorf("%s: state %v, %v, want revoked", what, status.State, err)
		}
	}
	if r.names("issuing", r.known) {
		t.Error("a certificate that stands was revoked")
	}
	if status, err := r.db.Status(t.Context(), r.issued); err != nil || status.State == ocsp.Good {
		t.Errorf("issued since: state %v, %v, want it never good", status.State, err)
	}
	if reasons && (!r.names("issuing", r.issued) || reason[r.issued.String()] != 5) {
		t.Errorf("issued since: listed %v with reason %d, want reason 5", r.names("issuing", r.issued), reason[r.issued.String()])
	}
	if got, want := reason[r.both.String()], reason[r.before.String()]; got != want {
		t.Errorf("issued and revoked since: reason %d, want %d", got, want)
	}
}

// TestF15_TheJournalSurvivesARestore restores an older copy of the database.
func TestF15_TheJournalSurvivesARestore(t *testing.T) {
	r := restore(t)
	j := journalAt(t, r.fixture, r.journal)
	if n := recall(t, j); n != 3 {
		t.Errorf("brought back %d, want 3", n)
	}
	r.checkBroughtBack(t, true)
	if n := recall(t, j); n != 0 {
		t.Errorf("brought back %d again, want none", n)
	}
	// The journal continues with the numbers of the restored audit log.
	later := r.revokeNew()
	follow(t, j)
	j.Close()
	if n := recall(t, journalAt(t, r.fixture, r.journal)); n != 0 {
		t.Errorf("brought back %d after the journal went on, want none", n)
	}
	text, err := os.ReadFile(r.journal)
	if err != nil || !strings.Contains(string(text), later.String()) {
		t.Errorf("the journal lacks what happened after the restore: %v", err)
	}
}

// TestA12_APublishedListIsARecord recovers the revocations from the list in the folder
// when the journal is lost too.
func TestA12_APublishedListIsARecord(t *testing.T) {
	r := restore(t)
	n, err := r.folder.Recover(t.Context(), r.db, nil, r.clock())
	if err != nil || n != 2 {
		t.Errorf("brought back %d, %v, want 2", n, err)
	}
	r.checkBroughtBack(t, false)
	if n, err := r.folder.Recover(t.Context(), r.db, nil, r.clock()); err != nil || n != 0 {
		t.Errorf("brought back %d again, %v, want none", n, err)
	}
}

// TestF15_AFolderEndsFirst: a published list alone knows that the database is an older
// copy. While what the copy brings back cannot be ended, nothing is replayed, so that the
// next start finds the same and ends it.
func TestF15_AFolderEndsFirst(t *testing.T) {
	r := restore(t)
	broken, called := errors.New("the disk is full"), 0
	n, err := r.folder.Recover(t.Context(), r.db, func(context.Context) error { called++; return broken }, r.clock())
	if n != 0 || !errors.Is(err, broken) || called != 1 {
		t.Errorf("first start: brought back %d, %v after %d calls, want none and the error of the one", n, err, called)
	}
	if status, err := r.db.Status(t.Context(), r.during); err != nil || status.State == ocsp.Revoked {
		t.Errorf("first start: state %v, %v, want nothing written", status.State, err)
	}
	called = 0
	n, err = r.folder.Recover(t.Context(), r.db, func(ctx context.Context) error {
		called++
		return r.db.EndRestored(ctx, r.clock())
	}, r.clock())
	if err != nil || n != 2 || called != 1 {
		t.Errorf("second start: brought back %d, %v after %d calls, want 2 after one", n, err, called)
	}
	if h, err := r.db.Halted(t.Context()); err != nil || h.Reason == "" {
		t.Errorf("second start: halt %+v, %v, want issuing stopped", h, err)
	}
	r.checkBroughtBack(t, false)
}

// TestF15_EachRestoreEnds restores an older copy before the start, and twice under the
// running portal: each time what it brings back is ended, once.
func TestF15_EachRestoreEnds(t *testing.T) {
	r := restore(t)
	records, called := &swap{r.db}, 0
	j, err := crl.OpenJournal(crl.JournalConfig{
		Path: r.journal, Store: records, Now: r.clock, Log: slog.New(slog.NewTextHandler(r.log, nil)),
		Restored: func(context.Context) error { called++; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	recall(t, j)
	r.revokeNew()
	follow(t, j)
	copied := opened(t, r.file+".copy")
	for round := range 2 {
		if called != round+1 {
			t.Errorf("before restore %d under the portal: ended %d times, want %d", round+1, called, round+1)
		}
		records.Store = copied
		for range 2 {
			r.pass(2 * time.Minute)
			if err := j.Follow(t.Context()); err == nil || !strings.Contains(err.Error(), "restart") {
				t.Errorf("restored again: %v, want it to ask for a restart", err)
			}
		}
		records.Store = r.db
		r.pass(2 * time.Minute)
		follow(t, j)
	}
	if called != 3 {
		t.Errorf("ended %d times, want once for each of 3 restores", called)
	}
}

// swap is a store that is replaced under a running portal.
type swap struct{ crl.Store }

// TestA12_RecordsRestoredUnderARunningPortal restores the database under a running
// portal: no list without the lost revocation is published, and the error asks for a
// restart.
func TestA12_RecordsRestoredUnderARunningPortal(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "portal.db")
	records := &swap{}
	o := fixtureAt(t, file)
	o.refresh()
	o.db.Close()
	copyFile(t, file, file+".copy")
	o.db = opened(t, file)
	records.Store = o.db
	o.change = func(c *crl.Config) { c.Store = records }
	o.Publisher = o.replica()
	j := journalAt(t, o, filepath.Join(dir, "revocation.journal"))
	serial := o.revokeNew()
	o.refresh()
	follow(t, j)
	before := held(t, o, "issuing")
	records.Store = opened(t, file+".copy")
	o.pass(2 * time.Hour)
	if err := o.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "restart") {
		t.Errorf("Refresh: %v, want it to ask for a restart", err)
	}
	if held(t, o, "issuing").Number != before.Number || !o.names("issuing", serial) {
		t.Error("a list without the revocation is in force")
	}
	if _, err := o.PublishNow(t.Context(), "issuing"); err == nil {
		t.Error("PublishNow published a list without the revocation")
	}
}

// TestF12_JournalCutAnywhere truncates the file at every octet of its last lines: the torn
// line is dropped, all others stay, and its record is written again.
func TestF12_JournalCutAnywhere(t *testing.T) {
	o := newFixture(t)
	file := filepath.Join(t.TempDir(), "revocation.journal")
	j := journalAt(t, o, file)
	for range 3 {
		o.revokeNew()
	}
	follow(t, j)
	j.Close()
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for size := range whole {
		if err := os.WriteFile(file, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		j := journalAt(t, o, file)
		if n := recall(t, j); n != 0 {
			t.Errorf("cut at %d: brought back %d, want none", size, n)
		}
		follow(t, j)
		if err := j.Verify(); err != nil {
			t.Errorf("cut at %d: %v", size, err)
		}
		j.Close()
		again, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again, whole) {
			t.Fatalf("cut at %d: got\n%s\nwant\n%s", size, again, whole)
		}
	}
}

func TestJournalDamagedInTheMiddle(t *testing.T) {
	r := restore(t)
	text, err := os.ReadFile(r.journal)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	for name, line := range map[string]string{"no JSON": "{\"seq\":\n", "nothing": "\n", "too long": strings.Repeat("x", 5000) + "\n"} {
		damaged := lines[0] + lines[1] + line + strings.Join(lines[3:], "")
		if err := os.WriteFile(r.journal, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		j := journalAt(t, r.fixture, r.journal)
		if _, err := j.Recover(t.Context()); err == nil || !strings.Contains(err.Error(), "line 3") {
			t.Errorf("%s: %v, want it to name line 3", name, err)
		}
		if err := j.Verify(); err == nil || !strings.Contains(err.Error(), r.journal) {
			t.Errorf("%s: %v, want it to name the file", name, err)
		}
		j.Close()
	}
	if err := os.WriteFile(r.journal, []byte(lines[0]+"garbage\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = crl.OpenJournal(crl.JournalConfig{Path: r.journal, Store: r.db})
	if err == nil || !strings.Contains(err.Error(), "last line") {
		t.Errorf("garbage at the end: %v, want it to name the last line", err)
	}
}

// Two processes that append lines would overwrite each other's.
func TestJournalHasOneWriter(t *testing.T) {
	o := newFixture(t)
	file := filepath.Join(t.TempDir(), "revocation.journal")
	journalAt(t, o, file)
	_, err := crl.OpenJournal(crl.JournalConfig{Path: file, Store: o.db})
	if err == nil || !strings.Contains(err.Error(), "another portal") {
		t.Errorf("opening it twice: %v", err)
	}
}

// Run records revocations while it runs, and reports damage that was there before.
func TestJournalRuns(t *testing.T) {
	o := newFixture(t)
	file := filepath.Join(t.TempDir(), "revocation.journal")
	first := journalAt(t, o, file)
	o.revokeNew()
	follow(t, first)
	first.Close()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append([]byte("garbage\n"), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	j := journalAt(t, o, file)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { j.Run(ctx); close(ended) }()
	serial := o.revokeNew()
	j.Nudge()
	for {
		text, err := os.ReadFile(file)
		trouble, _ := j.Trouble()
		if err == nil && strings.Contains(string(text), serial.String()) && strings.Contains(trouble, "line 1") {
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	stop()
	<-ended
}
