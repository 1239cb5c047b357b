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
	"sync/atomic"
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

	// connectTimeoutOfMany is for each of several servers in an address: the next one is asked
	// while the request still waits.
	connectTimeoutOfMany = time.Second

	// connectionLife makes a pool find its way back after a failover.
	connectionLife = 30 * time.Minute
)

func openPostgres(ctx context.Context, c Config) (*DB, error) {
	config, err := parseAddress(c.URL)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(c.URL, "connect_timeout=") {
		config.ConnectTimeout = timeoutFor(config)
	}
	engine := &postgresEngine{}
	config.OnNotice = engine.notice
	behindPooler, err := suitPooler(ctx, c, config)
	if err != nil {
		return nil, advise(redact(err, c.URL))
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
		return nil, advise(redact(err, c.URL))
	}
	p := newPool(pooled, false)
	return &DB{engine: engine, writer: p, reader: p}, nil
}

// timeoutFor is how long a server of the address may take to answer.
func timeoutFor(config *pgx.ConnConfig) time.Duration {
	for _, f := range config.Fallbacks {
		if f.Host != config.Host || f.Port != config.Port { // else the same without TLS
			return connectTimeoutOfMany
		}
	}
	return connectTimeout
}

// targetOption is the option of an address that says which of several servers to take.
const targetOption = "target_session_attrs="

// readOnlyTransaction is the SQLSTATE of writing where nothing may be written.
const readOnlyTransaction = "25006"

// parseAddress reads the address of a PostgreSQL database. The encoding of texts on the
// connection is set, because the server would take that of the database, which may be another.
// A connection to a standby is refused unless the address says otherwise: it may lack what was
// recorded a moment ago. One that refuses to write is closed, because the next one may lead to
// another server, or have other defaults.
func parseAddress(address string) (*pgx.ConnConfig, error) {
	if err := checkUser(address); err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, redact(fmt.Errorf("reading database address: %w", err), address)
	}
	config.RuntimeParams["client_encoding"] = "UTF8"
	if config.ValidateConnect == nil && !strings.Contains(address, targetOption) {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	keep := config.OnPgError
	config.OnPgError = func(c *pgconn.PgConn, e *pgconn.PgError) bool {
		return e.Code != readOnlyTransaction && keep(c, e)
	}
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
	var durable, encoding, messages string
	err := db.QueryRowContext(ctx, "SELECT current_setting('synchronous_commit'), current_setting('server_encoding'), "+
		"current_setting('client_min_messages')").Scan(&durable, &encoding, &messages)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	if err := checkEncoding(encoding); err != nil {
		return err
	}
	switch durable {
	case "off":
		c.Log.Warn("synchronous_commit is off: a crash of PostgreSQL can lose issued certificates")
	case "local":
		c.Log.Warn("synchronous_commit is local: a fail-over of PostgreSQL can lose issued certificates")
	}
	if messages == "error" {
		c.Log.Warn("client_min_messages is error: the server does not say when a COMMIT did not wait for its standby; set it to warning for this role and database")
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
type postgresEngine struct {
	unreplicated atomic.Uint64 // commits that did not wait for a standby
}

// notice counts commits that ended before a synchronous standby had them: an administrator
// cancelled the wait. The server reports success with this warning. Its text depends on
// lc_messages, the name of the routine does not.
func (e *postgresEngine) notice(_ *pgconn.PgConn, n *pgconn.Notice) {
	if n.Routine == "SyncRepWaitForLSN" {
		e.unreplicated.Add(1)
	}
}

// doubts is how many commits so far may be lost although the server reported success.
func (e *postgresEngine) doubts() uint64 { return e.unreplicated.Load() }

func (*postgresEngine) retryable(err error) bool {
	switch sqlState(err) {
	case "40001", "40P01": // serialization failure, deadlock: rolled back for sure
		return true
	}
	return false
}

func (*postgresEngine) away(err error) bool {
	switch state := sqlState(err); state {
	case "57P01", "57P02", "57P03": // the server stops, a part of it crashed, it starts
		return true
	case readOnlyTransaction, "53300": // a fail-over is under way, all connections are taken
		return true
	case "":
	default:
		return strings.HasPrefix(state, "08") // a pooler lost the server, else it answered
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

func (*postgresEngine) duplicate(err error) bool { return sqlState(err) == "23505" }

// durabilityLost is PostgreSQL's own to judge: it stops by itself.
func (*postgresEngine) durabilityLost(error) bool { return false }

// intact has nothing to ask: a server knows where its data are.
func (*postgresEngine) intact() error { return nil }

func sqlState(err error) string {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return ""
	}
	return e.Code
}
