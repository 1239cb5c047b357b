// Package move moves all records of a portal to another database: from SQLite to PostgreSQL,
// and back.
//
// Nothing that is recorded is lost. While the records are copied no program can record in the
// source; when the copy is complete and verified, the source is marked, and no program
// records in it any more. Until then the target is no database of a portal. So a move that is
// killed at any point is repeated as it was given: before the mark the copy begins again,
// which costs minutes and needs no bookkeeping of what is there already; after it the copy is
// compared and takes its place.
package move

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"certportal/ca/crl"
	"certportal/internal/audit"
	"certportal/internal/auditmonitor"
	"certportal/store"
	"certportal/store/sqldb"
)

// Job is a move.
type Job struct {
	From, To string // addresses
	Journal  string // file of the journal of revocations; it need not be there
	Now      func() time.Time
	By       audit.Entry // of the actor
	Log      *slog.Logger

	// Step is called when a part of the work begins. Optional.
	Step func(what string)
}

// Outcome is what was moved.
type Outcome struct {
	From    string           `json:"from"` // engine
	To      string           `json:"to"`
	Schema  int64            `json:"schema"`
	Head    string           `json:"audit_head"`
	Rows    map[string]int64 `json:"rows"`    // by table
	Resumed bool             `json:"resumed"` // an earlier try had copied all of it
	Already bool             `json:"already"` // an earlier try had moved all of it: nothing was done
}

var (
	// ErrUsed means that the target is in use.
	ErrUsed = errors.New("the target is in use: name an empty database or a new file")

	// ErrDiffers means that the copy is not what the source has.
	ErrDiffers = errors.New("the copy differs from the source")
)

// Run moves the records.
func Run(ctx context.Context, j Job) (o Outcome, err error) {
	if j.Step == nil {
		j.Step = func(string) {}
	}
	if _, err := store.TargetOf(ctx, j.To); errors.Is(err, sqldb.ErrNotEmpty) {
		return j.used(ctx, err)
	} else if err != nil {
		return o, err
	}
	if err := j.begin(ctx); err != nil {
		return o, err
	}
	m, err := store.NewMove(ctx, j.From, j.To)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	o = Outcome{From: m.Source.Engine, Schema: m.Source.Schema, Rows: map[string]int64{}, Resumed: m.Moved}
	if err := j.fill(ctx, m); err != nil {
		return o, err
	}
	j.Step("comparing and verifying")
	if err := j.verify(ctx, m, &o); err != nil {
		return o, err
	}
	if err := m.Keep(ctx); err != nil {
		return o, err
	}
	return o, m.Target.Finish(ctx)
}

// used is the outcome for a target in use: a move that is done is no mistake, and its target
// has the only records that count.
func (j Job) used(ctx context.Context, cause error) (o Outcome, err error) {
	place := store.CheckPlace(ctx, j.From)
	if place != nil && !errors.Is(place, store.ErrMoved) {
		return o, place
	}
	head, err := j.holds(ctx)
	switch {
	case place == nil && err == nil:
		return o, fmt.Errorf("%w: it has the records of this database, drop nothing: %w", ErrUsed, cause)
	case place == nil:
		return o, fmt.Errorf("%w: %w", ErrUsed, cause)
	case err != nil:
		return o, fmt.Errorf("the records were moved already; if it was to this database, write it into the settings "+
			"and start the portal; drop nothing: %w", errors.Join(place, err))
	}
	return Outcome{From: sqldb.EngineOf(j.From), To: sqldb.EngineOf(j.To), Head: head.String(), Rows: map[string]int64{}, Already: true}, nil
}

