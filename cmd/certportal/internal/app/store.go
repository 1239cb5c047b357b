package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/durable"
	"certportal/internal/portal"
	"certportal/store"
	"certportal/store/sqldb"
)

// OpenExisting opens an existing database. Commands use it so that a mistyped folder
// is an error and not a new, empty portal.
func (p Program) OpenExisting(ctx context.Context, s *config.Settings, log *slog.Logger) (*store.DB, error) {
	if s.Database == "" && s.DatabaseFile == "" {
		if _, err := os.Stat(s.Path("portal.db")); err != nil {
			return nil, fmt.Errorf("there is no portal in %s; name its folder with --data or its settings with --config: %w", s.Data, err)
		}
	}
	return p.OpenBeside(ctx, s, log)
}

// OpenBeside opens the database of the settings for a command that may run beside a portal.
// It changes the schema of a SQLite file only while no portal runs on the data folder: one of
// an older version would stop writing.
func (p Program) OpenBeside(ctx context.Context, s *config.Settings, log *slog.Logger) (*store.DB, error) {
	url, err := DatabaseURL(s)
	if err != nil {
		return nil, err
	}
	if sqldb.EngineOf(url) == sqldb.SQLite {
		v, err := store.VersionsOf(ctx, url)
		if err != nil {
			return nil, fmt.Errorf("opening database: %w", err)
		}
		if v.Found < v.Known {
			lock, err := lockSchema(s, v)
			if err != nil {
				return nil, err
			}
			defer lock.Close()
		}
	}
	return p.OpenStore(ctx, s, log)
}

// lockSchema takes the lock of the data folder for a change of the schema.
func lockSchema(s *config.Settings, v sqldb.Versions) (*os.File, error) {
	if err := os.MkdirAll(s.Data, 0o700); err != nil {
		return nil, fmt.Errorf("making data folder: %w", err)
	}
	held := "a portal runs on %s, and its database has "
	if v.Found == 0 {
		held += "no tables yet: give this command again when it answers"
	} else {
		held += "an older schema than this program: stop the portal, run certportal migrate, then start the portal of this version"
	}
	return lockData(s, held)
}

// OpenStore opens the database of the settings; the data folder is made for it. Before an
// older schema is brought up to date a backup is made. The caller has the lock of the data
// folder.
func (p Program) OpenStore(ctx context.Context, s *config.Settings, log *slog.Logger) (*store.DB, error) {
	if err := os.MkdirAll(s.Data, 0o700); err != nil {
		return nil, fmt.Errorf("making data folder: %w", err)
	}
	url, err := DatabaseURL(s)
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, store.Config{URL: url, Log: log, Node: s.Node, Before: p.backUpBefore(s, log)})
}

// OpenAsIs opens the database of the settings and changes nothing.
func OpenAsIs(ctx context.Context, s *config.Settings, log *slog.Logger) (*store.DB, error) {
	url, err := DatabaseURL(s)
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, store.Config{URL: url, Log: log, Node: s.Node, AsIs: true})
}

// OpenOlder opens the database of the settings, also one with an older schema, and changes
// nothing.
func OpenOlder(ctx context.Context, s *config.Settings, log *slog.Logger) (*store.DB, error) {
	url, err := DatabaseURL(s)
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, store.Config{URL: url, Log: log, Node: s.Node, AsIs: true, Older: true})
}

// databasePatience is how long a check waits for the database. Opening connects several times,
// and each time may wait for every server of the address.
const databasePatience = 15 * time.Second

// databaseFindings asks a database server whether it lets the portal in, and looks whether the
// records were moved away or are not all there yet. It writes nothing. A database in the data
// folder is made by the portal.
func databaseFindings(ctx context.Context, s *config.Settings, log *slog.Logger) []portal.Finding {
	ctx, cancel := context.WithTimeout(ctx, databasePatience)
	defer cancel()
	url, err := DatabaseURL(s)
	if err == nil && strings.HasPrefix(url, "sqlite:") {
		if err = store.CheckPlace(ctx, url); errors.Is(err, store.ErrMoved) || errors.Is(err, store.ErrMoving) {
			return []portal.Finding{{What: "database", State: portal.FindingFailed, Text: err.Error()}}
		}
		return nil
	}
	f := portal.Finding{What: "database", State: portal.FindingOK, Text: "the server answers and lets the portal in"}
	var db *store.DB
	if err == nil {
		db, err = store.Open(ctx, store.Config{URL: url, Log: log, Node: s.Node, AsIs: true})
	}
	var told *pgconn.PgError
	switch {
	case err == nil:
		_ = db.Close() // nothing was written
	case errors.Is(err, sqldb.ErrSchemaBehind), errors.As(err, &told) && told.Code == noTable:
		f.Text += ", which makes its tables at the first start"
	default:
		f.State, f.Text = portal.FindingFailed, err.Error()
	}
	return append([]portal.Finding{f}, verifiedFindings(url)...)
}

// verifiedFindings warns of a server that is reached without verified TLS.
func verifiedFindings(url string) []portal.Finding {
	host := sqldb.Unverified(url)
	if host == "" {
		return nil
	}
	return []portal.Finding{{What: "database", State: portal.FindingWarning, Text: UnverifiedDatabase(host)}}
}

// UnverifiedDatabase says what is wrong with a connection to a database server, and the remedy.
func UnverifiedDatabase(host string) string {
	return fmt.Sprintf("the connection to %s is not verified by TLS: who is between reads and changes all records; "+
		"write ?sslmode=verify-full behind the address, and &sslrootcert=FILE with the root of the server's certificate", host)
}

// noTable is PostgreSQL's code for a table that is not there.
const noTable = "42P01"

// DatabaseURL is the address of the database: of the settings, or the file in the data folder.
func DatabaseURL(s *config.Settings) (string, error) {
	url := s.Database
	if s.DatabaseFile != "" {
		secret, err := config.ReadSecret(s.DatabaseFile)
		if err != nil {
			return "", fmt.Errorf("database_file: %w", err)
		}
		url = string(secret)
	}
	if url == "" {
		url = "sqlite:" + s.Path("portal.db")
	}
	return url, nil
}

// LockData makes sure that one portal runs on a data folder: a second one would take the
// running requests of the first for what a crash left, and revoke them. The lock ends
// with the process.
func LockData(s *config.Settings) (*os.File, error) {
	return lockData(s, "another portal runs on %s: stop it, or give this one another data folder")
}

// LockForCommand is LockData for a command that must have the data folder to itself.
func LockForCommand(s *config.Settings) (*os.File, error) {
	return lockData(s, "a portal, or a command like this one, runs on %s: stop it, then give this command again")
}

func lockData(s *config.Settings, held string) (*os.File, error) {
	f, err := durable.OpenNoLink(s.Path("portal.lock"))
	if err != nil {
		return nil, fmt.Errorf("locking data folder: %w", err)
	}
	if err := durable.Lock(f); err != nil {
		return nil, errors.Join(
			fmt.Errorf(held+": %w", s.Data, err), f.Close())
	}
	return f, nil
}
