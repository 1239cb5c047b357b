package directory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

// countPage is how many entries are read at once to count them.
const countPage = 500

// census counts the people below the base.
type census struct {
	people   int            // with a UPN
	suffixes map[string]int // by folded suffix
	unread   []string       // DNs of those whose state cannot be read
}

// checkCensus counts the people below the base by the suffix of their UPN, and those who
// cannot be read. One person who can be read does not show that most can.
func (l *LDAP) checkCensus(ctx context.Context, r *report, conn *connection, root rootDSE) {
	counted, err := l.count(ctx, conn, root)
	if err != nil {
		r.add("directory.upn_suffixes", portal.FindingWarning, "census-unread", "The people below %s cannot be counted: %v.", root.base, err)
		return
	}
	if n := len(counted.unread); n > 0 {
		r.add("directory.base", portal.FindingWarning, "census-partly", "%d of the people below %s cannot be read in full and get no certificate, such as %s. "+
			"Let the portal's account read them.", n, root.base, counted.unread[0])
	}
	if len(l.c.UPNSuffixes) == 0 {
		return
	}
	left, foreign := counted.foreign(l.c.UPNSuffixes)
	state := portal.FindingOK
	switch {
	case 2*left > counted.people:
		state = portal.FindingFailed
	case 10*left > counted.people:
		state = portal.FindingWarning
	}
	allowed, some := list(l.c.UPNSuffixes), counted.people-left
	if left == 0 {
		r.add("directory.upn_suffixes", state, "census-fine", "Certificates are issued to UPNs that end in %s: %d of %d people.", allowed, some, counted.people)
		return
	}
	if of := l.forestSuffixes(ctx, conn, root); len(of) > 0 {
		r.add("directory.upn_suffixes", state, "census-forest", "Certificates are issued to UPNs that end in %s: %d of %d people. %d people get none: their UPNs end in %s. "+
			"The forest has the suffixes %s (uPNSuffixes). Add a suffix to directory.upn_suffixes when it is of this organization.",
			allowed, some, counted.people, left, list(foreign), list(of))
		return
	}
	r.add("directory.upn_suffixes", state, "census-left", "Certificates are issued to UPNs that end in %s: %d of %d people. %d people get none: their UPNs end in %s. "+
		"Add a suffix to directory.upn_suffixes when it is of this organization.", allowed, some, counted.people, left, list(foreign))
}

// foreign returns how many people have another suffix, and at most five of these
// suffixes, the most common first.
func (c census) foreign(allowed []string) (left int, suffixes []string) {
	for suffix, n := range c.suffixes {
		if !slices.ContainsFunc(allowed, func(s string) bool { return fold(s) == suffix }) {
			left += n
			suffixes = append(suffixes, suffix)
		}
	}
	slices.Sort(suffixes)
	slices.SortStableFunc(suffixes, func(a, b string) int { return c.suffixes[b] - c.suffixes[a] })
	for i, suffix := range suffixes {
		suffixes[i] = fmt.Sprintf("%s (%d)", suffix, c.suffixes[suffix])
	}
	return left, suffixes[:min(5, len(suffixes))]
}

// count reads UPN and state of all people below the base, in pages (RFC 2696).
func (l *LDAP) count(ctx context.Context, conn *connection, root rootDSE) (census, error) {
	c := census{suffixes: map[string]int{}}
	attributes := []string{attrClass, l.d.a.Login, l.d.a.UPN}
	if l.c.Kind == ActiveDirectory {
		attributes = append(attributes, attrControl)
	}
	request := ldap.NewSearchRequest(root.base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false,
		l.d.a.PersonFilter, attributes, nil)
	err := conn.do(ctx, func(lc *ldap.Conn) error {
		result, err := lc.SearchWithPaging(request, countPage)
		if err != nil {
			return err
		}
		for _, e := range result.Entries {
			l.countEntry(&c, entry{e})
		}
		return nil
	})
	return c, err
}

func (l *LDAP) countEntry(c *census, e entry) {
	if !l.d.isPerson(e) {
		return
	}
	if _, present, err := e.number(attrControl); l.c.Kind == ActiveDirectory && (!present || err != nil) {
		c.unread = append(c.unread, e.DN)
	}
	if _, suffix, found := strings.Cut(e.first(l.d.a.UPN), "@"); found {
		c.people++
		c.suffixes[fold(suffix)]++
	}
}

// forestSuffixes returns the UPN suffixes of the forest that the settings do not have.
func (l *LDAP) forestSuffixes(ctx context.Context, conn *connection, root rootDSE) []string {
	if l.c.Kind != ActiveDirectory {
		return nil
	}
	entries, err := conn.search(ctx, query{base: "CN=Partitions," + root.config, filter: "(objectClass=*)", attributes: []string{"uPNSuffixes"}})
	if err != nil || len(entries) == 0 {
		return nil
	}
	found := map[string]bool{}
	for _, value := range entries[0].bytes("uPNSuffixes") {
		suffix := string(value)
		if !slices.ContainsFunc(l.c.UPNSuffixes, func(s string) bool { return fold(s) == fold(suffix) }) {
			found[suffix] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}
