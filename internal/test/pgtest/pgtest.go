// Package pgtest starts a PostgreSQL server for tests and gives each test a
// database of its own.
//
// It uses the initdb and postgres that are installed, on the PATH or where
// Debian puts version 15, with a fresh data folder, on a free port of the
// loopback interface, without fsync. Where they are absent tests are skipped,
// and fail when the environment says CI=true. It refuses to use a server that
// is already running: its data may be of value.
package pgtest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// debianPrograms is where Debian keeps the programs that are not on the PATH.
const debianPrograms = "/usr/lib/postgresql/15/bin"

// Server is a PostgreSQL server that starts at its first use. The zero value is
// ready; keep one for all tests of a package and stop it in TestMain.
type Server struct {
	// Options are settings of the server, such as "max_connections=20". Optional: they are
	// small and fast.
	Options []string

	mu       sync.Mutex
	process  *process
	startErr error
	made     int
	free     []string
	template string // what Copy copies; empty before its first use

	admin *sql.DB // connected to the database postgres
}

// Database gives the test an empty database of its own and returns its address,
// which holds no password. What the test left in it is dropped at its end,
// connections included; settings of the database itself are not reset. The test
// is skipped where PostgreSQL is not installed.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	s.mustRun(t)
	name, err := s.take()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.giveBack(name); err != nil {
			t.Error(err)
		}
	})
	return s.process.address(name)
}

// Copy gives the test a copy of a database that prepare filled, and returns its
// address. The first call makes that database and has prepare fill it; copying
// takes a quarter of the time of a portal's migrations. All calls on one server
// pass the same prepare. The copy is dropped at the end of the test.
func (s *Server) Copy(t testing.TB, prepare func(address string) error) string {
	t.Helper()
	s.mustRun(t)
	name, err := s.copied(prepare)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.run("postgres", "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return s.process.address(name)
}

func (s *Server) copied(prepare func(address string) error) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.template == "" {
		const name = "template_of_tests"
		if err := s.run("postgres", "CREATE DATABASE "+name+" STRATEGY FILE_COPY"); err != nil {
			return "", err
		}
		if err := prepare(s.process.address(name)); err != nil {
			return "", fmt.Errorf("preparing the database to copy: %w", err)
		}
		s.template = name
	}
	s.made++
	name := fmt.Sprintf("copy%d", s.made)
	return name, s.run("postgres", "CREATE DATABASE "+name+" TEMPLATE "+s.template+" STRATEGY FILE_COPY")
}

// mustRun starts the server unless it runs. It skips the test where PostgreSQL is
// not installed, and fails it there when the environment says CI=true.
func (s *Server) mustRun(t testing.TB) {
	t.Helper()
	initdb, postgres := program("initdb"), program("postgres")
	if initdb == "" || postgres == "" {
		const absent = "PostgreSQL (initdb, postgres) is not installed"
		if os.Getenv("CI") == "true" {
			t.Fatal(absent)
		}
		t.Skip(absent)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil && s.startErr == nil {
		s.process, s.startErr = start(initdb, postgres, s.Options)
		if s.startErr == nil {
			s.admin, s.startErr = sql.Open("pgx", s.process.address("postgres"))
		}
	}
	if s.startErr != nil {
		t.Fatalf("starting PostgreSQL: %v", s.startErr)
	}
}

// Stop ends the server and removes its data. It may be called without a start.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.admin.Close()
		s.process.stop()
		s.process = nil
	}
}

// Restart stops the server as an administrator does, which ends all connections, and starts
// it on the same port and data.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.restart(t, func() error { return nil })
}

// Demote restarts the server as a standby, which takes no writes. The server needs the option
// "wal_level=replica" from its start on.
func (s *Server) Demote(t testing.TB) {
	t.Helper()
	s.restart(t, s.process.demote)
}

// Promote makes a standby the primary again.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	if err := s.run("postgres", "SELECT pg_promote()"); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) restart(t testing.TB, change func() error) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process.server.StopBy(os.Interrupt)
	err := change()
	if err == nil {
		err = s.process.serve()
	}
	if err != nil {
		t.Fatalf("starting PostgreSQL again: %v", err)
	}
}

// Away stops the server as Restart does, until back is called, which must be once.
func (s *Server) Away(t testing.TB) (back func()) {
	t.Helper()
	s.mu.Lock()
	s.process.server.StopBy(os.Interrupt)
	s.mu.Unlock()
	return func() {
		t.Helper()
		s.mu.Lock()
		defer s.mu.Unlock()
		if err := s.process.serve(); err != nil {
			t.Fatalf("starting PostgreSQL again: %v", err)
		}
	}
}

func (s *Server) take() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := len(s.free) - 1; last >= 0 {
		name := s.free[last]
		s.free = s.free[:last]
		return name, nil
	}
	s.made++
	name := fmt.Sprintf("test%d", s.made)
	return name, s.run("postgres", "CREATE DATABASE "+name+" STRATEGY FILE_COPY")
}

// giveBack empties a database for the next test. Making a new one would take
// ten times as long.
func (s *Server) giveBack(name string) error {
	err := s.run(name,
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
		"DROP SCHEMA public CASCADE",
		"CREATE SCHEMA public")
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free = append(s.free, name)
	return nil
}

// run executes statements in a database of the server.
func (s *Server) run(database string, statements ...string) error {
	db := s.admin
	if database != "postgres" {
		var err error
		if db, err = sql.Open("pgx", s.process.address(database)); err != nil {
			return err
		}
		defer db.Close()
		db.SetMaxOpenConns(1)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("running %q: %w", statement, err)
		}
	}
	return nil
}

// program finds an installed program; empty when it is absent.
func program(name string) string {
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	path := filepath.Join(debianPrograms, name)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}
