package store_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
	"certportal/store/sqldb"
)

// older is the address of a database with an older schema.
func older(t *testing.T, e engine, version int64) string {
	t.Helper()
	address := e.empty(t)
	fixture.MakeSchema(t, address, version)
	return address
}

func onOlder(t *testing.T, version int64, test func(t *testing.T, address string)) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) { test(t, older(t, e, version)) })
	}
}

// Of three replicas that start together on an older schema one prepares for the change, with
// the database as it was, and the others wait for it.
func TestF18_ThreeReplicasPrepareAndMigrateOnce(t *testing.T) {
	onOlder(t, 20, func(t *testing.T, address string) {
		var calls atomic.Int32
		newest := testkit.Must(store.SchemaVersion())(t)
		before := func(ctx context.Context, old *store.DB, to int64) error {
			calls.Add(1)
			s, err := old.Snapshot(ctx, filepath.Dir(t.TempDir()))
			if err != nil {
				return err
			}
			if s.Schema != 20 || to != newest {
				t.Errorf("found schema %d, to be %d", s.Schema, to)
			}
			// An act is recorded under the older schema, too.
			return errors.Join(s.Close(), old.Note(ctx, fixture.NewEntry(testkit.Noon, audit.BackupMade, anna)))
		}
		var starting sync.WaitGroup
		for range 3 {
			starting.Go(func() {
				db, err := store.Open(t.Context(), store.Config{URL: address, Before: before})
				if err != nil {
					t.Error(err)
					return
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		starting.Wait()
		testkit.Equal(t, "calls", calls.Load(), 1)
		db := &database{DB: fixture.Open(t, address, func(c *store.Config) { c.AsIs = true })}
		testkit.Equal(t, "entries", len(fixture.Entries(t, db)), 1)
	})
}

// What cannot be prepared for is not begun.
func TestF17_NothingChangesWhenThePreparationFails(t *testing.T) {
	onOlder(t, 20, func(t *testing.T, address string) {
		full := errors.New("disk is full")
		_, err := store.Open(t.Context(), store.Config{URL: address, Before: func(context.Context, *store.DB, int64) error { return full }})
		wantError(t, "opening", err, full)
		plan := testkit.Must(store.PlanUpgrade(t.Context(), address))(t)
		testkit.Equal(t, "schema", plan.Found, 20)
	})
}

// An empty database and one that is up to date are not prepared.
func TestNothingIsPreparedWithoutNeed(t *testing.T) {
	before := func(context.Context, *store.DB, int64) error { return errors.New("prepared") }
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			address := e.empty(t)
			for range 2 {
				db := testkit.Must(store.Open(t.Context(), store.Config{URL: address, Before: before}))(t)
				testkit.NoError(t, db.Close())
			}
		})
	}
}

// Opened as it is with an older schema, a database can be read for a backup; one from before
// the first file cannot.
func TestOpenOlder(t *testing.T) {
	as := func(address string) store.Config { return store.Config{URL: address, AsIs: true, Older: true} }
	onOlder(t, 20, func(t *testing.T, address string) {
		db := testkit.Must(store.Open(t.Context(), as(address)))(t)
		testkit.Must(db.Head(t.Context()))(t)
		testkit.NoError(t, db.Close())
		testkit.Must(fixture.Plain(t, address).Exec("DELETE FROM goose_db_version WHERE version_id >= 10"))(t)
		testkit.Must(fixture.Plain(t, address).Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (9, TRUE)"))(t)
		_, err := store.Open(t.Context(), as(address))
		wantError(t, "opening", err, store.ErrSchemaOlder)
		_, err = store.PlanUpgrade(t.Context(), address)
		wantError(t, "planning", err, store.ErrSchemaOlder)
	})
}

// The plan names the steps that are missing and what they touch, and not what they make.
func TestPlanUpgrade(t *testing.T) {
	onOlder(t, 20, func(t *testing.T, address string) {
		plan := testkit.Must(store.PlanUpgrade(t.Context(), address))(t)
		testkit.Equal(t, "known", plan.Known, testkit.Must(store.SchemaVersion())(t))
		testkit.Equal(t, "first step", plan.Steps[0].Name, "authorities")
		kinds := map[string]string{}
		for _, w := range plan.Steps[0].Work {
			kinds[w.Table] += w.Kind + " "
		}
		testkit.Equal(t, "certificates", kinds["certificates"], "alter index guard ")
		testkit.Equal(t, "crl_numbers", strings.TrimSpace(kinds["crl_numbers"]), "remove")
		if _, made := kinds["authorities"]; made {
			t.Errorf("a table that is made is in it: %v", kinds)
		}
		if plan.Size == 0 || (plan.Engine == sqldb.Postgres) != strings.HasPrefix(address, "postgres") {
			t.Errorf("plan: %+v", plan)
		}
	})
}
