package directory

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

// maxNamesakes limits the search for entries with the same names. One is too many
// already.
const maxNamesakes = 20

// conflicts sets p.Conflict when another entry has a name that could be mistaken for
// one of this person's (attack A5). It searches the whole forest when a global catalog
// is configured, else the whole domain, not only below the base. A failed search is an
// error, never "no conflict". Too many entries with the UPN or login are a conflict; too
// many with the mail address mean that it is shared.
//
// Both people in a conflict are refused. An account with the right to write a UPN can
// therefore keep another person from enrolling, which is noticed, but not impersonate
// that person.
func (l *LDAP) conflicts(ctx context.Context, own entry, p *portal.Person) error {
	root, err := l.rootDSE(ctx)
	if err != nil {
		return err
	}
	n := l.namesOf(*p, own, root)
	p.Conflict = n.checkForm()
	entries, err := l.namesakes(ctx, root, slices.Concat(n.matches(), n.mailMatches()))
	if errors.Is(err, errTruncated) {
		// Ask per kind of name, because too many means another thing for each.
		if entries, err = l.namesakes(ctx, root, n.matches()); errors.Is(err, errTruncated) {
			p.Conflict = portal.UPNTaken
			return nil
		}
		if err == nil {
			p.MailShared, err = l.mailShared(ctx, root, n, own)
		}
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !l.isSame(e, own) {
			n.classify(e, contains(root.accountRoot(), e.DN), p)
		}
	}
	return nil
}

// mailShared reports whether other entries have the person's address. A reception desk's
// is in hundreds of entries, so too many to list is an answer.
func (l *LDAP) mailShared(ctx context.Context, root rootDSE, n names, own entry) (bool, error) {
	entries, err := l.namesakes(ctx, root, n.mailMatches())
	if errors.Is(err, errTruncated) {
		return true, nil
	}
	return slices.ContainsFunc(entries, func(e entry) bool { return !l.isSame(e, own) }), err
}

// namesakes finds the entries with one of the names.
func (l *LDAP) namesakes(ctx context.Context, root rootDSE, matches []attributeMatch) (entries []entry, err error) {
	if len(matches) == 0 {
		return nil, nil
	}
	q := query{
		base: root.domain, scope: ldap.ScopeWholeSubtree, filter: anyFilter(matches), limit: maxNamesakes,
		attributes: []string{l.d.a.ID, l.d.a.Login, l.d.a.UPN, l.d.a.Mail},
	}
	switch {
	case l.c.Kind == PlainLDAP:
		q.base = root.base
	case len(l.c.GlobalCatalog) > 0:
		q.base = "" // all domains (MS-ADTS 3.1.1.3.1.1.8)
	}
	if l.c.Kind == ActiveDirectory {
		q.attributes = append(q.attributes, attrProxies)
	}
	_, err = l.read(ctx, l.forest, func(ctx context.Context, conn *connection) (err error) {
		entries, err = conn.search(ctx, q)
		return err
	})
	return entries, err
}

// isSame reports whether two entries are the same object. Objects other than people may
// have no readable ID, so it falls back to the DN.
func (l *LDAP) isSame(e, own entry) bool {
	id, err := l.d.id(e)
	ownID, ownErr := l.d.id(own)
	if err == nil && ownErr == nil {
		return id == ownID
	}
	return strings.EqualFold(e.DN, own.DN)
}

// names are the names of one person, in the forms in which other entries could have them.
type names struct {
	a        Attributes
	ad       bool
	upn      string
	mails    []string // the address as the entry has it, and as a certificate would
	locals   []string // login names in this domain that the UPN could refer to
	implicit []string // UPNs that the login name could refer to
	suffixes []string // allowed UPN suffixes; empty allows any
}