// holds looks whether the target, which may be in use since, has the end of the audit log of
// the source. Each entry has the hash of the one before, so it then has all of them.
func (j Job) holds(ctx context.Context) (head audit.Head, err error) {
	from, err := store.Open(ctx, store.Config{URL: j.From, Log: j.Log, AsIs: true, Older: true, Moving: true})
	if err != nil {
		return head, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if head, err = from.Head(ctx); err != nil {
		return head, err
	}
	to, err := store.Open(ctx, store.Config{URL: j.To, Log: j.Log, AsIs: true, Older: true})
	if err != nil {
		return head, fmt.Errorf("looking at the target: %w", err)
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	entries, err := to.Entries(ctx, head.Seq-1, 1)
	if err == nil && (len(entries) == 0 || entries[0].Seq != head.Seq || entries[0].Hash != head.Hash) {
		err = fmt.Errorf("%w: the target has not its last audit entry", ErrDiffers)
	}
	return head, err
}

// begin notes the move in the source, so that no copy is without the entry.
func (j Job) begin(ctx context.Context) error {
	db, err := store.Open(ctx, store.Config{URL: j.From, Log: j.Log, AsIs: true, Moving: true})
	if errors.Is(err, sqldb.ErrSchemaBehind) {
		return fmt.Errorf("bring the database up to date first, with certportal migrate: %w", err)
	}
	if err != nil {
		return err
	}
	place, err := sqldb.Place(j.To)
	if err == nil {
		entry := j.By
		entry.At, entry.Action = j.Now(), audit.DatabaseMoved
		entry.Detail = map[string]string{"engine": sqldb.EngineOf(j.To), "to": place}
		err = db.NoteMove(ctx, entry)
	}
	return errors.Join(err, db.Close())
}

// fill copies, unless an earlier try got as far as the mark of the source.
func (j Job) fill(ctx context.Context, m *store.Move) error {
	if !m.Moved {
		j.Step("copying")
		return m.Target.Fill(ctx, m.Source)
	}
	filled, err := m.Target.Filled(ctx)
	if err == nil && !filled {
		err = fmt.Errorf("this target does not have them: %w", store.ErrMoved)
	}
	return err
}

// verify compares the copy with the source, verifies its audit log, and looks whether the
// journal of revocations goes with it.
func (j Job) verify(ctx context.Context, m *store.Move, o *Outcome) (err error) {
	db, err := store.Open(ctx, store.Config{URL: m.Target.Address(), Log: j.Log, AsIs: true, Moving: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	o.To = sqldb.SQLite
	if db.Shared() {
		o.To = sqldb.Postgres
	}
	for _, t := range m.Source.Tables {
		want, err := m.Source.Count(ctx, t.Name)
		if err != nil {
			return err
		}
		got, err := db.Count(ctx, t.Name)
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%w: table %s has %d rows, not %d", ErrDiffers, t.Name, got, want)
		}
		o.Rows[t.Name] = got
	}
	head, err := m.Head(ctx)
	if err != nil {
		return err
	}
	o.Head = head.String()
	return errors.Join(verifyLog(ctx, db, head), j.verifyJournal(ctx, db, head))
}

// verifyLog verifies the audit log, that it ends as that of the source, and that it and the
// certificates agree.
func verifyLog(ctx context.Context, db *store.DB, head audit.Head) error {
	log, err := auditmonitor.Verify(ctx, db, auditmonitor.Options{})
	switch {
	case err != nil:
		return err
	case log.Broken != nil:
		return fmt.Errorf("the audit log does not verify: %w", log.Broken)
	case log.Head != head:
		return fmt.Errorf("%w: the audit log ends with %s, not %s", ErrDiffers, log.Head, head)
	}
	differ, err := db.Mismatches(ctx, 1)
	if err == nil && len(differ) > 0 {
		err = fmt.Errorf("certificates and audit log differ: %w", differ[0])
	}
	return err
}

// verifyJournal refuses a journal that knows more than the records, or other ones: then the
// source is an older copy, which a start would mend.
func (j Job) verifyJournal(ctx context.Context, db *store.DB, head audit.Head) error {
	if info, err := os.Stat(j.Journal); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	journal, err := crl.OpenJournal(crl.JournalConfig{Path: j.Journal, Store: db, Now: j.Now, Log: j.Log})
	if err != nil {
		return err
	}
	since, err := journal.Since(ctx, head.Seq)
	if err == nil && (since.Foreign || since.Last > head.Seq) {
		err = fmt.Errorf("the journal of revocations %s has what the records lack: start the portal on them once, stop it, and move then", j.Journal)
	}
	return errors.Join(err, journal.Close())
}
