// Package backup makes, verifies and restores backups of an installation: the database as
// it was at one moment, the CA's folder with its keys as they are, the journal of
// revocations and the settings file.
//
// A backup is one file: a tar archive under age encryption (age-encryption.org/v1), so that
// age and tar open it without this program. It begins with a header and ends with a
// manifest, which has the SHA-256 of every file before it. No passphrase of the CA, no PIN
// and no password of a server is in it.
//
// The database of SQLite is a file. That of PostgreSQL is the rows of each table in the
// text format of COPY, in parts, as a stream of unknown length does not fit into tar.
package backup

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"time"

	"certportal/store/sqldb"
)

// Format is the version of the archive that this program makes, and the newest it reads.
const Format = 1

// Names in the archive.
const (
	headerName   = "backup.json" // first
	manifestName = "manifest.json"
	databaseName = "database/portal.db"
	journalName  = "revocation.journal"
	settingsName = "settings.yaml"

	databaseFolder = "database/"
	caFolder       = "ca/"
)

// Header begins a backup.
type Header struct {
	Format  int       `json:"format"`
	Program string    `json:"program"` // version
	Made    time.Time `json:"made"`    // of the moment that the database shows
	Engine  string    `json:"engine"`
	Schema  int64     `json:"schema"`

	// End of the audit log: NUMBER:HASH, as audit verify takes it.
	Head   string        `json:"audit_head"`
	Number int64         `json:"audit_entries"`
	Tables []sqldb.Table `json:"tables"` // with the columns of PostgreSQL
}

// Manifest ends a backup.
type Manifest struct {
	Files []File           `json:"files"` // in their order
	Rows  map[string]int64 `json:"rows"`  // by table
}

// File is one file of a backup.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Report is what was found in a backup, or put into one.
type Report struct {
	Header
	Manifest
	Size    int64  `json:"size"`   // of the encrypted file
	SHA256  string `json:"sha256"` // likewise
	Older   bool   `json:"older_schema"`
	Journal bool   `json:"journal"`
	CA      string `json:"ca,omitempty"` // fingerprint of the first issuing CA
}

var (
	// ErrForeign means that a file is no backup of certportal.
	ErrForeign = errors.New("this is no backup of certportal")

	// ErrDamaged means that a backup is not what was made.
	ErrDamaged = errors.New("the backup is damaged")

	// ErrAuditLog means that the records were changed before the backup was made: the file is
	// what was made then.
	ErrAuditLog = errors.New("the audit log in the backup does not verify")

	// ErrNewer means that a newer program made a backup.
	ErrNewer = errors.New("the backup was made by a newer certportal: use that version or a later one")

	// ErrKey means that the passphrase or identity does not open a backup.
	ErrKey = errors.New("the passphrase or identity does not open this backup")

	// ErrUsed means that the place of a restore is in use.
	ErrUsed = errors.New("a restore needs an empty place")
)

// check refuses what this program cannot read.
func (h Header) check(schema int64) error {
	switch {
	case h.Format < 1 || h.Made.IsZero():
		return ErrForeign
	case h.Format > Format || h.Schema > schema:
		return fmt.Errorf("%w (made by version %s; its schema is %d, this program knows up to %d)", ErrNewer, h.Program, h.Schema, schema)
	case h.Engine != sqldb.SQLite && h.Engine != sqldb.Postgres:
		return fmt.Errorf("%w: it is of a database %q", ErrForeign, h.Engine)
	}
	return nil
}

// plainName is a name that files of the CA and tables have.
func plainName() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`) }

// tableOf is the table that a part belongs to.
func tableOf(name string) (string, bool) {
	rest, found := strings.CutPrefix(name, databaseFolder)
	table, part := path.Split(rest)
	return strings.TrimSuffix(table, "/"), found && part != "" && plainName().MatchString(strings.TrimSuffix(table, "/"))
}

// caFile reports a file of the CA's folder, and its name there.
func caFile(name string) (string, bool) {
	file, found := strings.CutPrefix(name, caFolder)
	return file, found && plainName().MatchString(file)
}
