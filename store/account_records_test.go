package store_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

func account(id portal.PersonID, login, upn, sid string) portal.Account {
	return portal.Account{
		Person: portal.Person{
			ID: id, Login: login, UPN: upn, SID: sid, Mail: upn, Name: "Anna Example", GivenName: "Anna",
			Roles: []portal.Role{portal.Helpdesk, portal.Admin}, MayEnroll: true,
		},
		PasswordHash: "$argon2id$v=19$m=65536,t=1,p=2$c2FsdA$aGFzaA",
	}
}

func TestAccounts(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		a := account("p1", "anna", "Anna@corp.example", "S-1-5-21-1-2-3-1001")
		if err := db.AddAccount(ctx, a, fixture.NewEntry(testkit.Noon, audit.AccountAdded, "p1")); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"anna", "ANNA", "anna@corp.example", "Anna@corp.example"} {
			got := testkit.Must(db.AccountByLogin(ctx, name))(t)
			testkit.Equal(t, name, got.ID, a.ID)
			testkit.Equal(t, "UPN", got.UPN, a.UPN)
			testkit.Equal(t, "SID", got.SID, a.SID)
			testkit.Equal(t, "roles", len(got.Roles), 2)
			testkit.Equal(t, "may enrol", got.MayEnroll, true)
			testkit.Equal(t, "disabled", got.Disabled, false)
			testkit.Equal(t, "hash", got.PasswordHash, a.PasswordHash)
		}
		err := db.ChangeAccount(ctx, "p1", func(a *portal.Account) error {
			testkit.Equal(t, "account to change", a.UPN, "Anna@corp.example")
			a.ID, a.Disabled, a.SID, a.Roles, a.Login = "p2", true, "", nil, "anna2"
			return nil
		}, fixture.NewEntry(testkit.Noon, audit.AccountDisabled, "p1"))
		if err != nil {
			t.Fatal(err)
		}
		got := testkit.Must(db.AccountByID(ctx, "p1"))(t)
		testkit.Equal(t, "disabled", got.Disabled, true)
		testkit.Equal(t, "SID", got.SID, "")
		testkit.Equal(t, "roles", len(got.Roles), 0)
		_, err = db.AccountByLogin(ctx, "anna")
		wantError(t, "old login", err, portal.ErrNotFound)
		if err := db.RemoveAccount(ctx, "p1", fixture.NewEntry(testkit.Noon, audit.AccountRemoved, "p1")); err != nil {
			t.Fatal(err)
		}
		testkit.Equal(t, "left", len(testkit.Must(db.Accounts(ctx))(t)), 0)
		_, err = db.AccountByLogin(ctx, "anna2")
		wantError(t, "removed account", err, portal.ErrNotFound)
		testkit.Equal(t, "audit log", actions(fixture.Entries(t, db)), "[account.added account.disabled account.removed]")
	})
}

func TestUnknownAccounts(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		for _, name := range []string{"", "nobody", "a\x00b", "a\xffb", "%", "' OR 1=1 --"} {
			_, err := db.AccountByLogin(ctx, name)
			wantError(t, "login", err, portal.ErrNotFound)
			_, err = db.AccountByID(ctx, portal.PersonID(name))
			wantError(t, "id", err, portal.ErrNotFound)
			err = db.ChangeAccount(ctx, portal.PersonID(name), disable, audit.Entry{})
			wantError(t, "change", err, portal.ErrNotFound)
			_, err = db.Device(ctx, portal.PersonID(name), portal.DeviceID(name))
			wantError(t, "device", err, portal.ErrNotFound)
			_, err = db.Attempted(ctx, portal.PersonID(name), name)
			wantError(t, "attempt", err, portal.ErrNotFound)
		}
		wantError(t, "remove", db.RemoveAccount(ctx, "p9", audit.Entry{}), portal.ErrNotFound)
		testkit.Equal(t, "entries", len(fixture.Entries(t, db)), 0)
	})
}

