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
	Path  string // made when it is not there, with its folder
	Store Store

	// Lists are those in force, whose numbers are written down too. Optional.
	Lists func() []List

	Now func() time.Time // optional; default time.Now
	Log *slog.Logger     // optional; default slog.Default()
}

// Journal is the recovery journal. It records outside the store what must survive when
// the store is restored from an older backup: which certificates there are, and which are revoked. It
// is a file of JSON lines that are added to and never changed, each on disk before the
// next thing happens, written by one process.
type Journal struct {
	c     JournalConfig
	nudge chan struct{}

	file *os.File
	size int64 // up to the end of the last whole line
	last line  // zero when there is none
	at   int64 // audit log entry up to which everything is written

	numbers map[string]int64   // of lists written down
	noted   time.Time          // when a number was written last
	recent  map[ca.Serial]bool // issued a moment ago: reserving and issuing are one
	checked time.Time          // when the last line was last compared with the audit log

	mu      sync.Mutex
	trouble string
	since   time.Time
	damage  error // in the middle of the file: it stays until somebody mends it
}

// line is a record as it is written.
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

// maxLine bounds a line.
const maxLine = 4096

// OpenJournal opens the file, and cuts off a last line that a crash or a full disk
// left half written. Only the end is read, so that a long journal delays no start.
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
	if err := os.MkdirAll(filepath.Dir(c.Path), 0o700); err != nil {
		return nil, fmt.Errorf("making folder of journal: %w", err)
	}
	file, err := os.OpenFile(c.Path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening journal: %w", err)
	}
	if errors.Is(durable.Lock(file), durable.ErrLocked) {
		return nil, errors.Join(fmt.Errorf("opening journal %s: another portal writes it: give each its own", c.Path), file.Close())
	}
	j := &Journal{
		c: c, file: file, nudge: make(chan struct{}, 1), numbers: map[string]int64{}, recent: map[ca.Serial]bool{},
	}
	if err := j.findEnd(); err != nil {
		return nil, errors.Join(fmt.Errorf("reading end of journal %s: %w", c.Path, err), file.Close())
	}
	return j, nil
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

// Nudge says that something was revoked. It never blocks.
func (j *Journal) Nudge() { signal(j.nudge) }

// Trouble tells what keeps the journal from being written and since when; empty when
// all is well.
func (j *Journal) Trouble() (string, time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.damage != nil && j.trouble == "" {
		return j.damage.Error(), j.since
	}
	return j.trouble, j.since
}

// Recover compares the journal with the records. Where its last line tells of an entry
// that the audit log does not have, the records are an older copy, or another history: then
// all that it tells is replayed. It returns how many certificates were brought back. The
// error names the line that is damaged.
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
	b := batcher{store: j.c.Store, now: j.c.Now()}
	// Revocations first: a serial that was issued and revoked after the copy is listed
	// with the reason it was revoked for.
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

// rejoin finds the place in the audit log from which the journal goes on: the last entry
// that both know, or close before it. What is written twice does no harm.
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
	return err
}

// Verify reads the whole journal. The error names the line that is damaged.
// It is not for use beside Run.
func (j *Journal) Verify() error { return j.verify(j.size) }

func (j *Journal) verify(size int64) error {
	return j.each(size, func(int, line) error { return nil })
}

// each reads all lines, counted from 1, up to a size.
func (j *Journal) each(size int64, do func(number int, l line) error) error {
	lines := bufio.NewScanner(io.NewSectionReader(j.file, 0, size))
	lines.Buffer(make([]byte, 0, maxLine), maxLine)
	n := 0
	for lines.Scan() {
		n++
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil || l.Issuer == "" {
			return fmt.Errorf("line %d of journal %s is damaged: %w", n, j.c.Path, errors.Join(err, errLine))
		}
		if err := do(n, l); err != nil {
			return fmt.Errorf("line %d of journal %s: %w", n, j.c.Path, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("line %d of journal %s is damaged: %w", n+1, j.c.Path, err)
	}
	return nil
}

// errLine says how to go on.
var errLine = errors.New("restore the journal from a copy, or take the line out by hand when you know what it told")
