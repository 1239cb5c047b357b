package directory

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/text/unicode/norm"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

// Store holds the accounts of the built-in directory. Every change is one transaction
// together with its audit entry.
type Store interface {
	// AccountByLogin finds an account by canonical login name or by UPN in lower case.
	// It returns portal.ErrNotFound when there is none.
	AccountByLogin(ctx context.Context, login string) (portal.Account, error)
	// AccountByID returns portal.ErrNotFound when there is none.
	AccountByID(ctx context.Context, id portal.PersonID) (portal.Account, error)
	// Accounts lists all accounts by login.
	Accounts(ctx context.Context) ([]portal.Account, error)
	// AddAccount returns portal.ErrConflict when login, UPN or SID is taken.
	AddAccount(context.Context, portal.Account, audit.Entry) error
	// ChangeAccount changes an account inside its transaction. It returns
	// portal.ErrNotFound when there is none.
	ChangeAccount(context.Context, portal.PersonID, func(*portal.Account) error, audit.Entry) error
	// RemoveAccount returns portal.ErrNotFound when there is none.
	RemoveAccount(context.Context, portal.PersonID, audit.Entry) error
}

// Builtin is the built-in directory. It implements portal.Directory.
type Builtin struct {
	store  Store
	hasher *hasher

	// decoy returns the hash of a random password, checked for unknown login names. The
	// first sign-in computes it, so that starting the portal is not delayed.
	decoy func() (string, error)
}

// NewBuiltin returns the built-in directory over a store of accounts.
func NewBuiltin(store Store) (*Builtin, error) {
	if store == nil {
		return nil, errors.New("built-in directory: store is missing")
	}
	h := newHasher()
	return &Builtin{store: store, hasher: h, decoy: sync.OnceValues(func() (string, error) {
		return h.hash(context.Background(), rand.Text())
	})}, nil
}

// Authenticate implements portal.Directory. An unknown login name costs a password
// check like a known one.
func (b *Builtin) Authenticate(ctx context.Context, login, password string) (portal.Person, error) {
	account, err := b.store.AccountByLogin(ctx, canonicalLogin(login))
	known := err == nil
	if err != nil && !errors.Is(err, portal.ErrNotFound) {
		return portal.Person{}, fmt.Errorf("finding account: %w", err)
	}
	hash, err := b.decoy()
	if err != nil {
		return portal.Person{}, fmt.Errorf("preparing password check: %w", err)
	}
	if known {
		hash = account.PasswordHash
	}
	right, err := b.hasher.check(ctx, hash, password)
	if err != nil {
		return portal.Person{}, fmt.Errorf("checking password: %w", err)
	}
	if !known || !right {
		return portal.Person{ID: account.ID}, portal.ErrCredentials
	}
	if account.Disabled {
		return account.Person, &portal.Refusal{Reason: portal.Disabled}
	}
	return account.Person, nil
}

// Person implements portal.Directory.
func (b *Builtin) Person(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	account, err := b.store.AccountByID(ctx, id)
	if err != nil {
		return portal.Person{}, fmt.Errorf("reading account: %w", err)
	}
	return account.Person, nil
}

// Canonical implements portal.Directory. It returns the ID of the account with this name
// or UPN, or else "name " and the normalized name.
func (b *Builtin) Canonical(ctx context.Context, login string) (string, error) {
	login = canonicalLogin(login)
	account, err := b.store.AccountByLogin(ctx, login)
	if errors.Is(err, portal.ErrNotFound) {
		return "name " + login, nil
	}
	if err != nil {
		return "", fmt.Errorf("finding account: %w", err)
	}
	return string(account.ID), nil
}

// canonicalLogin trims a login name, drops the domain of "DOMAIN\name", and returns the
// rest in Unicode NFC and lower case.
func canonicalLogin(login string) string {
	login = norm.NFC.String(strings.ToValidUTF8(strings.TrimSpace(login), ""))
	if i := strings.LastIndexByte(login, '\\'); i >= 0 {
		login = login[i+1:]
	}
	return strings.ToLower(login)
}

// RequiresSID implements portal.Directory. A SID is optional here.
func (b *Builtin) RequiresSID() bool { return false }

// Accounts lists all accounts by login.
func (b *Builtin) Accounts(ctx context.Context) ([]portal.Account, error) {
	return b.store.Accounts(ctx)
}
