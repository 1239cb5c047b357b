package directory_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/store"
)

const password = "correct horse"

func newBuiltin(t *testing.T) *directory.Builtin {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{URL: filepath.Join(t.TempDir(), "portal.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	b, err := directory.NewBuiltin(db)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func entry() audit.Entry { return audit.Entry{At: time.Now(), Actor: "test"} }

func anna() directory.NewAccount {
	return directory.NewAccount{
		Login: "Anna", UPN: "Anna@corp.example", Name: "Anna Schmidt", Mail: "anna@corp.example",
		SID: "S-1-5-21-1004336348-1177238915-682003330-1101", Password: password, Roles: []portal.Role{portal.Helpdesk},
	}
}

func TestOneAccountUnderAllSpellings(t *testing.T) {
	b := newBuiltin(t)
	added, err := b.Add(t.Context(), anna(), entry())
	if err != nil {
		t.Fatal(err)
	}
	for _, login := range []string{"anna", "ANNA", " anna ", `CORP\anna`, "anna@corp.example", "ANNA@CORP.EXAMPLE"} {
		p, err := b.Authenticate(t.Context(), login, password)
		if err != nil || p.ID != added.ID {
			t.Errorf("%q: %q, %v, want %q", login, p.ID, err, added.ID)
		}
	}
	if !added.Has(portal.Helpdesk) || added.Has(portal.Admin) || !added.Has(portal.Employee) {
		t.Errorf("roles %v, want helpdesk", added.Roles)
	}
}

func TestAddRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*directory.NewAccount)
		field  string
	}{
		{"login with a space", func(a *directory.NewAccount) { a.Login = "an na" }, "login"},
		{"no login", func(a *directory.NewAccount) { a.Login = "" }, "login"},
		{"UPN without suffix", func(a *directory.NewAccount) { a.UPN = "anna@" }, "upn"},
		{"UPN with two @", func(a *directory.NewAccount) { a.UPN = "a@b@c" }, "upn"},
		{"UPN with a line", func(a *directory.NewAccount) { a.UPN = "a\n@b" }, "upn"},
		{"SID of a builtin group", func(a *directory.NewAccount) { a.SID = "S-1-5-32-544" }, "sid"},
		{"SID with a leading zero", func(a *directory.NewAccount) { a.SID = "S-1-5-21-01-2-3" }, "sid"},
		{"mail with a name", func(a *directory.NewAccount) { a.Mail = "Anna <anna@corp.example>" }, "mail"},
		{"name with a control", func(a *directory.NewAccount) { a.Name = "An\x07na" }, "name"},
		{"unknown role", func(a *directory.NewAccount) { a.Roles = []portal.Role{"root"} }, "role"},
		{"short password", func(a *directory.NewAccount) { a.Password = "short" }, "password"},
		{"endless password", func(a *directory.NewAccount) { a.Password = strings.Repeat("x", 1025) }, "password"},
		{"blank password", func(a *directory.NewAccount) { a.Password = strings.Repeat(" ", 20) }, "password"},
	}
	b := newBuiltin(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := anna()
			tt.change(&a)
			_, err := b.Add(t.Context(), a, entry())
			var refusal *portal.Refusal
			if !errors.As(err, &refusal) || refusal.Field != tt.field {
				t.Errorf("Add: %v, want a refusal of %s", err, tt.field)
			}
		})
	}
}

func TestA5_NoTwoPeopleShareAnIdentity(t *testing.T) {
	tests := []struct {
		name   string
		change func(*directory.NewAccount)
	}{
		{"login", func(a *directory.NewAccount) { a.UPN, a.SID = "b@corp.example", "" }},
		{"UPN in other case", func(a *directory.NewAccount) { a.Login, a.UPN, a.SID = "b", "ANNA@corp.EXAMPLE", "" }},
		{"SID", func(a *directory.NewAccount) { a.Login, a.UPN = "b", "b@corp.example" }},
	}
	b := newBuiltin(t)
	if _, err := b.Add(t.Context(), anna(), entry()); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := anna()
			tt.change(&a)
			if _, err := b.Add(t.Context(), a, entry()); !errors.Is(err, portal.ErrConflict) {
				t.Errorf("Add: %v, want ErrConflict", err)
			}
		})
	}
}

func TestChangesTakeEffect(t *testing.T) {
	b, ctx := newBuiltin(t), t.Context()
	p, err := b.Add(ctx, anna(), entry())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.SetPassword(ctx, "anna", "another horse", entry()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Authenticate(ctx, "anna", password); !errors.Is(err, portal.ErrCredentials) {
		t.Errorf("the old password: %v, want ErrCredentials", err)
	}
	if err := b.SetDisabled(ctx, "anna", true, entry()); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Person(ctx, p.ID); err != nil || !got.Disabled {
		t.Errorf("Person = %+v, %v, want it disabled", got, err)
	}
	if err := b.SetDisabled(ctx, "anna", false, entry()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Authenticate(ctx, "anna", "another horse"); err != nil {
		t.Errorf("enabled again: %v", err)
	}
	if err := b.Remove(ctx, "anna", entry()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Person(ctx, p.ID); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("Person after Remove: %v, want ErrNotFound", err)
	}
	for _, err := range []error{
		b.Remove(ctx, "anna", entry()), b.SetDisabled(ctx, "anna", true, entry()), b.SetPassword(ctx, "anna", password, entry()),
	} {
		if !errors.Is(err, portal.ErrNotFound) {
			t.Errorf("change of nobody: %v, want ErrNotFound", err)
		}
	}
}
