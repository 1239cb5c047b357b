package auditmonitor_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"certportal/internal/audit"
	"certportal/internal/auditmonitor"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
)

var _ auditmonitor.Store = (*store.DB)(nil)

func TestMain(m *testing.M) { fixture.Main(m) }

// harness is a store and a plain connection to its database, as a database
// administrator has one.
type harness struct {
	*store.DB
	plain   *sql.DB
	address string
}

func onBoth(t *testing.T, test func(t *testing.T, h *harness)) {
	t.Run("sqlite", func(t *testing.T) { test(t, onSQLite(t)) })
	t.Run("postgres", func(t *testing.T) {
		address := fixture.Postgres(t)
		test(t, &harness{open(t, address), connect(t, "pgx", address), address})
	})
}

func onSQLite(t testing.TB) *harness {
	address := fixture.SQLite(t)
	db := open(t, address)
	return &harness{db, connect(t, "sqlite", "file://"+address+"?_pragma=busy_timeout(5000)&_pragma=synchronous(off)"), address}
}

func open(t testing.TB, address string) *store.DB {
	t.Helper()
	return fixture.Open(t, address, func(c *store.Config) { c.Node = "portal-1" })
}

func connect(t testing.TB, driver, address string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// exec runs SQL as a database administrator.
func (h *harness) exec(t testing.TB, query string, args ...any) {
	t.Helper()
	if _, err := h.plain.Exec(query, args...); err != nil {
		t.Fatalf("%.80s: %v", query, err)
	}
}

// disarm drops the triggers that protect audit log and checkpoints.
func (h *harness) disarm(t testing.TB) {
	t.Helper()
	if filepath.IsAbs(h.address) {
		for _, trigger := range []string{
			"ledger_is_not_rewritten", "ledger_is_not_shortened", "ledger_seals_are_not_rewritten", "ledger_seals_are_not_removed",
		} {
			h.exec(t, "DROP TRIGGER "+trigger)
		}
		return
	}
	h.exec(t, "DROP TRIGGER ledger_is_append_only ON ledger")
	h.exec(t, "DROP TRIGGER ledger_seals_are_append_only ON ledger_seals")
}

// sample returns the n-th entry of a typical audit log.
func sample(n int) audit.Entry {
	name := "Anna's iPhone"
	if n%10 == 7 {
		name = "Anna's <iPhone>" // which JSON escapes
	}
	return audit.Entry{
		At: testkit.Noon.Add(time.Duration(n) * time.Second), Node: "portal-1", Action: audit.CertificateIssued,
		Actor: fmt.Sprint("person-", n%997), Role: "employee", Person: fmt.Sprint("person-", n%997),
		Object: fmt.Sprintf("%032x", n), Address: "192.0.2.7", Request: fmt.Sprintf("r%09d", n),
		Detail: map[string]string{"upn": "änna.schmidt@corp.example", "profile": "User", "name": name, "device": fmt.Sprint("d", n)},
	}
}

// fill appends n entries with SQL in one transaction, encoded as the store does.
func (h *harness) fill(t testing.TB, n int) []audit.Entry {
	t.Helper()
	head, err := h.Head(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	tx, err := h.plain.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	insert, err := tx.Prepare(`INSERT INTO ledger
		(seq, at, node, action, actor, role, person, object, address, request, detail, prev, hash)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`)
	if err != nil {
		t.Fatal(err)
	}
	kept := make([]audit.Entry, 0, min(n, 2000))
	for i := range n {
		var e audit.Entry
		e, head = head.Append(sample(i + 1))
		detail, err := json.Marshal(e.Detail)
		if err == nil {
			_, err = insert.Exec(e.Seq, e.At.UnixMilli(), e.Node, string(e.Action), e.Actor, e.Role, e.Person, e.Object,
				e.Address, e.Request, string(detail), e.Prev[:], e.Hash[:])
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(kept) < cap(kept) {
			kept = append(kept, e)
		}
	}
	if _, err := tx.Exec("UPDATE ledger_head SET seq = $1, hash = $2 WHERE id = 1", head.Seq, head.Hash[:]); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return kept
}