func TestA5_IdentitiesAreUnique(t *testing.T) {
	cases := []struct {
		name    string
		account portal.Account
		taken   bool
	}{
		{"same id", account("p1", "b", "b@corp.example", ""), true},
		{"same login", account("p2", "ANNA", "b@corp.example", ""), true},
		{"same UPN", account("p3", "b", "ANNA@corp.example", ""), true},
		{"same SID", account("p4", "b", "b@corp.example", "S-1-5-21-1-2-3-1001"), true},
		{"login is a UPN", account("p5", "anna@corp.example", "b@corp.example", ""), true},
		{"UPN is a login", account("p6", "b", "anna", ""), true},
		{"other", account("p7", "b", "b@corp.example", ""), false},
		{"other without SID", account("p8", "c", "c@corp.example", ""), false},
		{"login is the own UPN", account("p9", "d@corp.example", "d@corp.example", ""), false},
	}
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		first := account("p1", "anna", "anna@corp.example", "S-1-5-21-1-2-3-1001")
		if err := db.AddAccount(ctx, first, fixture.NewEntry(testkit.Noon, audit.AccountAdded, "p1")); err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				err := db.AddAccount(ctx, c.account, fixture.NewEntry(testkit.Noon, audit.AccountAdded, c.account.ID))
				if c.taken {
					wantError(t, "adding", err, portal.ErrConflict)
				}
				if !c.taken && err != nil {
					t.Error(err)
				}
			})
		}
		steal := func(a *portal.Account) error {
			a.UPN = "anna@corp.example"
			return nil
		}
		wantError(t, "changing the UPN", db.ChangeAccount(ctx, "p7", steal, audit.Entry{}), portal.ErrConflict)
		testkit.Equal(t, "UPN", testkit.Must(db.AccountByLogin(ctx, "b"))(t).UPN, "b@corp.example")
	})
}

func disable(a *portal.Account) error {
	a.Disabled = true
	return nil
}

func TestRefusedChangeChangesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		if err := db.AddAccount(ctx, account("p1", "anna", "anna@corp.example", ""), fixture.NewEntry(testkit.Noon, audit.AccountAdded, "p1")); err != nil {
			t.Fatal(err)
		}
		refused := errors.New("password is too short")
		err := db.ChangeAccount(ctx, "p1", func(a *portal.Account) error {
			a.Disabled = true
			return refused
		}, fixture.NewEntry(testkit.Noon, audit.AccountDisabled, "p1"))
		wantError(t, "refused change", err, refused)
		testkit.Equal(t, "disabled", testkit.Must(db.AccountByID(ctx, "p1"))(t).Disabled, false)
		testkit.Equal(t, "audit log", actions(fixture.Entries(t, db)), "[account.added]")
	})
}

// A disabled account stays disabled when its password is set at the same time:
// each change sees what the others did.
func TestParallelChangesDoNotUndoEachOther(t *testing.T) {
	const changers, rounds = 4, 5
	onBoth(t, func(t *testing.T, db *database) {
		ctx := t.Context()
		if err := db.AddAccount(ctx, account("p1", "anna", "anna@corp.example", ""), fixture.NewEntry(testkit.Noon, audit.AccountAdded, "p1")); err != nil {
			t.Fatal(err)
		}
		replica := opened(t, db.address)
		var waiting sync.WaitGroup
		for i := range changers {
			via := db.DB
			if i%2 == 1 {
				via = replica
			}
			waiting.Go(func() {
				for range rounds {
					err := via.ChangeAccount(ctx, "p1", func(a *portal.Account) error {
						a.Name += "+"
						return nil
					}, fixture.NewEntry(testkit.Noon, audit.AccountPassword, "p1"))
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		waiting.Wait()
		got := testkit.Must(db.AccountByID(ctx, "p1"))(t)
		testkit.Equal(t, "name", got.Name, "Anna Example"+strings.Repeat("+", changers*rounds))
		testkit.Equal(t, "entries", len(fixture.Entries(t, db)), 1+changers*rounds)
	})
}
