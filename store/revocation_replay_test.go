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
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// restored copies the database as a backup does, and returns a function that opens
// the copy later.
func restored(t *testing.T, db *database) func() *database {
	t.Helper()
	driver, address := "sqlite", filepath.Join(t.TempDir(), "copy.db")
	if db.dialect == goose.DialectSQLite3 {
		if _, err := db.plain.Exec("VACUUM INTO $1", address); err != nil {
			t.Fatal(err)
		}
	} else {
		driver, address = "pgx", copiedPostgres(t, db)
	}
	return func() *database {
		return &database{DB: opened(t, address), plain: connect(t, driver, address), address: address, dialect: db.dialect}
	}
}

// copiedPostgres copies a database, which must have no connections while it does.
func copiedPostgres(t *testing.T, db *database) string {
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
	beside := connect(t, "pgx", fixture.EmptyPostgres(t))
	if _, err := beside.Exec("CREATE DATABASE " + name + "_copy TEMPLATE " + name); err != nil {
		t.Fatal(err)
	}
	// Before the server drops the other one.
	t.Cleanup(func() {
		if _, err := beside.Exec("DROP DATABASE " + name + "_copy WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	db.DB, db.plain = opened(t, db.address), connect(t, "pgx", db.address)
	return address.String()
}

// journal reads everything that a recovery journal would contain of a database.
func journal(t *testing.T, db crl.Store) []crl.Record {
	t.Helper()
	records, _, err := db.Records(t.Context(), 0, 100_000)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func replay(t *testing.T, db crl.Store, records []crl.Record, now time.Time) int {
	t.Helper()
	return testkit.Must(db.Replay(t.Context(), records, now))(t)
}

// A day after the copy that is restored a phone was lost, another one enrolled, a
// third enrolled and was lost, and CRLs were published by a clock that was ahead.
func TestF15_NothingRevokedBecomesGoodAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		works, lost := fixture.NewEnrolment(t, anna, "works").Issue(t, db), fixture.NewEnrolment(t, anna, "lost").Issue(t, db)
		before := fixture.NewEnrolment(t, anna, "revoked before").Issue(t, db)
		revoke(t, db, portal.Replaced, testkit.Noon, before.Serial())
		publish(t, db, testkit.Noon)
		open := restored(t, db)

		day := testkit.Noon.Add(24 * time.Hour)
		revoke(t, db, portal.Lost, day, lost.Serial())
		unknown, gone := fixture.NewEnrolment(t, "ben", "new").Issue(t, db), fixture.NewEnrolment(t, "ben", "new and lost").Issue(t, db)
		reserved := fixture.NewEnrolment(t, "ben", "never signed").Reserve(t, db)
		revoke(t, db, portal.Left, day, gone.Serial())
		newest, _ := publish(t, db, testkit.Noon.Add(400*24*time.Hour))
		records := append(journal(t, db), crl.Record{Issuer: "issuing", Number: newest.Number})

		copied := open()
		last := records[len(records)-2]
		testkit.Equal(t, "another history shows", testkit.Must(copied.HasEntry(t.Context(), last.Seq, last.Hash))(t), false)
		now := day.Add(time.Hour)
		testkit.Equal(t, "brought back", replay(t, copied, records, now), 4)
		for _, c := range []struct {
			name string
			of   fixture.Enrolment
			want ocsp.Status
		}{
			{"works on", works, ocsp.Status{State: ocsp.Good}},
			{"revoked before the copy", before, ocsp.Status{State: ocsp.Revoked, At: testkit.Noon, Reason: 4}},
			{"revoked after it", lost, ocsp.Status{State: ocsp.Revoked, At: day, Reason: 1}},
			{"issued after it", unknown, ocsp.Status{State: ocsp.Revoked, At: now, Reason: 5}},
			{"issued and revoked after it", gone, ocsp.Status{State: ocsp.Revoked, At: day, Reason: 3}},
			{"reserved after it", reserved, ocsp.Status{State: ocsp.Revoked, At: now, Reason: 5}},
		} {
			testkit.Equal(t, c.name, status(t, copied, c.of.Serial()), c.want)
		}
		testkit.Equal(t, "to be listed", testkit.Must(copied.Unlisted(t.Context(), "issuing", false))(t), true)
		list, revoked := publish(t, copied, now)
		testkit.Equal(t, "number above what was published", list.Number, newest.Number+1)
		testkit.Equal(t, "in the list", len(revoked), 5)
		checkReplayed(t, copied, lost)

		head := testkit.Must(copied.Head(t.Context()))(t)
		testkit.Equal(t, "again", replay(t, copied, records, now.Add(time.Hour)), 0)
		testkit.Equal(t, "and no entry", testkit.Must(copied.Head(t.Context()))(t), head)
		testkit.Equal(t, "in the database that was not restored", replay(t, db, records, now), 0)
	})
}

// checkReplayed checks the audit log of a restored copy.
func checkReplayed(t *testing.T, db *database, lost fixture.Enrolment) {
	t.Helper()
	log := fixture.Entries(t, db)
	testkit.Equal(t, "recalled", count(log, audit.CertificateRecalled), 3)
	testkit.Equal(t, "summary", count(log, audit.RecordsReplayed), 1)
	for _, e := range log {
		if e.Action == audit.CertificateRevoked && e.Object == lost.Serial().String() {
			testkit.Equal(t, "actor", e.Actor, "system")
			testkit.Equal(t, "when it was first revoked", e.Detail["replayed"], "2026-11-23T12:00:00Z")
			testkit.Equal(t, "cause", e.Detail["cause"], "lost")
		}
	}
}

func TestReplayOfOddRecords(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		works := fixture.NewEnrolment(t, anna, "works").Issue(t, db)
		odd := func() ca.Serial { return fixture.NewEnrolment(t, anna, "odd").Serial() }
		ahead, hold, endless, root := odd(), odd(), odd(), odd()
		records := []crl.Record{
			{},
			{Issuer: "issuing", Serial: works.Serial(), Seq: 1},
			{Issuer: "issuing", Serial: ahead, NotAfter: testkit.Noon.Add(time.Hour), Revoked: testkit.Noon.Add(time.Hour), Reason: 1},
			{Issuer: "issuing", Serial: hold, NotAfter: testkit.Noon.Add(time.Hour), Revoked: testkit.Noon, Reason: 6},
			{Issuer: "issuing", Serial: endless, Revoked: testkit.Noon, Reason: 4},
			{Issuer: "root", Serial: root, NotAfter: testkit.Noon.Add(time.Hour), Revoked: testkit.Noon, Reason: 2},
		}
		if _, err := db.Replay(t.Context(), records, testkit.Noon); err == nil {
			t.Error("record of no issuer was replayed")
		}
		testkit.Equal(t, "entries", len(fixture.Entries(t, db)), 2)
		testkit.Equal(t, "brought back", replay(t, db, records[1:], testkit.Noon), 4)
		testkit.Equal(t, "works on", status(t, db, works.Serial()).State, ocsp.Good)
		testkit.Equal(t, "moment in the future", status(t, db, ahead), ocsp.Status{State: ocsp.Revoked, At: testkit.Noon, Reason: 1})
		testkit.Equal(t, "reason that no list may give", status(t, db, hold).Reason, 0)
		_, revoked := publish(t, db, testkit.Noon.Add(10*365*24*time.Hour))
		testkit.Equal(t, "without an end, after ten years", len(revoked), 1)
		testkit.Equal(t, "serial", revoked[0].Serial, endless)
		ofRoot := testkit.Must(db.Revoked(t.Context(), "root", 0, 1<<62, testkit.Noon))(t)
		testkit.Equal(t, "of the root", len(ofRoot), 1)
	})
}

// Replicas that start together replay the same recovery journal.
func TestReplayByTwoAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		var records []crl.Record
		for range 250 {
			records = append(records, crl.Record{Issuer: "issuing", Serial: fixture.NewEnrolment(t, anna, "x").Serial(), Revoked: testkit.Noon, Reason: 1})
		}
		replica := opened(t, db.address)
		brought := make(chan int, 2)
		for _, via := range []crl.Store{db, replica} {
			go func() {
				n, err := via.Replay(t.Context(), records, testkit.Noon)
				if err != nil {
					t.Error(err)
				}
				brought <- n
			}()
		}
		testkit.Equal(t, "brought back by both", <-brought+<-brought, len(records))
		testkit.Equal(t, "recalled", count(fixture.Entries(t, db), audit.CertificateRecalled), len(records))
	})
}
