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
)

func TestEntriesComeBackAsTheyWere(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		equal(t, "empty head", must[audit.Head](t)(db.Head(ctx)), audit.Head{})
		notes := []audit.Entry{
			entry(audit.SignedIn, anna),
			{At: noon, Action: audit.SignInRefused},
			{At: noon.Add(123456789 * time.Nanosecond), Action: audit.EnrolmentRefused, Detail: map[string]string{
				"name": "Ännas \"iPhone\" <b>&\u2028👩‍💻", "": "empty key", "empty": "",
			}},
		}
		for _, e := range notes {
			if err := db.Note(ctx, e); err != nil {
				t.Fatal(err)
			}
		}
		all := entries(t, db)
		equal(t, "entries", len(all), len(notes))
		equal(t, "detail", all[2].Detail["name"], notes[2].Detail["name"])
		equal(t, "moment", all[2].At, noon.Add(123*time.Millisecond))
		page := must[[]audit.Entry](t)(db.Entries(ctx, 1, 1))
		equal(t, "page", len(page), 1)
		equal(t, "number", page[0].Seq, 2)
	})
}

// Texts that PostgreSQL does not take would stop the act, and texts that JSON
// changes would break the chain: a browser's header may hold either.
func TestA19_HostileTextNeitherStopsNorBreaksTheLedger(t *testing.T) {
	hostile := []string{"\x00", "a\xffb", "\xed\xa0\x80", "\ufffd", strings.Repeat("x", 1<<16), "'); DROP TABLE ledger; --"}
	onBoth(t, func(t *testing.T, db *fixture) {
		for _, text := range hostile {
			e := audit.Entry{
				At: noon, Action: audit.SignInRefused, Actor: text, Role: text, Person: text, Object: text,
				Address: text, Request: text, Detail: map[string]string{"agent": text, text: "key"},
			}
			if err := db.Note(t.Context(), e); err != nil {
				t.Errorf("noting %.20q: %v", text, err)
			}
		}
		equal(t, "entries", len(entries(t, db)), len(hostile))
	})
}

func TestA19_ParallelActsKeepTheChain(t *testing.T) {
	const writers, acts = 8, 10
	onBoth(t, func(t *testing.T, db *fixture) {
		replica := opened(t, db.address)
		var waiting sync.WaitGroup
		for w := range writers {
			via := enroll.Store(db)
			if w%2 == 1 {
				via = replica
			}
			waiting.Go(func() {
				for range acts {
					if err := via.Note(t.Context(), entry(audit.SignedIn, portal.PersonID(fmt.Sprint(w)))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		waiting.Wait()
		equal(t, "entries", len(entries(t, db)), writers*acts)
	})
}

func TestA19_LedgerCannotBeRewrittenInSQL(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		if err := db.Note(t.Context(), entry(audit.SignedIn, anna)); err != nil {
			t.Fatal(err)
		}
		for _, statement := range []string{"UPDATE ledger SET actor = 'bob'", "DELETE FROM ledger"} {
			if _, err := db.plain.Exec(statement); err == nil || !strings.Contains(err.Error(), "append-only") {
				t.Errorf("%s: got error %v", statement, err)
			}
		}
		equal(t, "actor", entries(t, db)[0].Actor, string(anna))
	})
}

// When the ledger does not take the entry, the act did not happen.
func TestActsFailWithTheLedger(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		issued := issue(t, db, request(t, anna, "iPhone"))
		pending := reserve(t, db, request(t, anna, "iPad"))
		fresh := request(t, "bob", "iPhone")
		account := portal.Account{Person: portal.Person{ID: "p1", Login: "carol", UPN: "carol@corp.example"}}
		before := portal.Account{Person: portal.Person{ID: "p0", Login: "dora", UPN: "dora@corp.example"}}
		if err := db.AddAccount(ctx, before, entry(audit.AccountAdded, "p0")); err != nil {
			t.Fatal(err)
		}
		if _, err := db.plain.Exec("ALTER TABLE ledger RENAME TO elsewhere"); err != nil {
			t.Fatal(err)
		}
		renewal := issued.again(t).reservation
		acts := map[string]error{
			"reserve":  db.Reserve(ctx, fresh.reservation),
			"again":    db.Reserve(ctx, renewal),
			"complete": db.Complete(ctx, pending.completion),
			"claim":    db.ClaimRead(ctx, issued.token, 1, entry(audit.PickupRead, anna)),
			"part":     db.NotePart(ctx, issued.token, noon, entry(audit.PickupRead, anna)),
			"change":   db.ChangeAccount(ctx, "p0", disable, entry(audit.AccountDisabled, "p0")),
			"account":  db.AddAccount(ctx, account, entry(audit.AccountAdded, "p1")),
			"note":     db.Note(ctx, entry(audit.SignedIn, anna)),
		}
		_, acts["revoke"] = db.Revoke(ctx, enroll.Revocation{
			Serials: []ca.Serial{issued.serial(), pending.serial()}, Cause: portal.Removed, At: noon, RemoveDevice: issued.device(),
		})
		for act, err := range acts {
			if err == nil {
				t.Errorf("%s succeeded without the ledger", act)
			}
		}
		if _, err := db.plain.Exec("ALTER TABLE elsewhere RENAME TO ledger"); err != nil {
			t.Fatal(err)
		}
		equal(t, "issued", newest(t, db, issued).Status, portal.Issued)
		equal(t, "pending", newest(t, db, pending).Status, portal.Pending)
		p := must[enroll.SealedPickup](t)(db.Pickup(ctx, issued.token))
		equal(t, "reads", p.Reads, 0)
		sameBytes(t, "key", p.Key, []byte("sealed key"))
		equal(t, "delivered", p.Device.Certificate.Delivered.IsZero(), true)
		equal(t, "disabled", must[portal.Account](t)(db.AccountByID(ctx, "p0")).Disabled, false)
		equal(t, "removed", p.Device.Removed.IsZero(), true)
		_, err := db.Device(ctx, "bob", fresh.device())
		wantError(t, "device of a failed reservation", err, portal.ErrNotFound)
		_, err = db.AccountByID(ctx, "p1")
		wantError(t, "account that was not added", err, portal.ErrNotFound)
		equal(t, "entries", len(entries(t, db)), 4)
		if err := db.ClaimRead(ctx, issued.token, 1, entry(audit.PickupRead, anna)); err != nil {
			t.Errorf("claiming the only read, which was not counted before: %v", err)
		}
	})
}

func TestKnows(t *testing.T) {
	created := func(fingerprint string) audit.Entry {
		return audit.Entry{At: noon, Action: audit.CACreated, Actor: "system", Role: "system",
			Detail: map[string]string{"root": "aa:aa", "issuing": fingerprint}}
	}
	other := entry(audit.SignedIn, anna)
	other.Detail = map[string]string{"issuing": "dd:dd"}
	without := created("")
	without.Detail = nil
	cases := []struct {
		name, fingerprint string
		want              bool
	}{
		{"first", "bb:bb", true}, {"second", "cc:cc", true}, {"unknown", "ee:ee", false},
		{"the root", "aa:aa", false}, {"of another action", "dd:dd", false}, {"a part", "bb", false}, {"empty", "", false},
	}
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		equal(t, "in an empty ledger", must[bool](t)(db.Knows(ctx, "bb:bb")), false)
		for _, e := range []audit.Entry{without, created("bb:bb"), other, created("cc:cc")} {
			if err := db.Note(ctx, e); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range cases {
			equal(t, c.name, must[bool](t)(db.Knows(ctx, c.fingerprint)), c.want)
		}
	})
}
