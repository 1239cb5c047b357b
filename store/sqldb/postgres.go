package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

const (
	// defaultConnections is what a small PostgreSQL gives several replicas.
	defaultConnections = 10

	// connectTimeout lets a request fail while its person still waits; an address
	// may set connect_timeout.
	connectTimeout = 3 * time.Second

	// connectionLife makes a pool find its way back after a failover.
	connectionLife = 30 * time.Minute
)

func openPostgres(ctx context.Context, c Config) (*DB, error) {
	config, err := parseAddress(c.URL)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(c.URL, "connect_timeout=") {
		config.ConnectTimeout = connectTimeout
	}
	behindPooler, err := suitPooler(ctx, c, config)
	if err != nil {
		return nil, redact(err, c.URL)
	}
	pooled := stdlib.OpenDB(*config)
	connections := c.Connections
	if connections <= 0 {
		connections = defaultConnections
	}
	pooled.SetMaxOpenConns(connections)
	pooled.SetMaxIdleConns(connections)
	pooled.SetConnMaxLifetime(connectionLife)
	if err := preparePostgres(ctx, pooled, c, behindPooler); err != nil {
		pooled.Close()
		return nil, redact(err, c.URL)
	}
	p := newPool(pooled, false)
	return &DB{engine: postgresEngine{}, writer: p, reader: p}, nil
}

// parseAddress reads the address of a PostgreSQL database. The encoding of texts on the
// connection is set, because the server would take that of the database, which may be another.
func parseAddress(address string) (*pgx.ConnConfig, error) {
	if err := checkUser(address); err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, redact(fmt.Errorf("reading database address: %w", err), address)
	}
	config.RuntimeParams["client_encoding"] = "UTF8"
	return config, nil
}

// checkEncoding refuses a database that cannot hold every name.
func checkEncoding(encoding string) error {
	if encoding != "UTF8" {
		return fmt.Errorf("encoding of the database is %s, want UTF8: make one with ENCODING 'UTF8' TEMPLATE template0", encoding)
	}
	return nil
}

func preparePostgres(ctx context.Context, db *sql.DB, c Config, behindPooler bool) error {
	var durable, encoding string
	err := db.QueryRowContext(ctx,
		"SELECT current_setting('synchronous_commit'), current_setting('server_encoding')").Scan(&durable, &encoding)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	if err := checkEncoding(encoding); err != nil {
		return err
	}
	if durable == "off" {
		c.Log.Warn("synchronous_commit is off: a crash of PostgreSQL can lose issued certificates")
	}
	if c.AsIs {
		return postgresDialect().compareSchema(ctx, db, c)
	}
	if behindPooler {
		return migrateBehindPooler(ctx, db, c.Schema)
	}
	return migratePostgres(ctx, db, c.Schema)
}

func migratePostgres(ctx context.Context, db *sql.DB, schema fs.FS) error {
	// Probing every second, for two minutes, until the replica that holds the
	// lock has migrated.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 120))
	if err != nil {
		return err
	}
	provider, err := postgresDialect().provider(db, schema, goose.WithSessionLocker(locker))
	if err != nil {
		return err
	}
	return migrate(ctx, provider)
}

// postgresEngine judges errors by their SQLSTATE (PostgreSQL appendix A).
type postgresEngine struct{}

func (postgresEngine) retryable(err error) bool {
	switch sqlState(err) {
	case "40001", "40P01": // serialization failure, deadlock: rolled back for sure
		return true
	}
	return false
}

func (postgresEngine) away(err error) bool {
	switch sqlState(err) {
	case "57P01", "57P02", "57P03": // the server stops, a part of it crashed, it starts
		return true
	case "":
	default:
		return false // it answered
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) || pgconn.SafeToRetry(err) {
		return true
	}
	for _, gone := range []error{
		driver.ErrBadConn, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE,
	} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return false
}

func (postgresEngine) duplicate(err error) bool { return sqlState(err) == "23505" }

// durabilityLost is PostgreSQL's own to judge: it stops by itself.
func (postgresEngine) durabilityLost(error) bool { return false }

// intact has nothing to ask: a server knows where its data are.
func (postgresEngine) intact() error { return nil }

func sqlState(err error) string {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return ""
	}
	return e.Code
}
