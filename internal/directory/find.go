package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"certportal/internal/portal"
)

// Match fulfils enroll.Directory.
func (b *Builtin) Match(ctx context.Context, claim portal.Claim) (portal.Person, error) {
	accounts, err := b.accounts.Accounts(ctx)
	if err != nil {
		return portal.Person{}, fmt.Errorf("listing accounts: %w", err)
	}
	for _, a := range accounts {
		sid, upn := claim.SID == a.SID, strings.EqualFold(claim.UPN, a.UPN)
		switch {
		case claim.SID != "" && claim.UPN != "" && sid && upn,
			claim.SID != "" && claim.UPN == "" && sid,
			claim.SID == "" && claim.UPN != "" && upn:
			return a.Person, nil
		}
	}
	return portal.Person{}, fmt.Errorf("matching claim: %w", portal.ErrNotFound)
}

// People reads somebody for each id, without those the directory does not know.
// Roles and groups are not read.
func (b *Builtin) People(ctx context.Context, ids []portal.PersonID) ([]portal.Person, error) {
	people := make([]portal.Person, 0, len(ids))
	for _, id := range ids {
		account, err := b.accounts.AccountByID(ctx, id)
		if errors.Is(err, portal.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading account: %w", err)
		}
		people = append(people, account.Person)
	}
	return people, nil
}

// Search finds people by the beginning of a name, login, UPN or address, every
// word of the query in one of them; at most limit, and whether there are more.
func (b *Builtin) Search(ctx context.Context, query string, limit int) (found []portal.Person, more bool, err error) {
	words := strings.Fields(spelled(query))
	if len(words) == 0 {
		return nil, false, nil
	}
	accounts, err := b.accounts.Accounts(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("listing accounts: %w", err)
	}
	for _, a := range accounts {
		if !matches(a.Person, words) {
			continue
		}
		if len(found) == limit {
			return found, true, nil
		}
		found = append(found, a.Person)
	}
	return found, false, nil
}

// matches reports whether every word begins one of the person's names.
func matches(p portal.Person, words []string) bool {
	names := append(strings.Fields(spelled(p.Name)), p.Login, spelled(p.UPN), spelled(p.Mail), spelled(p.EmployeeNumber))
	for _, word := range words {
		begins := false
		for _, name := range names {
			begins = begins || strings.HasPrefix(name, word)
		}
		if !begins {
			return false
		}
	}
	return true
}
