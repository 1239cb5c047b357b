package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

// loginEntry is the entry of a login name, and the server that returned it.
type loginEntry struct {
	server *server
	id     portal.PersonID
	dn     string
	sid    []byte // nil when the directory has none
}

// errUnknownLogin reports that a login name belongs to no person, or to several.
var errUnknownLogin = errors.New("no person has this login name")

// find finds the one person with a login name. For input that cannot be a login name it
// sends no request, and the result has no server.
func (l *LDAP) find(ctx context.Context, sp loginName) (loginEntry, error) {
	if len(sp.names) == 0 {
		return loginEntry{}, errUnknownLogin
	}
	root, err := l.rootDSE(ctx)
	if err != nil {
		return loginEntry{}, err
	}
	q := query{
		base: root.base, scope: ldap.ScopeWholeSubtree, limit: 10,
		filter:     "(&" + l.d.a.PersonFilter + anyFilter(slices.Concat(sp.names, sp.mails)) + ")",
		attributes: l.nameAttributes(),
	}
	entries, s, err := l.searchPeople(ctx, q)
	if errors.Is(err, errTruncated) && len(sp.mails) > 0 {
		// So many entries share the address. That must not hide the account of this name.
		q.filter, sp.mails = "(&"+l.d.a.PersonFilter+anyFilter(sp.names)+")", nil
		entries, s, err = l.searchPeople(ctx, q)
	}
	if errors.Is(err, errTruncated) {
		l.c.Log.Warn("login name matches too many entries: sign-in refused")
		return loginEntry{server: s}, errUnknownLogin
	}
	if err != nil {
		return loginEntry{}, fmt.Errorf("looking for a login name: %w", err)
	}
	return l.pick(s, sp, entries)
}

func (l *LDAP) searchPeople(ctx context.Context, q query) (entries []entry, s *server, err error) {
	s, err = l.read(ctx, l.people, func(ctx context.Context, conn *connection) (err error) {
		entries, err = conn.search(ctx, q)
		return err
	})
	return entries, s, err
}

// nameAttributes returns the attributes that identify a person.
func (l *LDAP) nameAttributes() []string {
	names := []string{attrClass, l.d.a.ID, l.d.a.Login, l.d.a.UPN, l.d.a.Mail}
	if l.d.a.SID != "" {
		names = append(names, l.d.a.SID)
	}
	return names
}

// pick returns the only entry that has the login name. A mail address counts only when it
// is not also a name of an account: otherwise a person who may edit an address could
// keep others from signing in.
func (l *LDAP) pick(s *server, sp loginName, entries []entry) (loginEntry, error) {
	for _, matches := range [][]attributeMatch{sp.names, sp.mails} {
		var candidates []entry
		for _, e := range entries {
			if l.d.isPerson(e) && hasAny(e, matches) {
				candidates = append(candidates, e)
			}
		}
		switch len(candidates) {
		case 0:
			continue
		case 1:
			return l.identify(s, candidates[0])
		}
		l.c.Log.Warn("login name matches several entries: sign-in refused",
			"one", candidates[0].DN, "another", candidates[1].DN)
		break
	}
	return loginEntry{server: s}, errUnknownLogin
}

func (l *LDAP) identify(s *server, e entry) (loginEntry, error) {
	user, err := loginEntry{server: s, dn: e.DN}, error(nil)
	if user.id, err = l.d.id(e); err == nil && l.c.Kind == ActiveDirectory {
		user.sid, err = e.one(l.d.a.SID)
	}
	if err != nil {
		// Another answer than for an unknown name would say, without a password, that the
		// account exists.
		l.c.Log.Error("account cannot be read: sign-in refused", "err", err)
		return loginEntry{server: s}, errUnknownLogin
	}
	return user, nil
}

func hasAny(e entry, matches []attributeMatch) bool {
	for _, c := range matches {
		if c.matches(e) {
			return true
		}
	}
	return false
}
