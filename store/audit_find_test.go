package store_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// journal fills the audit log with n entries in one transaction, a second apart,
// of a hundred people in turn, who are their own actors.
func (db *database) journal(t testing.TB, n int) {
	t.Helper()
	head := testkit.Must(db.Head(context.Background()))(t)
	tx, err := db.plain.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	insert, err := tx.Prepare(`INSERT INTO ledger (seq, at, node, action, actor, role, person, object, address, request, detail, prev, hash)
		VALUES ($1, $2, 'n', $3, $4, 'employee', $4, $5, '', $6, $7, $8, $9)`)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		var e audit.Entry
		i := head.Seq + 1
		e, head = head.Append(audit.Entry{
			At: testkit.Noon.Add(time.Duration(i) * time.Second), Node: "n", Action: []audit.Action{audit.SignedIn, audit.CertificateIssued}[i%2],
			Actor: fmt.Sprint("p", i%100), Role: "employee", Person: fmt.Sprint("p", i%100), Object: fmt.Sprintf("%032x", i),
			Request: fmt.Sprint("r", i), Detail: map[string]string{"upn": fmt.Sprint("p", i%100, "@corp.example")},
		})
		detail, err := json.Marshal(e.Detail)
		if err == nil {
			_, err = insert.Exec(e.Seq, e.At.UnixMilli(), string(e.Action), e.Actor, e.Object, e.Request, string(detail), e.Prev[:], e.Hash[:])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.Exec("UPDATE ledger_head SET seq = $1, hash = $2 WHERE id = 1", head.Seq, head.Hash[:]); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// findAll reads all pages of a search.
func findAll(t *testing.T, db *database, q audit.Query, limit int) (all []audit.Entry, parts int) {
	t.Helper()
	for before := int64(math.MaxInt64); before > 0; parts++ {
		found := testkit.Must(db.Find(t.Context(), q, before, limit))(t)
		all = append(all, found.Entries...)
		if len(found.Entries) > limit || found.Next >= before {
			t.Fatalf("part before %d: %d entries, next %d", before, len(found.Entries), found.Next)
		}
		before = found.Next
	}
	return all, parts
}

func TestFindInTheAuditLog(t *testing.T) {
	at := func(second int) time.Time { return testkit.Noon.Add(time.Duration(second) * time.Second) }
	tests := []struct {
		name  string
		query audit.Query
		want  int
		first int64 // number of the newest
	}{
		{"everything", audit.Query{}, 5000, 5000},
		{"an action", audit.Query{Action: audit.SignedIn}, 2500, 5000},
		{"a person", audit.Query{Person: "p7"}, 50, 4907},
		{"an actor", audit.Query{Actor: "p7"}, 50, 4907},
		{"an object", audit.Query{Object: fmt.Sprintf("%032x", 77)}, 1, 77},
		{"a reference", audit.Query{Request: "r4000"}, 1, 4000},
		{"a person's action", audit.Query{Person: "p7", Action: audit.CertificateIssued}, 50, 4907},
		{"what a person never did", audit.Query{Person: "p7", Action: audit.SignedIn}, 0, 0},
		{"what never happens together", audit.Query{Actor: "p7", Request: "r8"}, 0, 0},
		{"from a moment on", audit.Query{From: at(4990)}, 11, 5000},
		{"before a moment", audit.Query{Until: at(11)}, 10, 10},
		{"between", audit.Query{From: at(100), Until: at(200), Person: "p50"}, 1, 150},
		{"after the end", audit.Query{From: at(90_000)}, 0, 0},
		{"before the beginning", audit.Query{Until: testkit.Noon}, 0, 0},
		{"part of a name", audit.Query{Person: "p"}, 0, 0},
		{"SQL", audit.Query{Person: "' OR 1=1 --"}, 0, 0},
		{"not storable", audit.Query{Person: "a\x00\xff"}, 0, 0},
	}
	onBoth(t, func(t *testing.T, db *database) {
		db.journal(t, 5000)
		for _, tt := range tests {
			all, parts := findAll(t, db, tt.query, 40)
			testkit.Equal(t, tt.name, len(all), tt.want)
			if parts > tt.want/40+4 {
				t.Errorf("%s took %d parts", tt.name, parts)
			}
			for i, e := range all {
				if i == 0 && e.Seq != tt.first || i > 0 && e.Seq >= all[i-1].Seq || !tt.query.Matches(e) {
					t.Fatalf("%s: entry %d comes as number %d", tt.name, e.Seq, i)
				}
			}
		}
	})
}

// The clocks of replicas differ: times may run against the numbers.
func TestFindWithClocksApart(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		for i, offset := range []time.Duration{0, 5 * time.Minute, -4 * time.Minute, 6 * time.Minute, 2 * time.Minute} {
			e := fixture.NewEntry(testkit.Noon, audit.SignedIn, anna)
			e.At = testkit.Noon.Add(offset)
			e.Request = fmt.Sprint("r", i)
			if err := db.Note(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		all, _ := findAll(t, db, audit.Query{From: testkit.Noon.Add(time.Minute), Until: testkit.Noon.Add(5*time.Minute + 1)}, 10)
		testkit.Equal(t, "found", len(all), 2)
		all, _ = findAll(t, db, audit.Query{Until: testkit.Noon}, 10)
		testkit.Equal(t, "before noon", len(all), 1)
	})
}

// Long texts are distinguished beyond what their index holds, and are never too long
// for it.
func TestFindLongTexts(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		beginning := strings.Repeat("ä", 300)
		for _, end := range []string{"one", "two", ""} {
			e := fixture.NewEntry(testkit.Noon, audit.SignedIn, anna)
			e.Object = beginning + end
			if err := db.Note(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		all, _ := findAll(t, db, audit.Query{Object: beginning + "two"}, 10)
		testkit.Equal(t, "found", len(all), 1)
	})
}

func TestPersonNames(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		e := fixture.NewEnrolment(t, anna, "iPhone")
		e.Reservation.Name = "Anna Schmidt"
		e.Reserve(t, db)
		account := portal.Account{Person: portal.Person{ID: "p1", Login: "hugo", UPN: "hugo@corp.example", Name: "Hugo Weber"}}
		if err := db.AddAccount(t.Context(), account, fixture.NewEntry(testkit.Noon, audit.AccountAdded, "p1")); err != nil {
			t.Fatal(err)
		}
		names := testkit.Must(db.PersonNames(t.Context(), []portal.PersonID{anna, "p1", "nobody", "a\x00"}))(t)
		testkit.Equal(t, "names", fmt.Sprint(names), "map[anna:Anna Schmidt p1:Hugo Weber]")
	})
}

