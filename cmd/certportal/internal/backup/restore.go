package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"certportal/ca/crl"
	"certportal/internal/audit"
	"certportal/internal/durable"
	"certportal/store"
	"certportal/store/sqldb"
)

// Target is the empty place of a restore.
type Target struct {
	Data     string // folder
	Database string // address, as the settings have it
	Journal  string // where the settings have the journal of revocations

	// Newer is a journal that outlived the database. Optional: the one that is at Journal
	// counts, else the one in the backup.
	Newer string

	// DespiteAuditLog restores although the audit log does not verify: a changed log must not
	// keep a company from its own CA. The outcome says so.
	DespiteAuditLog bool

	Now func() time.Time
	By  audit.Entry // of the actor
	Log *slog.Logger
}

// Outcome is what a restore did.
type Outcome struct {
	Report
	Since    crl.Since // what the journal records beyond the backup
	Given    bool      // the journal is not that of the backup
	Newer    bool      // it records more than the backup has
	Recalled int       // certificates revoked again, or for the first time
	Settings string    // file with the settings of the backup; empty when it has none
	Altered  string    // what in the audit log does not verify, with Target.DespiteAuditLog
}

// Restore brings a backup into an empty place. What the copy would bring back is ended:
// sessions, codes, waiting files; what was revoked or issued since is revoked as far as the
// journal records it, and issuing is stopped until an administrator resumes it. After an
// error in the backup nothing of it is there.
func Restore(ctx context.Context, file string, key Key, to Target) (o Outcome, err error) {
	p, err := takePlace(to.Data)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, p.leave()) }()
	r := &restore{Target: to, place: p}
	defer func() { err = errors.Join(err, r.close(ctx)) }()
	if err := r.checkNewer(); err != nil {
		return o, err
	}
	if o.Report, err = unpack(file, key, func(h Header) sink { return r.sink(ctx, h) }); err != nil {
		return o, err
	}
	if o.CA, err = fingerprint(p.stage); err != nil {
		return o, err
	}
	if err := r.database(ctx, &o); err != nil {
		return o, err
	}
	return o, r.finish(&o)
}

// restore is one run of Restore.
type restore struct {
	Target
	place *place
	load  *sqldb.Load // of PostgreSQL
	ended audit.Entry // what was ended before the commit; of PostgreSQL
}

func (r *restore) close(ctx context.Context) error {
	if r.load == nil {
		return nil
	}
	return r.load.Close(ctx)
}

// sink writes files into the stage and tables into the transaction. A database of the other
// engine is refused at once.
func (r *restore) sink(ctx context.Context, h Header) sink {
	var refused error
	if h.Engine == sqldb.SQLite {
		refused = r.checkSQLite()
	} else {
		refused = r.begin(ctx, h)
	}
	columns := make(map[string]sqldb.Table)
	for _, t := range h.Tables {
		columns[t.Name] = t
	}
	write := into(r.place.into)
	return sink{
		file: func(name string, content io.Reader) error {
			if refused != nil {
				return refused
			}
			if name == databaseName && h.Engine != sqldb.SQLite {
				return fmt.Errorf("%w: it holds a file of SQLite and is of %s", ErrForeign, h.Engine)
			}
			return write(name, content)
		},
		table: func(name string, rows io.Reader) (int64, error) {
			if refused == nil && r.load == nil {
				refused = fmt.Errorf("%w: it holds rows of PostgreSQL and is of %s", ErrForeign, h.Engine)
			}
			if refused != nil {
				return 0, refused
			}
			return r.load.Table(ctx, columns[name], rows)
		},
	}
}

// sqliteFile is the path of the database to make; false with PostgreSQL.
func (r *restore) sqliteFile() (string, bool) {
	path, found := strings.CutPrefix(r.Database, "sqlite:")
	return path, found || !strings.Contains(r.Database, "://")
}

func (r *restore) checkSQLite() error {
	path, ok := r.sqliteFile()
	if !ok {
		return errors.New("this is a backup of SQLite, and the settings name a PostgreSQL: restore it without database and database_file")
	}
	return checkDatabaseFile(path)
}

// begin begins to fill an empty PostgreSQL database.
func (r *restore) begin(ctx context.Context, h Header) (err error) {
	if _, ok := r.sqliteFile(); ok {
		return errors.New("this is a backup of PostgreSQL: name an empty PostgreSQL database with database or database_file in the settings, " +
			"or with CERTPORTAL_DATABASE")
	}
	r.load, err = store.NewLoad(ctx, r.Database, h.Schema)
	if errors.Is(err, sqldb.ErrNotEmpty) {
		return fmt.Errorf("%w: %w: make a new database, or drop its tables", ErrUsed, err)
	}
	return err
}

