package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/store/sqldb"
)

const accountColumns = `a.id, a.login, a.upn, a.sid, a.mail, a.name, a.given_name, a.roles, a.disabled, a.may_enroll,
	a.password_hash`

// accountByID finds one account by its id ($1).
const accountByID = `SELECT ` + accountColumns + ` FROM accounts a WHERE a.id = $1`

// AccountByLogin finds an account of the built-in directory by its login or its UPN,
// in any case of letters. The error wraps portal.ErrNotFound when there is none.
func (db BuiltInAccounts) AccountByLogin(ctx context.Context, login string) (portal.Account, error) {
	if !sqldb.Storable(login) {
		return portal.Account{}, fmt.Errorf("finding account: %w", portal.ErrNotFound)
	}
	// The error does not contain the name: people type passwords here.
	return db.account(ctx, `SELECT `+accountColumns+` FROM accounts a
		JOIN account_names n ON n.account = a.id WHERE n.name_key = $1`, strings.ToLower(login))
}

// AccountByID finds an account. The error wraps portal.ErrNotFound when there is
// none.
func (db BuiltInAccounts) AccountByID(ctx context.Context, id portal.PersonID) (portal.Account, error) {
	if !sqldb.Storable(string(id)) {
		return portal.Account{}, fmt.Errorf("finding account: %w", portal.ErrNotFound)
	}
	return db.account(ctx, accountByID, string(id))
}

func (db BuiltInAccounts) account(ctx context.Context, query, key string) (portal.Account, error) {
	account, err := scanAccount(func(into ...any) error { return db.One(ctx, query, []any{key}, into...) })
	if err != nil {
		return portal.Account{}, fmt.Errorf("finding account: %w", err)
	}
	return account, nil
}

// Accounts lists all accounts by login.
func (db BuiltInAccounts) Accounts(ctx context.Context) ([]portal.Account, error) {
	var accounts []portal.Account
	err := db.All(ctx, `SELECT `+accountColumns+` FROM accounts a ORDER BY a.login, a.id`, nil,
		func(rows *sql.Rows) error {
			account, err := scanAccount(rows.Scan)
			accounts = append(accounts, account)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("listing accounts: %w", err)
	}
	return accounts, nil
}

func scanAccount(scan func(into ...any) error) (portal.Account, error) {
	var a portal.Account
	var sid sql.NullString
	var roles string
	err := scan(&a.ID, &a.Login, &a.UPN, &sid, &a.Mail, &a.Name, &a.GivenName, &roles, &a.Disabled, &a.MayEnroll,
		&a.PasswordHash)
	if err != nil {
		return portal.Account{}, err
	}
	a.SID = sid.String
	if err := json.Unmarshal([]byte(roles), &a.Roles); err != nil {
		return portal.Account{}, fmt.Errorf("reading roles of %s: %w", a.ID, err)
	}
	return a, nil
}

// AddAccount records a new account. portal.ErrConflict says that its id, login, UPN
// or SID is taken; a login may not be another account's UPN either.
func (db BuiltInAccounts) AddAccount(ctx context.Context, a portal.Account, entry audit.Entry) error {
	return db.write(ctx, "adding account "+a.Login, func(ctx context.Context, t *tx) error {
		args, err := accountArgs(a)
		if err != nil {
			return err
		}
		_, err = t.Exec(ctx, `INSERT INTO accounts
			(id, login, upn, sid, mail, name, given_name, roles, disabled, may_enroll, password_hash)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`, args...)
		if err != nil {
			return err
		}
		if err := t.insertNames(ctx, a); err != nil {
			return err
		}
		return t.append(ctx, entry)
	})
}

// ChangeAccount changes the current state of an account under its lock: of two
// changes at the same time neither undoes the other. change gets the account and
// sets what is to be new; its id stays. It is called again when the transaction is
// repeated, and should be quick, because it holds SQLite's only write lock. An error
// of change is returned and nothing is changed. portal.ErrNotFound says that there
// is no such account, portal.ErrConflict that the new login, UPN or SID is taken.
func (db BuiltInAccounts) ChangeAccount(ctx context.Context, id portal.PersonID, change func(*portal.Account) error, entry audit.Entry) error {
	if !sqldb.Storable(string(id)) {
		return fmt.Errorf("changing account: %w", portal.ErrNotFound)
	}
	return db.write(ctx, "changing account "+string(id), func(ctx context.Context, t *tx) error {
		account, err := t.lockAccount(ctx, id)
		if err != nil {
			return err
		}
		if err := change(&account); err != nil {
			return err
		}
		account.ID = id
		if err := t.replaceAccount(ctx, account); err != nil {
			return err
		}
		return t.append(ctx, entry)
	})
}

// lockAccount reads an account and keeps others from changing it until the
// transaction ends.
func (t *tx) lockAccount(ctx context.Context, id portal.PersonID) (portal.Account, error) {
	if _, err := t.Exec(ctx, "UPDATE accounts SET login = login WHERE id = $1", string(id)); err != nil {
		return portal.Account{}, fmt.Errorf("locking account: %w", err)
	}
	return scanAccount(func(into ...any) error {
		return t.One(ctx, accountByID, []any{string(id)}, into...)
	})
}

// replaceAccount writes every column of an account but its id.
func (t *tx) replaceAccount(ctx context.Context, a portal.Account) error {
	args, err := accountArgs(a)
	if err != nil {
		return err
	}
	_, err = t.Exec(ctx, `UPDATE accounts SET login = $2, upn = $3, sid = $4, mail = $5, name = $6,
		given_name = $7, roles = $8, disabled = $9, may_enroll = $10, password_hash = $11 WHERE id = $1`, args...)
	if err != nil {
		return err
	}
	if _, err := t.Exec(ctx, "DELETE FROM account_names WHERE account = $1", string(a.ID)); err != nil {
		return err
	}
	return t.insertNames(ctx, a)
}

// RemoveAccount deletes an account. Its devices and certificates stay: revoking them
// is a separate act. portal.ErrNotFound says that there is none.
func (db BuiltInAccounts) RemoveAccount(ctx context.Context, id portal.PersonID, entry audit.Entry) error {
	return db.write(ctx, "removing account "+string(id), func(ctx context.Context, t *tx) error {
		touched, err := t.Exec(ctx, "DELETE FROM accounts WHERE id = $1", string(id))
		if err != nil {
			return err
		}
		if touched == 0 {
			return portal.ErrNotFound
		}
		return t.append(ctx, entry)
	})
}

// insertNames records the names under which the account signs in, each once.
func (t *tx) insertNames(ctx context.Context, a portal.Account) error {
	names := []string{strings.ToLower(a.Login), strings.ToLower(a.UPN)}
	for _, name := range slices.Compact(names) {
		if name == "" {
			continue
		}
		_, err := t.Exec(ctx, "INSERT INTO account_names (name_key, account) VALUES ($1, $2)", name, string(a.ID))
		if err != nil {
			return fmt.Errorf("taking name %s: %w", name, err)
		}
	}
	return nil
}

func accountArgs(a portal.Account) ([]any, error) {
	roles, err := json.Marshal(a.Roles)
	if err != nil {
		return nil, fmt.Errorf("writing roles: %w", err)
	}
	return []any{string(a.ID), a.Login, a.UPN, sqldb.Optional(a.SID), a.Mail, a.Name, a.GivenName, string(roles),
		a.Disabled, a.MayEnroll, a.PasswordHash}, nil
}
