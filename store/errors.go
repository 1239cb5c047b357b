package store

import (
	"database/sql"
	"errors"
	"fmt"

	"certportal/internal/portal"
)

// ErrSchemaNewer says that the database belongs to a newer program. Nothing was
// changed.
var ErrSchemaNewer = errors.New("database schema is newer than this program")

var (
	// errBroken ends all writing after the disk failed to keep something. After a
	// failed fsync the system may have dropped the pages and report success the
	// next time: whatever is written then could rest on lost data.
	errBroken = errors.New("disk refused to keep data earlier, restart needed")

	// errMoved ends all writing into a file that nobody will find again.
	errMoved = errors.New("database file was moved or deleted: restart needed")

	// errNoAnswer says that an act took longer than it may.
	errNoAnswer = errors.New("database did not answer in time")

	// errMismatch says that a caller's data contradict what was recorded.
	errMismatch = errors.New("does not match the reservation")
)

// meaning turns the driver's errors into those of package enroll, and keeps the
// driver's in the chain for operators.
func (db *DB) meaning(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sql.ErrNoRows):
		return portal.ErrNotFound
	case db.engine.duplicate(err):
		return fmt.Errorf("%w: %w", portal.ErrConflict, err)
	}
	return err
}