// accept takes a log that does not verify where the operator said so.
func (r *restore) accept(o *Outcome, err error) error {
	if r.DespiteAuditLog && errors.Is(err, ErrAuditLog) {
		o.Altered, err = err.Error(), nil
	}
	return err
}

// database opens what was restored, ends what it would bring back, and revokes again what
// the journal knows.
func (r *restore) database(ctx context.Context, o *Outcome) error {
	address := r.Database
	if r.load == nil {
		path := filepath.Join(r.place.stage, filepath.Base(databaseName))
		if err := r.accept(o, o.verifyFile(ctx, path)); err != nil {
			return err
		}
		address = "sqlite:" + path
	} else if err := r.commit(ctx); err != nil {
		return err
	}
	db, err := store.Open(ctx, store.Config{URL: address, Log: r.Log})
	if err != nil {
		return fmt.Errorf("opening what was restored: %w", err)
	}
	if r.load != nil {
		err = r.accept(o, o.verifyRecords(ctx, db)) // as they were loaded: what was ended is not in the log yet
	}
	if err == nil {
		err = r.end(ctx, db, o)
	}
	if err == nil {
		err = db.Checkpoint(ctx)
	}
	if err != nil && r.load != nil {
		err = fmt.Errorf("%w; the database is filled and issues nothing: drop its tables before another try", err)
	}
	return errors.Join(err, db.Close())
}

// commit keeps the rows, with rights ended and issuing stopped in the same transaction: a
// restore that is killed after it leaves none.
func (r *restore) commit(ctx context.Context) (err error) {
	if err := r.load.Upgrade(ctx); err != nil { // what follows knows the newest schema only
		return err
	}
	if r.ended, err = store.EndLoaded(ctx, r.load, r.Now()); err != nil {
		return err
	}
	return r.load.Commit(ctx)
}

// endRights ends what the copy brings back, where the commit did not.
func (r *restore) endRights(ctx context.Context, db *store.DB) error {
	if r.load != nil {
		return db.Note(ctx, r.ended)
	}
	return db.EndRestored(ctx, r.Now())
}

func (r *restore) end(ctx context.Context, db *store.DB, o *Outcome) error {
	err := r.endRights(ctx, db)
	if err == nil {
		err = r.replay(ctx, db, o)
	}
	if err != nil {
		return err
	}
	entry := r.By
	entry.At, entry.Action = r.Now(), audit.BackupRestored
	entry.Detail = map[string]string{
		"made": o.Made.Format(time.RFC3339), "head": o.Head,
		"issued-since": strconv.Itoa(o.Since.Issued), "revoked-since": strconv.Itoa(o.Since.Revoked), "recalled": strconv.Itoa(o.Recalled),
	}
	if o.Altered != "" {
		entry.Detail["altered"] = o.Altered
	}
	return db.Note(ctx, entry)
}

// replaceBy copies a file in the place of one that may be there.
func replaceBy(path, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return durable.CreateFrom(path, 0o600, func(w io.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
}

// finish gives everything its place, the database last: without it no portal starts.
func (r *restore) finish(o *Outcome) error {
	staged := func(name string) string { return filepath.Join(r.place.stage, name) }
	if !r.inUse() {
		// An empty one may be there, or its folder may be on another disk.
		if err := os.MkdirAll(filepath.Dir(r.Journal), 0o700); err != nil {
			return fmt.Errorf("making folder of journal: %w", err)
		}
		if err := replaceBy(r.Journal, staged(journalName)); err != nil {
			return err
		}
	}
	if _, err := os.Stat(staged(settingsName)); err == nil {
		o.Settings = filepath.Join(r.Data, "restored-settings.yaml")
		if err := moveIn(staged(settingsName), o.Settings); err != nil {
			return err
		}
	}
	if err := moveIn(staged("ca"), filepath.Join(r.Data, "ca")); err != nil {
		return err
	}
	path, ok := r.sqliteFile()
	if !ok {
		return nil
	}
	if err := errors.Join(checkDatabaseFile(path), checkWhole(staged("portal.db"))); err != nil {
		return err
	}
	if filepath.Dir(path) == filepath.Clean(r.Data) {
		return moveIn(staged("portal.db"), path)
	}
	return replaceBy(path, staged("portal.db")) // on another disk, perhaps
}
