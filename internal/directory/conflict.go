package directory

import (
	"context"
	"slices"
	"strings"
	"unicode"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

// maxNamesakes bounds the others with somebody's names. One is too many already.
const maxNamesakes = 20

// conflicts looks for everybody whose names could be taken for this person's, or
// the other way round (attack A5): in the whole forest where there is a global
// catalog, else in the domain, not only below the base. A search that is cut or
// fails is an error and not "no conflict".
//
// Both sides of a conflict are refused. Whoever may write a UPN can thereby keep
// others from enrolling, which is noticed, and no more than that.
func (l *LDAP) conflicts(ctx context.Context, own entry, p *portal.Person) error {
	facts, err := l.facts(ctx)
	if err != nil {
		return err
	}
	n := l.namesOf(*p, facts)
	if len(n.clauses()) == 0 {
		return nil
	}
	q := query{
		base: facts.domain, scope: ldap.ScopeWholeSubtree, filter: anyFilter(n.clauses()), limit: maxNamesakes,
		attributes: []string{l.d.a.ID, l.d.a.Login, l.d.a.UPN, l.d.a.Mail},
	}
	switch {
	case l.c.Kind == PlainLDAP:
		q.base = facts.base
	case len(l.c.GlobalCatalog) > 0:
		q.base = "" // all domains (MS-ADTS 3.1.1.3.1.1.8)
	}
	if l.c.Kind == ActiveDirectory {
		q.attributes = append(q.attributes, attrProxies)
	}
	var entries []entry
	_, err = l.read(ctx, l.forest, func(ctx context.Context, k *link) (err error) {
		entries, err = k.search(ctx, q)
		return err
	})
	if err != nil {
		return err
	}
	p.Conflict = n.form()
	for _, e := range entries {
		if !l.isSame(e, own) {
			n.judge(e, contains(facts.headOrBase(), e.DN), p)
		}
	}
	return nil
}

// isSame reports whether two entries are one. Things other than people may have
// no id that can be read.
func (l *LDAP) isSame(e, own entry) bool {
	id, err := l.d.id(e)
	ownID, ownErr := l.d.id(own)
	if err == nil && ownErr == nil {
		return id == ownID
	}
	return strings.EqualFold(e.DN, own.DN)
}

// names are one person's, as others could carry them.
type names struct {
	a        Attributes
	ad       bool
	upn      string
	mail     string
	locals   []string // accounts of this domain that the UPN could mean
	implicit []string // UPNs that the login name could mean
	suffixes []string // that a UPN may have; none: any
}

func (l *LDAP) namesOf(p portal.Person, facts facts) names {
	n := names{a: l.d.a, ad: l.c.Kind == ActiveDirectory, upn: p.UPN, mail: p.Mail, suffixes: l.c.UPNSuffixes}
	domains := slices.DeleteFunc([]string{l.c.Domain, facts.netbios}, func(s string) bool { return s == "" })
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
		// A KDC appends the $ of a computer when it finds no such account.
		for _, name := range slices.Clone(n.locals) {
			n.locals = append(n.locals, name+"$")
		}
	}
	return n
}

// clauses ask for each name as it is and without what a server may overlook:
// Active Directory ignores accents and width itself, others need both spellings.
func (n names) clauses() []clause {
	var clauses []clause
	add := func(attribute string, values ...string) {
		for _, value := range values {
			c := clause{attribute: attribute, value: value}
			if value != "" && !slices.Contains(clauses, c) {
				clauses = append(clauses, c)
			}
		}
	}
	for _, upn := range append([]string{n.upn}, n.implicit...) {
		add(n.a.UPN, upn, skeleton(upn))
	}
	for _, login := range n.locals {
		add(n.a.Login, login, skeleton(login))
	}
	add(n.a.Mail, n.mail)
	if n.ad && n.mail != "" {
		add(attrProxies, "smtp:"+n.mail)
	}
	return clauses
}

// judge says what another entry with one of the names means. An account of
// another domain may well be called like this one's.
func (n names) judge(e entry, sameDomain bool, p *portal.Person) {
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
		// the namesake in another domain
	default:
		// The server saw a likeness that is not seen here: it may see it again when
		// it maps a certificate.
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
	mail := skeleton(n.mail)
	if mail == "" {
		return false
	}
	for _, value := range e.bytes(n.a.Mail) {
		if skeleton(string(value)) == mail {
			return true
		}
	}
	for _, value := range e.bytes(attrProxies) {
		if skeleton(string(value)) == "smtp:"+mail {
			return true
		}
	}
	return false
}

// form judges the UPN by itself. No UPN is no conflict; there is nothing to issue
// either.
func (n names) form() portal.Conflict {
	if n.upn == "" {
		return ""
	}
	local, suffix, found := strings.Cut(n.upn, "@")
	if !found || local == "" || suffix == "" || strings.Contains(suffix, "@") ||
		strings.ContainsFunc(n.upn, func(r rune) bool { return unreadable(r) || unicode.IsSpace(r) }) {
		return portal.UPNForm
	}
	if len(n.suffixes) > 0 && !slices.ContainsFunc(n.suffixes, func(s string) bool { return fold(s) == fold(suffix) }) {
		return portal.UPNSuffix
	}
	return ""
}
