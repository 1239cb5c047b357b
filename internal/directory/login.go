package directory

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
	"golang.org/x/text/unicode/norm"

	"certportal/internal/portal"
)

// maxLogin bounds what is typed as a login name, in bytes.
const maxLogin = 256

// spelling is a typed login name, taken apart. It asks for names with an
// equality each: nothing typed becomes part of a filter's structure, and a SID or
// a DN is just a name that nobody has.
type spelling struct {
	key   string // the same for all spellings of one unknown name
	names []clause
	mails []clause // second choice: an address is easier to take than a name
}

// clause is one equality to search for.
type clause struct {
	attribute, value string
	binary           bool // value is bytes and no text
}

func (c clause) filter() string {
	if c.binary {
		return "(" + c.attribute + "=" + filterBytes([]byte(c.value)) + ")"
	}
	return "(" + c.attribute + "=" + ldap.EscapeFilter(c.value) + ")"
}

// holds reports whether the entry carries the value. Servers compare more
// loosely than fold, and may lie.
func (c clause) holds(e entry) bool {
	for _, value := range e.bytes(c.attribute) {
		if c.binary && string(value) == c.value {
			return true
		}
		if !c.binary && utf8.Valid(value) && fold(string(value)) == fold(c.value) {
			return true
		}
	}
	return false
}

func anyFilter(clauses []clause) string {
	var filter strings.Builder
	filter.WriteString("(|")
	for _, c := range clauses {
		filter.WriteString(c.filter())
	}
	filter.WriteString(")")
	return filter.String()
}

// speller knows how people write their names here.
type speller struct {
	a       Attributes
	domain  string // may be empty with PlainLDAP
	netbios string // may be empty with PlainLDAP
	byMail  bool
}

// spell takes a typed name apart. It gives no clauses for what can be nobody's
// name.
func (s speller) spell(typed string) spelling {
	if len(typed) > maxLogin {
		return unspeakable(typed)
	}
	name := norm.NFC.String(strings.TrimSpace(strings.ToValidUTF8(typed, "\uFFFD")))
	if name == "" || len(name) > maxLogin || strings.ContainsFunc(name, unreadable) {
		return unspeakable(fold(name))
	}
	if prefix, login, found := strings.Cut(name, `\`); found {
		login = strings.TrimSpace(login)
		if !s.isDomain(strings.TrimSpace(prefix)) || login == "" || strings.ContainsAny(login, `\@`) {
			return spelling{key: fold(name)}
		}
		return s.bare(login)
	}
	at := strings.LastIndexByte(name, '@')
	if at < 0 {
		return s.bare(name)
	}
	local, suffix := strings.TrimSpace(name[:at]), strings.TrimSpace(name[at+1:])
	if local == "" || suffix == "" {
		return spelling{key: fold(name)}
	}
	return s.full(local, suffix)
}

// unspeakable is what can be nobody's name. Its key does not show it: it may be a
// password in the wrong field.
func unspeakable(typed string) spelling {
	return spelling{key: fmt.Sprintf("#%x", sha256.Sum256([]byte(typed)))}
}

func (s speller) bare(login string) spelling {
	key := fold(login)
	if s.domain != "" {
		key += "@" + fold(s.domain)
	}
	return spelling{key: key, names: []clause{{attribute: s.a.Login, value: login}}}
}

// full spells name@suffix. With a suffix of this domain it may be the account
// name too, which is how Active Directory understands it.
func (s speller) full(local, suffix string) spelling {
	name := local + "@" + suffix
	sp := spelling{key: fold(name)}
	if s.isDomain(suffix) {
		sp = s.bare(local)
	}
	sp.names = append(sp.names, clause{attribute: s.a.UPN, value: name})
	if s.byMail {
		sp.mails = []clause{{attribute: s.a.Mail, value: name}}
	}
	return sp
}

func (s speller) isDomain(name string) bool {
	return name != "" && (fold(name) == fold(s.domain) || fold(name) == fold(s.netbios))
}

func unreadable(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == utf8.RuneError
}

// found is the one entry of a login name, at the server that knew it.
type found struct {
	server *server
	id     portal.PersonID
	dn     string
	sid    []byte // nil where the directory has none
}

// errNobody says that a login name is nobody's, or more than one person's.
var errNobody = errors.New("nobody has this login name")

// find looks for the one person of a spelling. It asks nothing for what can be
// nobody's name; server is nil then.
func (l *LDAP) find(ctx context.Context, sp spelling) (found, error) {
	if len(sp.names) == 0 {
		return found{}, errNobody
	}
	facts, err := l.facts(ctx)
	if err != nil {
		return found{}, err
	}
	q := query{
		base: facts.base, scope: ldap.ScopeWholeSubtree, limit: 10,
		filter:     "(&" + l.d.a.PersonFilter + anyFilter(slices.Concat(sp.names, sp.mails)) + ")",
		attributes: l.nameAttributes(),
	}
	var entries []entry
	s, err := l.read(ctx, l.people, func(ctx context.Context, k *link) (err error) {
		entries, err = k.search(ctx, q)
		return err
	})
	if errors.Is(err, errCut) {
		l.c.Log.Warn("a login name belongs to many entries: nobody signs in with it")
		return found{server: s}, errNobody
	}
	if err != nil {
		return found{}, fmt.Errorf("looking for a login name: %w", err)
	}
	return l.pick(s, sp, entries)
}

// nameAttributes are those by which somebody is known.
func (l *LDAP) nameAttributes() []string {
	names := []string{attrClass, l.d.a.ID, l.d.a.Login, l.d.a.UPN, l.d.a.Mail}
	if l.d.a.SID != "" {
		names = append(names, l.d.a.SID)
	}
	return names
}

// pick takes the one entry that carries what was typed. An address counts only
// where it is nobody's name: else whoever may write an address could keep others
// from signing in.
func (l *LDAP) pick(s *server, sp spelling, entries []entry) (found, error) {
	for _, clauses := range [][]clause{sp.names, sp.mails} {
		var carriers []entry
		for _, e := range entries {
			if l.d.isPerson(e) && carries(e, clauses) {
				carriers = append(carriers, e)
			}
		}
		switch len(carriers) {
		case 0:
			continue
		case 1:
			return l.identify(s, carriers[0])
		}
		l.c.Log.Warn("a login name belongs to several entries: nobody signs in with it",
			"one", carriers[0].DN, "another", carriers[1].DN)
		break
	}
	return found{server: s}, errNobody
}

func (l *LDAP) identify(s *server, e entry) (found, error) {
	id, err := l.d.id(e)
	if err != nil || l.c.Kind == PlainLDAP {
		return found{server: s, id: id, dn: e.DN}, err
	}
	sid, err := e.one(l.d.a.SID)
	return found{server: s, id: id, dn: e.DN, sid: sid}, err
}

func carries(e entry, clauses []clause) bool {
	for _, c := range clauses {
		if c.holds(e) {
			return true
		}
	}
	return false
}
