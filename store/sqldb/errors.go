package sqldb

import (
	"database/sql"
	"errors"
	"fmt"
)

var (
	// ErrSchemaNewer says that the database belongs to a newer program. Nothing was
	// changed.
	ErrSchemaNewer = errors.New("database schema is newer than this program")

	// ErrSchemaOlder says that the database was made by a development version from
	// before the first schema file there is. Nothing was changed.
	ErrSchemaOlder = errors.New("database schema is from before the first release")

	// ErrSchemaBehind says that a database opened as it is has an older schema than this
	// program. The portal brings it up to date at its start.
	ErrSchemaBehind = errors.New("database schema is older than this program")

	// ErrNotFound says that a query for one row gave none.
	ErrNotFound = errors.New("no such row")

	// ErrConflict says that a statement violates a unique constraint.
	ErrConflict = errors.New("row exists already")
)

var (
	// errBroken ends all writing after the disk failed to keep something. After a
	// failed fsync the system may have dropped the pages and report success the
	// next time: later writes could then rest on lost data.
	errBroken = errors.New("disk refused to keep data earlier, restart needed")

	// errMoved ends all writing into a file that no later start will find.
	errMoved = errors.New("database file was moved or deleted: restart needed")

	// errUnreplicated says that a commit ended before a synchronous standby had it.
	errUnreplicated = errors.New("an administrator ended the wait for the standby: a fail-over may lose this")

	// errNoAnswer says that an act took longer than it may.
	errNoAnswer = errors.New("database did not answer in time")
)

// meaning turns the driver's errors into those of the configuration, and keeps the
// driver's in the chain for operators.
func (db *DB) meaning(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return db.notFound
	case db.engine.duplicate(err):
		return fmt.Errorf("%w: %w", db.conflict, err)
	}
	return err
}
