package crl

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"certportal/ca"
	"certportal/internal/durable"
)

// JournalConfig is what a journal works with.
type JournalConfig struct {
	Path  string // created with its folder if it does not exist
	Name  string // of the file in errors; optional, default Path
	Store Store

	// NoLink refuses a symbolic link at Path.
	NoLink bool

	// Lists gives the lists in force, whose numbers are recorded too. Optional.
	Lists func() []List

	// Restored is called when the store is found to be an older copy, before anything is
	// recovered, and once for each time that it is restored under a running portal. Optional.
	Restored func(context.Context) error

	Now func() time.Time // optional; default time.Now
	Log *slog.Logger     // optional; default slog.Default()
}

// Journal is the recovery journal. It records outside the store what must survive when
// the store is restored from an older backup: which certificates exist, and which are
// revoked. It is an append-only file of JSON lines, synced after each write, and written
// by one process.
type Journal struct {
	c     JournalConfig
	nudge chan struct{}

	file *os.File
	size int64 // up to the end of the last whole line
	last line  // zero when there is none
	at   int64 // audit entry up to which everything is written

	numbers map[string]int64   // of the lists recorded, by issuer
	noted   time.Time          // when a number was written last
	recent  map[ca.Serial]bool // serials recorded as reserved, so that issuing adds no second line
	checked time.Time          // when the last line was last compared with the audit log
	older   bool               // the store was found to be an older copy, and Restored was called

	mu      sync.Mutex
	trouble string
	since   time.Time
	damage  error // in the middle of the file: it stays until an administrator repairs it
}

// line is the JSON form of a record.
type line struct {
	Seq      int64     `json:"seq"`
	Hash     string    `json:"hash"`
	Issuer   string    `json:"issuer"`
	Serial   ca.Serial `json:"serial,omitzero"`
	NotAfter int64     `json:"ends,omitempty"`    // Unix seconds
	Revoked  int64     `json:"revoked,omitempty"` // Unix seconds
	Reason   int       `json:"reason,omitempty"`
	Number   int64     `json:"number,omitempty"`
}

func lineOf(r Record) line {
	l := line{Seq: r.Seq, Hash: r.Hash, Issuer: r.Issuer, Serial: r.Serial, Reason: r.Reason, Number: r.Number}
	if !r.NotAfter.IsZero() {
		l.NotAfter = r.NotAfter.Unix()
	}
	if !r.Revoked.IsZero() {
		l.Revoked = r.Revoked.Unix()
	}
	return l
}

func (l line) record() Record {
	r := Record{Seq: l.Seq, Hash: l.Hash, Issuer: l.Issuer, Serial: l.Serial, Reason: l.Reason, Number: l.Number}
	if l.NotAfter != 0 {
		r.NotAfter = time.Unix(l.NotAfter, 0).UTC()
	}
	if l.Revoked != 0 {
		r.Revoked = time.Unix(l.Revoked, 0).UTC()
	}
	return r
}

// maxLine bounds a line in bytes.
const maxLine = 4096

// OpenJournal opens the file and truncates a last line that a crash or a full disk left
// half written. It reads only the end, so that a long journal does not delay the start.
func OpenJournal(c JournalConfig) (*Journal, error) {
	if c.Store == nil || c.Path == "" {
		return nil, errors.New("journal: a required part is missing")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Name == "" {
		c.Name = c.Path
	}
	if err := os.MkdirAll(filepath.Dir(c.Path), 0o700); err != nil {
		return nil, fmt.Errorf("making folder of journal: %w", err)
	}
	file, err := c.open()
	if err != nil {
		return nil, fmt.Errorf("opening journal: %w", err)
	}
	if errors.Is(durable.Lock(file), durable.ErrLocked) {
		return nil, errors.Join(fmt.Errorf("opening journal %s: another portal writes it: give each its own", c.Name), file.Close())
	}
	j := &Journal{
		c: c, file: file, nudge: make(chan struct{}, 1), numbers: map[string]int64{}, recent: map[ca.Serial]bool{},
	}
	if err := j.findEnd(); err != nil {
		return nil, errors.Join(fmt.Errorf("reading end of journal %s: %w", c.Name, err), file.Close())
	}
	return j, nil
}

func (c JournalConfig) open() (*os.File, error) {
	if c.NoLink {
		return durable.OpenNoLink(c.Path)
	}
	return os.OpenFile(c.Path, os.O_RDWR|os.O_CREATE, 0o600)
}

// findEnd reads the last whole line.
func (j *Journal) findEnd() error {
	info, err := j.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("it is no file: %w", fs.ErrInvalid)
	}
	from := max(0, info.Size()-2*maxLine)
	tail := make([]byte, info.Size()-from)
	if _, err := j.file.ReadAt(tail, from); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	whole := tail[:bytes.LastIndexByte(tail, '\n')+1]
	j.size = from + int64(len(whole))
	if len(whole) == 0 {
		if from > 0 {
			return errors.New("its last line is too long")
		}
		return j.file.Truncate(0)
	}
	body := whole[:len(whole)-1]
	if err := json.Unmarshal(body[bytes.LastIndexByte(body, '\n')+1:], &j.last); err != nil {
		return fmt.Errorf("reading its last line: %w", err)
	}
	j.at = j.last.Seq
	return j.file.Truncate(j.size)
}

