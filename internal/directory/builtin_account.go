package directory

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/signin"
)

// NewAccount describes an account to add.
type NewAccount struct {
	Login     string // a-z 0-9 . _ -
	UPN       string
	Name      string // default: the login
	GivenName string
	Mail      string
	SID       string
	Roles     []portal.Role
	Password  string // at least MinPassword characters
}

// MinPassword is the shortest password of the built-in directory, in characters;
// the longest has signin.MaxCredential bytes.
const MinPassword = 10

// Add creates an account. It returns a *portal.Refusal with AccountFormat that names
// the malformed field, and portal.ErrConflict when login, UPN or SID is taken.
func (b *Builtin) Add(ctx context.Context, n NewAccount, entry audit.Entry) (portal.Person, error) {
	n.Login = canonicalLogin(n.Login)
	n.Name = strings.TrimSpace(n.Name)
	if n.Name == "" {
		n.Name = n.Login
	}
	if err := n.check(); err != nil {
		return portal.Person{}, err
	}
	hash, err := b.hasher.hash(ctx, n.Password)
	if err != nil {
		return portal.Person{}, err
	}
	p := portal.Person{
		ID: portal.PersonID(strings.ToLower(rand.Text())), Login: n.Login, UPN: n.UPN, SID: n.SID,
		Mail: n.Mail, Name: n.Name, GivenName: n.GivenName, Roles: n.Roles, MayEnroll: true,
	}
	entry.Action, entry.Person, entry.Object = audit.AccountAdded, string(p.ID), n.Login
	return p, b.store.AddAccount(ctx, portal.Account{Person: p, PasswordHash: hash}, entry)
}

// SetPassword replaces the password of an account.
func (b *Builtin) SetPassword(ctx context.Context, login, password string, entry audit.Entry) error {
	if err := checkPassword(password); err != nil {
		return err
	}
	// Hashing is slow, so it happens before the transaction.
	hash, err := b.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	return b.change(ctx, login, audit.AccountPassword, entry, func(a *portal.Account) { a.PasswordHash = hash })
}

// SetDisabled disables or enables an account. Signed-in sessions of a disabled account
// cannot issue anything more.
func (b *Builtin) SetDisabled(ctx context.Context, login string, disabled bool, entry audit.Entry) error {
	action := audit.AccountEnabled
	if disabled {
		action = audit.AccountDisabled
	}
	return b.change(ctx, login, action, entry, func(a *portal.Account) { a.Disabled = disabled })
}

// Remove deletes an account. Its devices and certificates stay on record.
func (b *Builtin) Remove(ctx context.Context, login string, entry audit.Entry) error {
	account, err := b.store.AccountByLogin(ctx, canonicalLogin(login))
	if err != nil {
		return fmt.Errorf("finding account %q: %w", login, err)
	}
	entry.Action, entry.Person, entry.Object = audit.AccountRemoved, string(account.ID), account.Login
	return b.store.RemoveAccount(ctx, account.ID, entry)
}

func (b *Builtin) change(ctx context.Context, login string, action audit.Action, entry audit.Entry, how func(*portal.Account)) error {
	account, err := b.store.AccountByLogin(ctx, canonicalLogin(login))
	if err != nil {
		return fmt.Errorf("finding account %q: %w", login, err)
	}
	entry.Action, entry.Person, entry.Object = action, string(account.ID), account.Login
	return b.store.ChangeAccount(ctx, account.ID, func(a *portal.Account) error {
		how(a)
		return nil
	}, entry)
}

// check returns a Refusal for the first malformed field. UPN, mail and SID must be
// valid in a certificate: checking them here avoids a failure at the first enrolment.
func (n NewAccount) check() error {
	login := regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	if !login.MatchString(n.Login) {
		return malformed("login", n.Login)
	}
	var bad *ca.SubjectError
	if errors.As(ca.Subject{UPN: n.UPN, Mail: n.Mail, SID: n.SID}.Validate(), &bad) {
		return malformed(bad.Field, map[string]string{"upn": n.UPN, "mail": n.Mail, "sid": n.SID}[bad.Field])
	}
	if strings.ContainsFunc(n.Name+n.GivenName, unicode.IsControl) {
		return malformed("name", n.Name)
	}
	for _, r := range n.Roles {
		if _, ok := portal.ParseRole(string(r)); !ok {
			return malformed("role", string(r))
		}
	}
	return checkPassword(n.Password)
}

func checkPassword(password string) error {
	if utf8.RuneCountInString(password) < MinPassword || len(password) > signin.MaxCredential || strings.TrimSpace(password) == "" {
		return &portal.Refusal{Reason: portal.AccountFormat, Field: "password", Limit: MinPassword}
	}
	return nil
}

func malformed(field, value string) error {
	return &portal.Refusal{Reason: portal.AccountFormat, Field: field, Value: value}
}
