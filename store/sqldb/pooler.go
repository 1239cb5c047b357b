package sqldb

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3/lock"
)

// modeOption is the option of an address that says how the driver sends statements.
const modeOption = "default_query_exec_mode="

// pooledBy reports whether a pooler such as PgBouncer is between the portal and PostgreSQL.
// A pooler gives its client a process number of its own.
func pooledBy(ctx context.Context, config pgx.ConnConfig) (bool, error) {
	db := stdlib.OpenDB(config)
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return false, fmt.Errorf("connecting: %w", err)
	}
	defer conn.Close()
	pooled := false
	err = conn.Raw(func(driver any) error {
		c := driver.(*stdlib.Conn).Conn()
		var pid uint32
		// The simple protocol needs no prepared statement.
		err := c.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&pid)
		pooled = pid != c.PgConn().PID()
		return err
	})
	if err != nil {
		return false, fmt.Errorf("connecting: %w", err)
	}
	return pooled, nil
}

// suitPooler lets the driver prepare no statements under names when there is a pooler, which
// may give the next transaction to another server process. An address may say otherwise.
func suitPooler(ctx context.Context, c Config, config *pgx.ConnConfig) (pooled bool, err error) {
	if pooled, err = pooledBy(ctx, *config); err != nil {
		return false, err
	}
	if !pooled {
		// A role or database may hide those that notice counts. Poolers refuse the parameter.
		config.RuntimeParams["client_min_messages"] = "warning"
		return false, nil
	}
	if !strings.Contains(c.URL, modeOption) {
		config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	c.Log.Info("a connection pooler is between this program and PostgreSQL: statements are not prepared under names")
	return true, nil
}

// migrationWait is how long a replica waits for the one that migrates.
const migrationWait = 2 * time.Minute

// migrateBehindPooler migrates under the lock of a transaction. A pooler may give the release
// of a session's lock to another session. The number is that of the session's lock, so that
// replicas without a pooler wait too.
func migrateBehindPooler(ctx context.Context, db *sql.DB, schema fs.FS) error {
	provider, err := postgresDialect().provider(db, schema)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // releases the lock
	within, cancel := context.WithTimeout(ctx, migrationWait)
	defer cancel()
	for _, text := range holdOpen() {
		if _, err := tx.ExecContext(within, text); err != nil {
			return fmt.Errorf("preparing to migrate: %w", err)
		}
	}
	if _, err := tx.ExecContext(within, "SELECT pg_advisory_xact_lock($1)", lock.DefaultLockID); err != nil {
		return fmt.Errorf("waiting for another replica to migrate: %w", err)
	}
	return migrate(ctx, provider)
}
