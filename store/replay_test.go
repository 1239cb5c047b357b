package store_test

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

// restored copies the database as it is, as a backup does, and gives what opens the
// copy later.
func restored(t *testing.T, db *fixture) func() *fixture {
	t.Helper()
	driver, address := "sqlite", filepath.Join(t.TempDir(), "copy.db")
	if db.dialect == goose.DialectSQLite3 {
		if _, err := db.plain.Exec("VACUUM INTO $1", address); err != nil {
			t.Fatal(err)
		}
	} else {
		driver, address = "pgx", copiedPostgres(t, db)
	}
	return func() *fixture {
		return &fixture{DB: opened(t, address), plain: plainly(t, driver, address), address: address, dialect: db.dialect}
	}
}

// copiedPostgres makes a database of another, from which everybody must go meanwhile.
func copiedPostgres(t *testing.T, db *fixture) string {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.plain.Close(); err != nil {
		t.Fatal(err)
	}
	address, err := url.Parse(db.address)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(address.Path, "/")
	address.Path += "_copy"
	beside := plainly(t, "pgx", postgres.Database(t))
	if _, err := beside.Exec("CREATE DATABASE " + name + "_copy TEMPLATE " + name); err != nil {
		t.Fatal(err)
	}
	// Before the server is asked to drop the other one.
	t.Cleanup(func() {
		if _, err := beside.Exec("DROP DATABASE " + name + "_copy WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	db.DB, db.plain = opened(t, db.address), plainly(t, "pgx", db.address)
	return address.String()
}

// journal is all that a journal has noted of a database.
func journal(t *testing.T, db crl.Recorded) []crl.Record {
	t.Helper()
	records, _, err := db.Records(t.Context(), 0, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func replay(t *testing.T, db crl.Recorded, records []crl.Record, now time.Time) int {
	t.Helper()
	return must[int](t)(db.Replay(t.Context(), records, now))
}

// A day after the copy that is restored a phone was lost, another one enrolled, a third
// enrolled and was lost, and lists were published by a clock that was ahead.
func TestF15_NothingRevokedBecomesGoodAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		works, lost := issue(t, db, request(t, anna, "works")), issue(t, db, request(t, anna, "lost"))
		before := issue(t, db, request(t, anna, "revoked before"))
		revoke(t, db, portal.Replaced, noon, before.serial())
		publish(t, db, noon)
		open := restored(t, db)

		day := noon.Add(24 * time.Hour)
		revoke(t, db, portal.Lost, day, lost.serial())
		unknown, gone := issue(t, db, request(t, "ben", "new")), issue(t, db, request(t, "ben", "new and lost"))
		reserved := reserve(t, db, request(t, "ben", "never signed"))
		revoke(t, db, portal.Left, day, gone.serial())
		newest, _ := publish(t, db, noon.Add(400*24*time.Hour))
		records := append(journal(t, db), crl.Record{Issuer: "issuing", Number: newest.Number})

		copied := open()
		last := records[len(records)-2]
		equal(t, "another history shows", must[bool](t)(copied.Remembers(t.Context(), last.Seq, last.Hash)), false)
		now := day.Add(time.Hour)
		equal(t, "brought back", replay(t, copied, records, now), 4)
		for _, c := range []struct {
			name string
			of   enrolment
			want ocsp.Status
		}{
			{"works on", works, ocsp.Status{State: ocsp.Good}},
			{"revoked before the copy", before, ocsp.Status{State: ocsp.Revoked, At: noon, Reason: 4}},
			{"revoked after it", lost, ocsp.Status{State: ocsp.Revoked, At: day, Reason: 1}},
			{"issued after it", unknown, ocsp.Status{State: ocsp.Revoked, At: now, Reason: 5}},
			{"issued and revoked after it", gone, ocsp.Status{State: ocsp.Revoked, At: day, Reason: 3}},
			{"reserved after it", reserved, ocsp.Status{State: ocsp.Revoked, At: now, Reason: 5}},
		} {
			equal(t, c.name, status(t, copied, c.of.serial()), c.want)
		}
		equal(t, "to be listed", must[bool](t)(copied.Unlisted(t.Context(), "issuing", false)), true)
		list, revoked := publish(t, copied, now)
		equal(t, "number above what was published", list.Number, newest.Number+1)
		equal(t, "in the list", len(revoked), 5)
		checkReplayed(t, copied, lost)

		head := must[audit.Head](t)(copied.Head(t.Context()))
		equal(t, "again", replay(t, copied, records, now.Add(time.Hour)), 0)
		equal(t, "and no entry", must[audit.Head](t)(copied.Head(t.Context())), head)
		equal(t, "in the database that was not restored", replay(t, db, records, now), 0)
	})
}

// checkReplayed reads what the ledger of a restored copy tells.
func checkReplayed(t *testing.T, db *fixture, lost enrolment) {
	t.Helper()
	log := entries(t, db)
	equal(t, "recalled", count(log, audit.CertificateRecalled), 3)
	equal(t, "summary", count(log, audit.RecordsReplayed), 1)
	for _, e := range log {
		if e.Action == audit.CertificateRevoked && e.Object == lost.serial().String() {
			equal(t, "actor", e.Actor, "system")
			equal(t, "when it was first revoked", e.Detail["replayed"], "2026-11-23T12:00:00Z")
			equal(t, "cause", e.Detail["cause"], "lost")
		}
	}
}

func TestReplayOfOddRecords(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		works := issue(t, db, request(t, anna, "works"))
		odd := func() ca.Serial { return request(t, anna, "odd").serial() }
		ahead, hold, endless, root := odd(), odd(), odd(), odd()
		records := []crl.Record{
			{},
			{Issuer: "issuing", Serial: works.serial(), Seq: 1},
			{Issuer: "issuing", Serial: ahead, NotAfter: noon.Add(time.Hour), Revoked: noon.Add(time.Hour), Reason: 1},
			{Issuer: "issuing", Serial: hold, NotAfter: noon.Add(time.Hour), Revoked: noon, Reason: 6},
			{Issuer: "issuing", Serial: endless, Revoked: noon, Reason: 4},
			{Issuer: "root", Serial: root, NotAfter: noon.Add(time.Hour), Revoked: noon, Reason: 2},
		}
		if _, err := db.Replay(t.Context(), records, noon); err == nil {
			t.Error("record of no issuer was replayed")
		}
		equal(t, "entries", len(entries(t, db)), 2)
		equal(t, "brought back", replay(t, db, records[1:], noon), 4)
		equal(t, "works on", status(t, db, works.serial()).State, ocsp.Good)
		equal(t, "moment in the future", status(t, db, ahead), ocsp.Status{State: ocsp.Revoked, At: noon, Reason: 1})
		equal(t, "reason that no list may give", status(t, db, hold).Reason, 0)
		_, revoked := publish(t, db, noon.Add(10*365*24*time.Hour))
		equal(t, "without an end, after ten years", len(revoked), 1)
		equal(t, "serial", revoked[0].Serial, endless)
		ofRoot := must[[]ca.Revocation](t)(db.Revoked(t.Context(), "root", 0, 1<<62, noon))
		equal(t, "of the root", len(ofRoot), 1)
	})
}

// Replicas that start together replay the same journal.
func TestReplayByTwoAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		var records []crl.Record
		for range 250 {
			records = append(records, crl.Record{Issuer: "issuing", Serial: request(t, anna, "x").serial(), Revoked: noon, Reason: 1})
		}
		replica := opened(t, db.address)
		brought := make(chan int, 2)
		for _, via := range []crl.Recorded{db, replica} {
			go func() {
				n, err := via.Replay(t.Context(), records, noon)
				if err != nil {
					t.Error(err)
				}
				brought <- n
			}()
		}
		equal(t, "brought back by both", <-brought+<-brought, len(records))
		equal(t, "recalled", count(entries(t, db), audit.CertificateRecalled), len(records))
	})
}
