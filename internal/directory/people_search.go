package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
	"golang.org/x/text/unicode/norm"

	"certportal/internal/portal"
)

// Limits of a search for people.
const (
	maxQuery = 256 // bytes
	maxWords = 6
	maxFound = 100
)

// Search finds people by prefixes: every word must begin a name, login, UPN, mail address
// or employee number. It returns at most limit people (100), sorted by name, and whether
// there are more. Words are escaped: wildcards in them have no effect. The people have
// no groups, roles and conflicts; disabled accounts are included. Entries that cannot be
// read are a *portal.UnreadableError next to the other people.
func (l *LDAP) Search(ctx context.Context, typed string, limit int) (people []portal.Person, more bool, err error) {
	words, ok := searchWords(typed)
	if !ok {
		return nil, false, nil
	}
	if limit <= 0 || limit > maxFound {
		limit = maxFound
	}
	ctx, cancel := l.withTimeout(ctx)
	defer cancel()
	root, err := l.rootDSE(ctx)
	if err != nil {
		return nil, false, err
	}
	var entries []entry
	_, err = l.read(ctx, l.people, func(ctx context.Context, conn *connection) (err error) {
		entries, err = conn.search(ctx, query{
			base: root.base, scope: ldap.ScopeWholeSubtree, limit: limit, page: true,
			filter: l.searchFilter(words), attributes: l.personAttributes(),
		})
		return err
	})
	more = errors.Is(err, errTruncated)
	if err != nil && !more {
		return nil, false, fmt.Errorf("searching people: %w", err)
	}
	unread := &unreadable{}
	for _, e := range entries {
		if !l.d.isPerson(e) {
			continue
		}
		p, err := l.d.person(e)
		if err != nil {
			unread.add(l.d.partial(e), err)
			continue
		}
		people = append(people, p)
	}
	slices.SortStableFunc(people, func(a, b portal.Person) int { return cmp.Compare(fold(a.Name), fold(b.Name)) })
	return people, more, unread.err("searching people")
}

// searchWords splits a query into words; ok is false for a query that cannot match.
func searchWords(typed string) (words []string, ok bool) {
	if len(typed) > maxQuery || !utf8.ValidString(typed) || strings.ContainsFunc(strings.TrimSpace(typed), isInvisible) {
		return nil, false
	}
	words = strings.Fields(norm.NFC.String(typed))
	return words, len(words) > 0 && len(words) <= maxWords
}

// searchFilter requires every word to be a prefix of one of the names.
func (l *LDAP) searchFilter(words []string) string {
	attributes := []string{l.d.a.Name, "cn", attrSurname, l.d.a.GivenName, l.d.a.Login, l.d.a.UPN, l.d.a.Mail, l.d.a.EmployeeNumber}
	if l.c.Kind == ActiveDirectory {
		attributes = append(attributes, attrEmployeeID)
	}
	slices.Sort(attributes)
	attributes = slices.Compact(attributes)
	var filter strings.Builder
	filter.WriteString("(&" + l.d.a.PersonFilter)
	for _, word := range words {
		filter.WriteString("(|")
		for _, attribute := range attributes {
			filter.WriteString("(" + attribute + "=" + ldap.EscapeFilter(word) + "*)")
		}
		filter.WriteString(")")
	}
	filter.WriteString(")")
	return filter.String()
}
