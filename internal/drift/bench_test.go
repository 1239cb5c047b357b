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
	"certportal/store"
)

const (
	benchmarkHolders = 50_000
	benchmarkDER     = 1_300 // octets, as of a User certificate under an RSA 3072 issuer
)

// census is a directory that knows everybody and takes no time, so that what is
// measured is the portal's own part.
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

// BenchmarkPass is a pass over 50,000 holders with one certificate each, in which
// nothing has changed.
func BenchmarkPass(b *testing.B) {
	b.Run("sqlite", func(b *testing.B) { benchmarkPass(b, "sqlite", file(b)) })
	b.Run("postgres", func(b *testing.B) { benchmarkPass(b, "pgx", postgres.Database(b)) })
}

func benchmarkPass(b *testing.B, driver, address string) {
	db := must[*store.DB](b)(store.Open(b.Context(), store.Config{URL: address}))
	defer db.Close()
	fill(b, driver, address, benchmarkHolders)
	w := must[*drift.Watch](b)(drift.New(drift.Config{
		Directory: census{}, Store: db, Now: func() time.Time { return noon }, Log: slog.New(slog.DiscardHandler),
	}))
	b.ReportAllocs()
	for b.Loop() {
		r := must[drift.Report](b)(w.Once(b.Context(), drift.Options{Apply: true}))
		equal(b, "holders", r.Holders, benchmarkHolders)
		equal(b, "stopped", r.Stopped, "")
		equal(b, "findings", len(r.Mismatches), 0)
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/benchmarkHolders, "ms/1000holders")
}

// fill writes holders beside the store, in one transaction.
func fill(b *testing.B, driver, address string, holders int) {
	b.Helper()
	plain := must[*sql.DB](b)(sql.Open(driver, address))
	defer plain.Close()
	tx := must[*sql.Tx](b)(plain.Begin())
	defer tx.Rollback()
	do := func(query string, args ...any) {
		if _, err := tx.Exec(query, args...); err != nil {
			b.Fatal(err)
		}
	}
	der := make([]byte, benchmarkDER)
	for i := range holders {
		// Nobody enrols in the order of the directory's ids.
		person := fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, i)))[:36]
		key := sha256.Sum256([]byte(person))
		serial := must[ca.Serial](b)(ca.NewSerial(nil)).String()
		do("INSERT INTO people (id, changes) VALUES ($1, 1)", person)
		do("INSERT INTO devices (id, person, name, name_key, platform, created_at) VALUES ($1, $2, 'iPhone', 'iphone', 'ios', 0)", serial, person)
		do(`INSERT INTO certificates (serial, issuer, kind, profile, status, person, device_id, upn, sid, mail, key_hash,
			not_before, not_after, requested_at, der) VALUES ($1, 'issuing', 'user', 'User', 'issued', $2, $1, $3, 'S-1-5-21-1-2-3-1001', '', $4, $5, $6, $5, $7)`,
			serial, person, person+"@corp.example", key[:], noon.UnixMilli(), noon.AddDate(1, 0, 0).UnixMilli(), der)
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
}