func (l *LDAP) namesOf(p portal.Person, own entry, root rootDSE) names {
	n := names{a: l.d.a, ad: l.c.Kind == ActiveDirectory, upn: p.UPN, suffixes: l.c.UPNSuffixes}
	for _, mail := range []string{own.first(l.d.a.Mail), p.Mail} {
		if mail != "" && !slices.Contains(n.mails, mail) {
			n.mails = append(n.mails, mail)
		}
	}
	domains := slices.DeleteFunc([]string{l.c.Domain, root.netbios}, func(s string) bool { return s == "" })
	for _, domain := range domains {
		n.implicit = append(n.implicit, p.Login+"@"+domain)
	}
	if p.UPN == "" {
		return n
	}
	local, suffix, _ := strings.Cut(p.UPN, "@")
	n.locals = []string{p.UPN}
	if suffix == "" || slices.ContainsFunc(domains, func(d string) bool { return skeleton(d) == skeleton(suffix) }) {
		n.locals = append(n.locals, local)
	}
	if n.ad {
		// A KDC appends the $ of a computer account when the name is not found. It finds the
		// local part when that is the person's own login.
		for _, name := range slices.Clone(n.locals) {
			if name == p.UPN || fold(name) != fold(p.Login) {
				n.locals = append(n.locals, name+"$")
			}
		}
	}
	return n
}

// matches returns a match for each UPN and login as written and for its skeleton. Active Directory
// ignores accents and width when it compares; other servers need both spellings.
func (n names) matches() []attributeMatch {
	var matches []attributeMatch
	add := func(attribute string, values ...string) {
		for _, value := range values {
			c := attributeMatch{attribute: attribute, value: value}
			if value != "" && !slices.Contains(matches, c) {
				matches = append(matches, c)
			}
		}
	}
	for _, upn := range append([]string{n.upn}, n.implicit...) {
		add(n.a.UPN, upn, skeleton(upn))
	}
	for _, login := range n.locals {
		add(n.a.Login, login, skeleton(login))
	}
	return matches
}

// mailMatches returns a match for each form of the address.
func (n names) mailMatches() (matches []attributeMatch) {
	for _, mail := range n.mails {
		matches = append(matches, attributeMatch{attribute: n.a.Mail, value: mail})
		if n.ad {
			matches = append(matches, attributeMatch{attribute: attrProxies, value: "smtp:" + mail})
		}
	}
	return matches
}

// classify records in p what another entry with one of the names means. A login name
// may be the same in another domain.
func (n names) classify(e entry, sameDomain bool, p *portal.Person) {
	login := skeleton(e.first(n.a.Login))
	isLogin := login != "" && slices.ContainsFunc(n.locals, func(s string) bool {
		return skeleton(s) == login && (sameDomain || strings.Contains(s, "@"))
	})
	switch {
	case n.hasUPN(e):
		p.Conflict = portal.UPNTaken
	case isLogin:
		if p.Conflict != portal.UPNTaken {
			p.Conflict = portal.UPNIsLogin
		}
	case n.hasMail(e):
		p.MailShared = true
	case login != "" && !sameDomain && slices.ContainsFunc(n.locals, func(s string) bool { return skeleton(s) == login }):
		// the same login name in another domain is no conflict
	default:
		// The server considers the names equal although classify does not: it may do the
		// same when it maps a certificate to an account.
		p.Conflict = portal.UPNTaken
	}
}

func (n names) hasUPN(e entry) bool {
	for _, value := range e.bytes(n.a.UPN) {
		theirs := skeleton(string(value))
		for _, upn := range append([]string{n.upn}, n.implicit...) {
			if upn != "" && theirs == skeleton(upn) {
				return true
			}
		}
	}
	return false
}

func (n names) hasMail(e entry) bool {
	for _, value := range slices.Concat(e.bytes(n.a.Mail), e.bytes(attrProxies)) {
		theirs := strings.TrimPrefix(skeleton(string(value)), "smtp:")
		if slices.ContainsFunc(n.mails, func(mail string) bool { return strings.TrimPrefix(skeleton(mail), "smtp:") == theirs }) {
			return true
		}
	}
	return false
}

// checkForm checks the form and suffix of the UPN. A missing UPN is no conflict;
// without one nothing is issued either.
func (n names) checkForm() portal.Conflict {
	if n.upn == "" {
		return ""
	}
	local, suffix, found := strings.Cut(n.upn, "@")
	if !found || local == "" || suffix == "" || strings.Contains(suffix, "@") ||
		strings.ContainsFunc(n.upn, func(r rune) bool { return isInvisible(r) || unicode.IsSpace(r) }) {
		return portal.UPNForm
	}
	if len(n.suffixes) > 0 && !slices.ContainsFunc(n.suffixes, func(s string) bool { return fold(s) == fold(suffix) }) {
		return portal.UPNSuffix
	}
	return ""
}
