package drift_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"log/slog"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"certportal/ca"
	"certportal/internal/drift"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

const (
	benchmarkHolders = 50_000
	benchmarkDER     = 1_300 // octets, as of a User certificate under an RSA 3072 issuer
)

// census is a directory that knows all people and takes no time, so that only the
// portal is measured.
type census struct{}

func (census) People(_ context.Context, ids []portal.PersonID) ([]portal.Person, error) {
	people := make([]portal.Person, len(ids))
	for i, id := range ids {
		people[i] = portal.Person{ID: id, UPN: string(id) + "@corp.example", SID: "S-1-5-21-1-2-3-1001"}
	}
	return people, nil
}

func (census) Person(context.Context, portal.PersonID) (portal.Person, error) {
	return portal.Person{}, portal.ErrNotFound
}

func (census) Protected(context.Context) (map[portal.PersonID]bool, error) { return nil, nil }

func (census) UPNOwners(context.Context, []string) (map[string][]portal.PersonID, error) {
	return nil, nil
}

// BenchmarkPass measures a pass over 50,000 holders with one certificate each and no
// change.
func BenchmarkPass(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchmarkPass(b, "sqlite", fixture.SQLite(b)) })
	b.Run("postgres", func(b *testing.B) { benchmarkPass(b, "pgx", fixture.Postgres(b)) })
}

func benchmarkPass(b *testing.B, driver, address string) {
	db := fixture.Open(b, address)
	defer db.Close()
	fill(b, driver, address, benchmarkHolders)
	w := testkit.Must(drift.New(drift.Config{
		Directory: census{}, Store: db, Now: func() time.Time { return testkit.Noon }, Log: slog.New(slog.DiscardHandler),
	}))(b)
	b.ReportAllocs()
	for b.Loop() {
		r := testkit.Must(w.Once(b.Context(), drift.Options{Apply: true}))(b)
		testkit.Equal(b, "holders", r.Holders, benchmarkHolders)
		testkit.Equal(b, "stopped", r.Stopped, "")
		testkit.Equal(b, "findings", len(r.Mismatches), 0)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/benchmarkHolders, "ms/1000holders")
}

// fill inserts holders with SQL, in one transaction.
func fill(b *testing.B, driver, address string, holders int) {
	b.Helper()
	plain := testkit.Must(sql.Open(driver, address))(b)
	defer plain.Close()
	tx := testkit.Must(plain.Begin())(b)
	defer tx.Rollback()
	do := func(query string, args ...any) {
		if _, err := tx.Exec(query, args...); err != nil {
			b.Fatal(err)
		}
	}
	der := make([]byte, benchmarkDER)
	for i := range holders {
		// People do not enrol in the order of the directory's ids.
		person := fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, i)))[:36]
		key := sha256.Sum256([]byte(person))
		serial := testkit.Must(ca.NewSerial(nil))(b).String()
		do("INSERT INTO people (id, changes) VALUES ($1, 1)", person)
		do("INSERT INTO devices (id, person, name, name_key, platform, created_at) VALUES ($1, $2, 'iPhone', 'iphone', 'ios', 0)", serial, person)
		do(`INSERT INTO certificates (serial, issuer, kind, profile, status, person, device_id, upn, sid, mail, key_hash,
			not_before, not_after, requested_at, der) VALUES ($1, 'issuing', 'user', 'User', 'issued', $2, $1, $3, 'S-1-5-21-1-2-3-1001', '', $4, $5, $6, $5, $7)`,
			serial, person, person+"@corp.example", key[:], testkit.Noon.UnixMilli(), testkit.Noon.AddDate(1, 0, 0).UnixMilli(), der)
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
}
