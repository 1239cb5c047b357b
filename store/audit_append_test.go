package store_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

func TestEntriesComeBackAsTheyWere(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		testkit.Equal(t, "empty head", testkit.Must(db.Head(ctx))(t), audit.Head{})
		notes := []audit.Entry{
			fixture.NewEntry(testkit.Noon, audit.SignedIn, anna),
			{At: testkit.Noon, Action: audit.SignInRefused},
			{At: testkit.Noon.Add(123456789 * time.Nanosecond), Action: audit.EnrolmentRefused, Detail: map[string]string{
				"name": "Ännas \"iPhone\" <b>&\u2028👩‍💻", "": "empty key", "empty": "",
			}},
		}
		for _, e := range notes {
			if err := db.Note(ctx, e); err != nil {
				t.Fatal(err)
			}
		}
		all := fixture.Entries(t, db)
		testkit.Equal(t, "entries", len(all), len(notes))
		testkit.Equal(t, "detail", all[2].Detail["name"], notes[2].Detail["name"])
		testkit.Equal(t, "moment", all[2].At, testkit.Noon.Add(123*time.Millisecond))
		page := testkit.Must(db.Entries(ctx, 1, 1))(t)
		testkit.Equal(t, "page", len(page), 1)
		testkit.Equal(t, "number", page[0].Seq, 2)
	})
}

// Texts that PostgreSQL rejects would make the act fail, and texts that JSON changes
// would break the chain: a browser's header may contain either.
func TestA19_HostileTextNeitherStopsNorBreaksTheLedger(t *testing.T) {
	hostile := []string{"\x00", "a\xffb", "\xed\xa0\x80", "\ufffd", strings.Repeat("x", 1<<16), "'); DROP TABLE ledger; --"}
	onBoth(t, func(t *testing.T, db *database) {
		for _, text := range hostile {
			e := audit.Entry{
				At: testkit.Noon, Action: audit.SignInRefused, Actor: text, Role: text, Person: text, Object: text,
				Address: text, Request: text, Detail: map[string]string{"agent": text, text: "key"},
			}
			if err := db.Note(t.Context(), e); err != nil {
				t.Errorf("noting %.20q: %v", text, err)
			}
		}
		testkit.Equal(t, "entries", len(fixture.Entries(t, db)), len(hostile))
	})
}

func TestA19_ParallelActsKeepTheChain(t *testing.T) {
	const writers, acts = 8, 10
	onBoth(t, func(t *testing.T, db *database) {
		replica := opened(t, db.address)
		var waiting sync.WaitGroup
		for w := range writers {
			via := enroll.Store(db)
			if w%2 == 1 {
				via = replica
			}
			waiting.Go(func() {
				for range acts {
					if err := via.Note(t.Context(), fixture.NewEntry(testkit.Noon, audit.SignedIn, portal.PersonID(fmt.Sprint(w)))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		waiting.Wait()
		testkit.Equal(t, "entries", len(fixture.Entries(t, db)), writers*acts)
	})
}

func TestA19_LedgerCannotBeRewrittenInSQL(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		if err := db.Note(t.Context(), fixture.NewEntry(testkit.Noon, audit.SignedIn, anna)); err != nil {
			t.Fatal(err)
		}
		for _, statement := range []string{"UPDATE ledger SET actor = 'bob'", "DELETE FROM ledger"} {
			if _, err := db.plain.Exec(statement); err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: got error %v", statement, err)
			}
		}
		testkit.Equal(t, "actor", fixture.Entries(t, db)[0].Actor, string(anna))
	})
}

// When the audit entry cannot be written, the act does not happen.
func TestActsFailWithTheLedger(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		issued := fixture.NewEnrolment(t, anna, "iPhone").Issue(t, db)
		pending := fixture.NewEnrolment(t, anna, "iPad").Reserve(t, db)
		fresh := fixture.NewEnrolment(t, "bob", "iPhone")
		account := portal.Account{Person: portal.Person{ID: "p1", Login: "carol", UPN: "carol@corp.example"}}
		before := portal.Account{Person: portal.Person{ID: "p0", Login: "dora", UPN: "dora@corp.example"}}
		if err := db.AddAccount(ctx, before, fixture.NewEntry(testkit.Noon, audit.AccountAdded, "p0")); err != nil {
			t.Fatal(err)
		}
		if _, err := db.plain.Exec("ALTER TABLE ledger RENAME TO elsewhere"); err != nil {
			t.Fatal(err)
		}
		renewal := issued.Renewal(t).Reservation
		acts := map[string]error{
			"reserve":  db.Reserve(ctx, fresh.Reservation),
			"again":    db.Reserve(ctx, renewal),
			"complete": db.Complete(ctx, pending.Completion),
			"claim":    db.ClaimRead(ctx, issued.TokenHash, 1, fixture.NewEntry(testkit.Noon, audit.PickupRead, anna)),
			"part":     db.NotePart(ctx, issued.TokenHash, testkit.Noon, fixture.NewEntry(testkit.Noon, audit.PickupRead, anna)),
			"change":   db.ChangeAccount(ctx, "p0", disable, fixture.NewEntry(testkit.Noon, audit.AccountDisabled, "p0")),
			"account":  db.AddAccount(ctx, account, fixture.NewEntry(testkit.Noon, audit.AccountAdded, "p1")),
			"note":     db.Note(ctx, fixture.NewEntry(testkit.Noon, audit.SignedIn, anna)),
		}
		_, acts["revoke"] = db.Revoke(ctx, enroll.Revocation{
			Serials: []ca.Serial{issued.Serial(), pending.Serial()}, Cause: portal.Removed, At: testkit.Noon, RemoveDevice: issued.Device(),
		})
		for act, err := range acts {
			if err == nil {
				t.Errorf("%s succeeded without the audit log", act)
			}
		}
		if _, err := db.plain.Exec("ALTER TABLE elsewhere RENAME TO ledger"); err != nil {
			t.Fatal(err)
		}
		testkit.Equal(t, "issued", newest(t, db, issued).Status, portal.Issued)
		testkit.Equal(t, "pending", newest(t, db, pending).Status, portal.Pending)
		p := testkit.Must(db.Pickup(ctx, issued.TokenHash))(t)
		testkit.Equal(t, "reads", p.Reads, 0)
		sameBytes(t, "key", p.Key, []byte("sealed key"))
		testkit.Equal(t, "delivered", p.Device.Certificate.Delivered.IsZero(), true)
		testkit.Equal(t, "disabled", testkit.Must(db.AccountByID(ctx, "p0"))(t).Disabled, false)
		testkit.Equal(t, "removed", p.Device.Removed.IsZero(), true)
		_, err := db.Device(ctx, "bob", fresh.Device())
		wantError(t, "device of a failed reservation", err, portal.ErrNotFound)
		_, err = db.AccountByID(ctx, "p1")
		wantError(t, "account that was not added", err, portal.ErrNotFound)
		testkit.Equal(t, "entries", len(fixture.Entries(t, db)), 4)
		if err := db.ClaimRead(ctx, issued.TokenHash, 1, fixture.NewEntry(testkit.Noon, audit.PickupRead, anna)); err != nil {
			t.Errorf("claiming the only read, which was not counted before: %v", err)
		}
	})
}