// BenchmarkFind searches an audit log of a million entries, or a tenth with -short,
// for the newest of a person, an object, an action, for conditions that never hold
// together, and for a page in the middle.
func BenchmarkFind(b *testing.B) {
	entries := 1_000_000
	if testing.Short() {
		entries /= 10
	}
	for _, engine := range engines {
		b.Run(engine.name, func(b *testing.B) {
			address := engine.address(b)
			if engine.name == "sqlite" {
				address = testkit.Must(filepath.Abs(filepath.Join(benchmarkFolder(b), "portal.db")))(b)
			}
			db := &database{DB: opened(b, address), plain: connect(b, engine.driver, address)}
			db.journal(b, entries)
			if _, err := db.plain.Exec("ANALYZE"); err != nil {
				b.Fatal(err)
			}
			for _, c := range []struct {
				name   string
				query  audit.Query
				before int64
			}{
				{"newest", audit.Query{}, math.MaxInt64},
				{"middle", audit.Query{}, int64(entries / 2)},
				{"person", audit.Query{Person: "p7"}, math.MaxInt64},
				{"object", audit.Query{Object: fmt.Sprintf("%032x", entries/2)}, math.MaxInt64},
				{"action", audit.Query{Action: audit.SignedIn}, int64(entries / 2)},
				{"day", audit.Query{From: testkit.Noon.Add(time.Hour), Until: testkit.Noon.Add(2 * time.Hour)}, math.MaxInt64},
				{"never", audit.Query{Person: "p7", Action: audit.SignedIn}, math.MaxInt64},
			} {
				b.Run(c.name, func(b *testing.B) {
					for range b.N {
						testkit.Must(db.Find(b.Context(), c.query, c.before, 50))(b)
					}
				})
			}
		})
	}
}
