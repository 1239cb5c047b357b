package store_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/portal"
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
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		a := account("p1", "anna", "Anna@corp.example", "S-1-5-21-1-2-3-1001")
		if err := db.AddAccount(ctx, a, entry(audit.AccountAdded, "p1")); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"anna", "ANNA", "anna@corp.example", "Anna@corp.example"} {
			got := must[portal.Account](t)(db.AccountByLogin(ctx, name))
			equal(t, name, got.ID, a.ID)
			equal(t, "UPN", got.UPN, a.UPN)
			equal(t, "SID", got.SID, a.SID)
			equal(t, "roles", len(got.Roles), 2)
			equal(t, "may enrol", got.MayEnroll, true)
			equal(t, "disabled", got.Disabled, false)
			equal(t, "hash", got.PasswordHash, a.PasswordHash)
		}
		err := db.ChangeAccount(ctx, "p1", func(a *portal.Account) error {
			equal(t, "account to change", a.UPN, "Anna@corp.example")
			a.ID, a.Disabled, a.SID, a.Roles, a.Login = "p2", true, "", nil, "anna2"
			return nil
		}, entry(audit.AccountDisabled, "p1"))
		if err != nil {
			t.Fatal(err)
		}
		got := must[portal.Account](t)(db.AccountByID(ctx, "p1"))
		equal(t, "disabled", got.Disabled, true)
		equal(t, "SID", got.SID, "")
		equal(t, "roles", len(got.Roles), 0)
		_, err = db.AccountByLogin(ctx, "anna")
		wantError(t, "old login", err, portal.ErrNotFound)
		if err := db.RemoveAccount(ctx, "p1", entry(audit.AccountRemoved, "p1")); err != nil {
			t.Fatal(err)
		}
		equal(t, "left", len(must[[]portal.Account](t)(db.Accounts(ctx))), 0)
		_, err = db.AccountByLogin(ctx, "anna2")
		wantError(t, "removed account", err, portal.ErrNotFound)
		equal(t, "ledger", actions(entries(t, db)), "[account.added account.disabled account.removed]")
	})
}

func TestUnknownAccounts(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
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
		equal(t, "entries", len(entries(t, db)), 0)
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
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		first := account("p1", "anna", "anna@corp.example", "S-1-5-21-1-2-3-1001")
		if err := db.AddAccount(ctx, first, entry(audit.AccountAdded, "p1")); err != nil {
			t.Fatal(err)
		}
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				err := db.AddAccount(ctx, c.account, entry(audit.AccountAdded, c.account.ID))
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
		equal(t, "UPN", must[portal.Account](t)(db.AccountByLogin(ctx, "b")).UPN, "b@corp.example")
	})
}

func disable(a *portal.Account) error {
	a.Disabled = true
	return nil
}

func TestRefusedChangeChangesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		if err := db.AddAccount(ctx, account("p1", "anna", "anna@corp.example", ""), entry(audit.AccountAdded, "p1")); err != nil {
			t.Fatal(err)
		}
		refused := errors.New("password is too short")
		err := db.ChangeAccount(ctx, "p1", func(a *portal.Account) error {
			a.Disabled = true
			return refused
		}, entry(audit.AccountDisabled, "p1"))
		wantError(t, "refused change", err, refused)
		equal(t, "disabled", must[portal.Account](t)(db.AccountByID(ctx, "p1")).Disabled, false)
		equal(t, "ledger", actions(entries(t, db)), "[account.added]")
	})
}

// A disabled account stays disabled when its password is set at the same time:
// each change sees what the others did.
func TestParallelChangesDoNotUndoEachOther(t *testing.T) {
	const changers, rounds = 4, 5
	onBoth(t, func(t *testing.T, db *fixture) {
		ctx := t.Context()
		if err := db.AddAccount(ctx, account("p1", "anna", "anna@corp.example", ""), entry(audit.AccountAdded, "p1")); err != nil {
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
					}, entry(audit.AccountPassword, "p1"))
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		waiting.Wait()
		got := must[portal.Account](t)(db.AccountByID(ctx, "p1"))
		equal(t, "name", got.Name, "Anna Example"+strings.Repeat("+", changers*rounds))
		equal(t, "entries", len(entries(t, db)), 1+changers*rounds)
	})
}
