package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"certportal/internal/audit"
	"certportal/store/sqldb"
)

// ErrMoved says that the records of a database were moved to another one. A portal must not
// use it.
var ErrMoved = errors.New("the records of this database were moved to another one: " +
	"set database or database_file to the new one; only when the new one is not in use: certportal migrate --reopen")

// ErrMoving says that a database is the target of a move that is not finished.
var ErrMoving = errors.New("the records are not all moved to this database yet")

// Triggers that keep every act from being recorded, and lists from being numbered.
const (
	movedAway = "moved_away"
	movingIn  = "moving_in"
)

// guards are the triggers of a source, with their tables.
func guards() map[string]string {
	return map[string]string{movedAway: "ledger_head", movedAway + "_lists": "crl_numbers"}
}

// Move is a move of all records of a database to another one. Nothing is recorded in the
// source while it lasts, nor after it.
type Move struct {
	Source *sqldb.Frozen
	Target sqldb.Filling
	Moved  bool // by an earlier try, which was killed at the end
}

// NewMove freezes the source and looks at the target, which is empty or was filled by an
// earlier, killed try. The caller closes it.
func NewMove(ctx context.Context, from, to string) (m *Move, err error) {
	m = &Move{}
	if m.Target, err = TargetOf(ctx, to); err != nil {
		return nil, err
	}
	if m.Source, err = sqldb.Freeze(ctx, from, "ledger_head"); err != nil {
		return nil, fmt.Errorf("looking at the source: %w", err)
	}
	m.Moved, err = moved(ctx, m.Source)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("looking at the source: %w", err), m.Close())
	}
	return m, nil
}

// TargetOf looks at the target of a move. One in use is an error that wraps
// [sqldb.ErrNotEmpty].
func TargetOf(ctx context.Context, to string) (sqldb.Filling, error) {
	schema, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return nil, err
	}
	f, err := sqldb.NewFilling(ctx, to, schema, sqldb.Mark{
		Trigger: movingIn, Table: "ledger_head", Make: guardPostgres(movingIn, "ledger_head", ErrMoving),
	})
	if err != nil {
		return nil, fmt.Errorf("looking at the target: %w", err)
	}
	return f, nil
}

func moved(ctx context.Context, f *sqldb.Frozen) (found bool, err error) {
	err = f.One(ctx, findTrigger(f.Engine), []any{movedAway}, &found)
	return found, err
}

func findTrigger(engine string) string {
	if engine == sqldb.SQLite {
		return "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'trigger' AND name = $1"
	}
	return "SELECT count(*) > 0 FROM pg_trigger WHERE tgname = $1 AND tgrelid = to_regclass('ledger_head')"
}

// Close lets the source record again, unless the move was kept.
func (m *Move) Close() error { return m.Source.Close() }

// Head is the end of the audit log of the source.
func (m *Move) Head(ctx context.Context) (audit.Head, error) { return headOf(ctx, m.Source) }

func headOf(ctx context.Context, f *sqldb.Frozen) (audit.Head, error) {
	var head audit.Head
	var hash []byte
	err := f.One(ctx, "SELECT seq, hash FROM ledger_head WHERE id = 1", nil, &head.Seq, &hash)
	if err == nil {
		head.Hash, err = sqldb.Hash32(hash)
	}
	return head, err
}

// Keep marks the source for good: nothing is recorded in it any more.
func (m *Move) Keep(ctx context.Context) error {
	if m.Moved {
		return nil
	}
	for trigger, table := range guards() {
		statement := guardPostgres(trigger, table, ErrMoved)
		if m.Source.Engine == sqldb.SQLite {
			statement = fmt.Sprintf("CREATE TRIGGER %s BEFORE UPDATE ON %s BEGIN SELECT RAISE(ABORT, '%s'); END", trigger, table, ErrMoved)
		}
		if err := m.Source.Exec(ctx, statement); err != nil {
			return fmt.Errorf("marking the source: %w", err)
		}
	}
	return m.Source.Commit()
}

func guardPostgres(trigger, table string, reason error) string {
	return fmt.Sprintf("CREATE TRIGGER %s BEFORE UPDATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('%s')", trigger, table, reason)
}

// checkPlace refuses a database that is the source or the target of a move.
func (db *base) checkPlace(ctx context.Context) error {
	engine := sqldb.SQLite
	if db.Shared() {
		engine = sqldb.Postgres
	}
	return lookForMarks(engine, func(query, trigger string, found *bool) error {
		return db.One(ctx, query, []any{trigger}, found)
	})
}

func lookForMarks(engine string, one func(query, trigger string, found *bool) error) error {
	for trigger, reason := range map[string]error{movedAway: ErrMoved, movingIn: ErrMoving} {
		var found bool
		if err := one(findTrigger(engine), trigger, &found); err != nil {
			return fmt.Errorf("looking for a move: %w", err)
		}
		if found {
			return reason
		}
	}
	return nil
}

// CheckPlace looks whether a database is the source or the target of a move, and changes
// nothing. Those are errors that wrap [ErrMoved] and [ErrMoving].
func CheckPlace(ctx context.Context, url string) error {
	v, err := VersionsOf(ctx, url)
	if err != nil || v.Found == 0 {
		return err
	}
	return lookForMarks(sqldb.EngineOf(url), func(query, trigger string, found *bool) error {
		return sqldb.Look(ctx, url, query, []any{trigger}, found)
	})
}

// NoteMove records that a move begins, unless it ended.
func (db *DB) NoteMove(ctx context.Context, e audit.Entry) error {
	switch err := db.checkPlace(ctx); {
	case errors.Is(err, ErrMoved):
		return nil
	case err != nil:
		return err
	}
	return db.Note(ctx, e)
}

// Reopen takes the mark off a database whose records were moved away. What was recorded in
// the other one since is not in it. The entry is recorded in the same transaction.
func Reopen(ctx context.Context, address string, e audit.Entry) error {
	f, err := sqldb.Freeze(ctx, address, "ledger_head")
	if err != nil {
		return err
	}
	is, err := moved(ctx, f)
	if err == nil && !is {
		err = errors.New("the records of this database were not moved away")
	}
	for trigger, table := range guards() {
		statement := "DROP TRIGGER " + trigger
		if f.Engine == sqldb.Postgres {
			statement += " ON " + table
		}
		if err == nil {
			err = f.Exec(ctx, statement)
		}
	}
	if err == nil {
		err = appendFrozen(ctx, f, e)
	}
	if err == nil {
		err = f.Commit()
	}
	return errors.Join(err, f.Close())
}

// appendFrozen appends an entry to the audit log of a database in which no other program
// records.
func appendFrozen(ctx context.Context, f *sqldb.Frozen, e audit.Entry) error {
	head, err := headOf(ctx, f)
	if err != nil {
		return fmt.Errorf("reading head of audit log: %w", err)
	}
	if e.Node == "" {
		e.Node, _ = os.Hostname() // as Open
	}
	e, head = head.Append(cleanEntry(e))
	row, err := rowOf(e)
	if err == nil {
		err = f.Exec(ctx, "UPDATE ledger_head SET seq = $1, hash = $2 WHERE id = 1", head.Seq, head.Hash[:])
	}
	if err == nil {
		err = f.Exec(ctx, insertEntry, row...)
	}
	if err != nil {
		return fmt.Errorf("appending audit entry %d: %w", e.Seq, err)
	}
	return nil
}
