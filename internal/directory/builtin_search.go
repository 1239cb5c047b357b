package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"certportal/internal/portal"
)

// Match implements portal.Directory.
func (b *Builtin) Match(ctx context.Context, claim portal.Claim) (portal.Person, error) {
	accounts, err := b.store.Accounts(ctx)
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

// People returns the person of each known ID and leaves out unknown IDs. It does not
// read roles and groups.
func (b *Builtin) People(ctx context.Context, ids []portal.PersonID) ([]portal.Person, error) {
	people := make([]portal.Person, 0, len(ids))
	for _, id := range ids {
		account, err := b.store.AccountByID(ctx, id)
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

// Protected returns no people: the built-in directory has no groups.
func (b *Builtin) Protected(context.Context) (map[portal.PersonID]bool, error) { return nil, nil }

// RoleGroups lists the accounts that hold each role.
func (b *Builtin) RoleGroups(ctx context.Context, limit int) ([]portal.RoleGroup, error) {
	accounts, err := b.store.Accounts(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing accounts: %w", err)
	}
	slices.SortStableFunc(accounts, func(a, b portal.Account) int { return cmp.Compare(portal.Fold(a.Name), portal.Fold(b.Name)) })
	var groups []portal.RoleGroup
	for _, role := range []portal.Role{portal.Helpdesk, portal.Auditor, portal.Admin} {
		g := portal.RoleGroup{Role: role}
		for _, a := range accounts {
			if g.More = len(g.People) == limit && a.Has(role); g.More {
				break
			}
			if a.Has(role) {
				g.People = append(g.People, a.Person)
			}
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// UPNOwners returns the accounts that sign in with the UPNs.
func (b *Builtin) UPNOwners(ctx context.Context, upns []string) (map[string][]portal.PersonID, error) {
	owners := make(map[string][]portal.PersonID)
	for _, upn := range upns {
		account, err := b.store.AccountByLogin(ctx, canonicalLogin(upn))
		if errors.Is(err, portal.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading account: %w", err)
		}
		owners[upn] = []portal.PersonID{account.ID}
	}
	return owners, nil
}

// Search finds people by prefixes: every word of the query must begin a name, login,
// UPN, mail address or employee number. It returns at most limit people, and whether
// there are more.
func (b *Builtin) Search(ctx context.Context, query string, limit int) (found []portal.Person, more bool, err error) {
	words := strings.Fields(canonicalLogin(query))
	if len(words) == 0 {
		return nil, false, nil
	}
	accounts, err := b.store.Accounts(ctx)
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

// matches reports whether every word is a prefix of one of the person's names.
func matches(p portal.Person, words []string) bool {
	names := append(strings.Fields(canonicalLogin(p.Name)), p.Login, canonicalLogin(p.UPN), canonicalLogin(p.Mail), canonicalLogin(p.EmployeeNumber))
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