// Close ends the journal after Run.
func (j *Journal) Close() error { return j.file.Close() }

// Nudge wakes Run after a revocation. It never blocks.
func (j *Journal) Nudge() { signal(j.nudge) }

// Trouble gives the error that prevents writing the journal and when it began; empty
// without one. While writing works it gives the damage found in the file, if any.
func (j *Journal) Trouble() (string, time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.damage != nil && j.trouble == "" {
		return j.damage.Error(), j.since
	}
	return j.trouble, j.since
}

// Recover compares the journal with the store. If the audit log lacks the entry of the
// last line, the store is an older backup or has another history: then all lines are
// replayed. It returns the number of recovered certificates. The error names the damaged
// line.
func (j *Journal) Recover(ctx context.Context) (int, error) {
	j.checked = j.c.Now()
	if j.last.Hash == "" {
		return 0, nil
	}
	known, err := j.c.Store.HasEntry(ctx, j.last.Seq, j.last.Hash)
	if err != nil || known {
		return 0, err
	}
	j.c.Log.Warn("the records do not know the last entry of the journal: they are an older copy; bringing back what was revoked since",
		"journal", j.c.Path, "entry", j.last.Seq)
	if err := j.noteOlder(ctx); err != nil {
		return 0, err
	}
	b := batcher{store: j.c.Store, now: j.c.Now()}
	// Revocations first, so that a serial that was issued and revoked after the backup
	// gets the reason of its revocation.
	for _, revoked := range []bool{true, false} {
		err := j.each(j.size, func(_ int, l line) error {
			if (l.Revoked != 0 || l.Number != 0) != revoked {
				return nil
			}
			return b.add(ctx, l.record())
		})
		if err == nil {
			err = b.flush(ctx)
		}
		if err != nil {
			return b.recovered, fmt.Errorf("replaying journal: %w", err)
		}
	}
	return b.recovered, j.rejoin(ctx)
}

// noteOlder calls Restored, once for each restore.
func (j *Journal) noteOlder(ctx context.Context) error {
	if j.older || j.c.Restored == nil {
		return nil
	}
	err := j.c.Restored(ctx)
	j.older = err == nil
	return err
}

// rejoin finds the audit entry from which the journal continues: the last one that both
// have, or one shortly before it. Lines written twice do no harm.
func (j *Journal) rejoin(ctx context.Context) error {
	var common line
	err := j.each(j.size, func(n int, l line) error {
		if n%replayBatch != 0 || l.Hash == "" || l.Seq <= common.Seq {
			return nil
		}
		known, err := j.c.Store.HasEntry(ctx, l.Seq, l.Hash)
		if known {
			common = l
		}
		return err
	})
	j.last, j.at = common, common.Seq
	j.older = j.older && err != nil // what comes after is another restore
	return err
}

// Verify reads the whole journal. The error names the damaged line. It must not run
// concurrently with Run.
func (j *Journal) Verify() error { return j.verify(j.size) }

func (j *Journal) verify(size int64) error {
	return j.each(size, func(int, line) error { return nil })
}

// each calls do for all lines up to an offset, numbered from 1.
func (j *Journal) each(size int64, do func(number int, l line) error) error {
	lines := bufio.NewScanner(io.NewSectionReader(j.file, 0, size))
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	n := 0
	for lines.Scan() {
		n++
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil || l.Issuer == "" {
			return fmt.Errorf("line %d of journal %s is damaged: %w", n, j.c.Name, errors.Join(err, errLine))
		}
		if err := do(n, l); err != nil {
			return fmt.Errorf("line %d of journal %s: %w", n, j.c.Name, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d of journal %s is damaged: %w", n+1, j.c.Name, err)
	}
	return nil
}

// errLine says how to repair a damaged line.
var errLine = errors.New("restore the journal from a copy, or delete the line by hand when you know what it recorded")
