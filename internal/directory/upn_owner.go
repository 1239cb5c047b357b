package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

// upnsAtOnce is the number of UPNs per search.
const upnsAtOnce = 50

// UPNOwners returns the accounts that have the UPNs, by UPN as asked: in their attribute,
// or with Active Directory as login name in this domain, which a domain controller takes
// for the UPN that no account has. It searches the whole forest when a global catalog is
// configured, else the whole domain. An account without readable ID has an empty one.
func (l *LDAP) UPNOwners(ctx context.Context, upns []string) (map[string][]portal.PersonID, error) {
	owners := make(map[string][]portal.PersonID)
	for chunk := range slices.Chunk(upns, upnsAtOnce) {
		if err := l.addUPNOwners(ctx, chunk, owners); err != nil {
			return nil, fmt.Errorf("looking for the accounts of UPNs: %w", err)
		}
	}
	return owners, nil
}

func (l *LDAP) addUPNOwners(ctx context.Context, upns []string, owners map[string][]portal.PersonID) error {
	ctx, cancel := l.withTimeout(ctx)
	defer cancel()
	root, err := l.rootDSE(ctx)
	if err != nil {
		return err
	}
	var matches []attributeMatch
	for _, upn := range upns {
		matches = append(matches, attributeMatch{attribute: l.d.a.UPN, value: upn})
		if local, ok := l.impliedLogin(upn, root); ok {
			matches = append(matches, attributeMatch{attribute: l.d.a.Login, value: local})
		}
	}
	q := query{
		base: root.base, scope: ldap.ScopeWholeSubtree, filter: anyFilter(matches),
		attributes: []string{l.d.a.ID, l.d.a.Login, l.d.a.UPN},
	}
	if l.c.Kind == ActiveDirectory {
		q.base, q.filter = l.forestBase(root), "(&(objectClass=user)"+q.filter+")"
	}
	var entries []entry
	_, err = l.read(ctx, l.forest, func(ctx context.Context, conn *connection) (err error) {
		entries, err = conn.searchAll(ctx, q)
		return err
	})
	if err != nil {
		return err
	}
	for _, e := range entries {
		for _, upn := range upns {
			if l.answersTo(e, upn, root) {
				id, _ := l.d.id(e)
				owners[upn] = append(owners[upn], id)
			}
		}
	}
	return nil
}

// answersTo reports whether an entry has a UPN. Servers compare more loosely than fold,
// and their results are not trusted.
func (l *LDAP) answersTo(e entry, upn string, root rootDSE) bool {
	if (attributeMatch{attribute: l.d.a.UPN, value: upn}).matches(e) {
		return true
	}
	local, ok := l.impliedLogin(upn, root)
	return ok && contains(root.accountRoot(), e.DN) && attributeMatch{attribute: l.d.a.Login, value: local}.matches(e)
}

// impliedLogin returns the login name that a UPN stands for in this domain.
func (l *LDAP) impliedLogin(upn string, root rootDSE) (string, bool) {
	local, suffix, found := strings.Cut(upn, "@")
	domain := fold(suffix) == fold(l.c.Domain) || fold(suffix) == fold(root.netbios)
	return local, found && local != "" && suffix != "" && domain && l.c.Kind == ActiveDirectory
}

// forestBase is where to search all accounts of the forest, with the servers of l.forest.
func (l *LDAP) forestBase(root rootDSE) string {
	if len(l.c.GlobalCatalog) > 0 {
		return "" // all domains (MS-ADTS 3.1.1.3.1.1.8)
	}
	return root.domain
}
