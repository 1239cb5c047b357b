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

// Accounts is where the built-in directory keeps its people. Every change is one
// transaction with its ledger entry.
type Accounts interface {
	// AccountByLogin finds by canonical login name or by UPN in lower case, or
	// returns enroll.ErrNotFound.
	AccountByLogin(ctx context.Context, login string) (portal.Account, error)
	// AccountByID returns enroll.ErrNotFound when there is none.
	AccountByID(ctx context.Context, id portal.PersonID) (portal.Account, error)
	// Accounts lists everybody by login.
	Accounts(ctx context.Context) ([]portal.Account, error)
	// AddAccount returns enroll.ErrConflict when login, UPN or SID is taken.
	AddAccount(context.Context, portal.Account, audit.Entry) error
	// ChangeAccount changes an account inside its transaction. It returns
	// enroll.ErrNotFound when there is none.
	ChangeAccount(context.Context, portal.PersonID, func(*portal.Account) error, audit.Entry) error
	// RemoveAccount returns enroll.ErrNotFound when there is none.
	RemoveAccount(context.Context, portal.PersonID, audit.Entry) error
}

// Builtin is the built-in directory. It fulfils enroll.Directory.
type Builtin struct {
	accounts Accounts
	hasher   *hasher

	// decoy gives the hash of a password nobody has, for names nobody has. It is
	// made by the first who signs in, known or not: at start it would only cost
	// time.
	decoy func() (string, error)
}

// NewBuiltin opens the built-in directory over its accounts.
func NewBuiltin(accounts Accounts) (*Builtin, error) {
	if accounts == nil {
		return nil, errors.New("built-in directory: accounts are missing")
	}
	h := newHasher()
	return &Builtin{accounts: accounts, hasher: h, decoy: sync.OnceValues(func() (string, error) {
		return h.hash(context.Background(), rand.Text())
	})}, nil
}

// Authenticate fulfils enroll.Directory. Unknown names cost a password check
// like known ones.
func (b *Builtin) Authenticate(ctx context.Context, login, password string) (portal.Person, error) {
	account, err := b.accounts.AccountByLogin(ctx, spelled(login))
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

// Person fulfils enroll.Directory.
func (b *Builtin) Person(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	account, err := b.accounts.AccountByID(ctx, id)
	if err != nil {
		return portal.Person{}, fmt.Errorf("reading account: %w", err)
	}
	return account.Person, nil
}

// Canonical fulfils enroll.Directory: the login of the account that the name or
// UPN belongs to, else the name as spelled.
func (b *Builtin) Canonical(ctx context.Context, login string) (string, error) {
	login = spelled(login)
	account, err := b.accounts.AccountByLogin(ctx, login)
	if errors.Is(err, portal.ErrNotFound) {
		return login, nil
	}
	if err != nil {
		return "", fmt.Errorf("finding account: %w", err)
	}
	return account.Login, nil
}

// spelled is a name without spaces around it, in lower case, composed;
// "DOMAIN\name" is name.
func spelled(login string) string {
	login = norm.NFC.String(strings.ToValidUTF8(strings.TrimSpace(login), ""))
	if i := strings.LastIndexByte(login, '\\'); i >= 0 {
		login = login[i+1:]
	}
	return strings.ToLower(login)
}

// RequiresSID fulfils enroll.Directory. People here may carry a SID.
func (b *Builtin) RequiresSID() bool { return false }

// Accounts lists everybody by login.
func (b *Builtin) Accounts(ctx context.Context) ([]portal.Account, error) {
	return b.accounts.Accounts(ctx)
}
