package directory

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
	"golang.org/x/text/unicode/norm"
)

// maxLogin limits a login name, in bytes.
const maxLogin = 256

// loginName is a parsed login name. It is searched by equality matches only: the input
// never becomes part of a filter's structure, and a SID or a DN is just a name that no
// account has.
type loginName struct {
	key   string // equal for all spellings of one unknown name
	names []attributeMatch
	mails []attributeMatch // tried second, because an address is easier to take over than a name
}

// attributeMatch is one equality match of a filter.
type attributeMatch struct {
	attribute, value string
	binary           bool // value is bytes, not text
}

func (c attributeMatch) filter() string {
	if c.binary {
		return "(" + c.attribute + "=" + filterBytes([]byte(c.value)) + ")"
	}
	return "(" + c.attribute + "=" + ldap.EscapeFilter(c.value) + ")"
}

// matches reports whether the entry has the value. Servers compare more loosely than
// fold, and their results are not trusted.
func (c attributeMatch) matches(e entry) bool {
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

func anyFilter(matches []attributeMatch) string {
	var filter strings.Builder
	filter.WriteString("(|")
	for _, c := range matches {
		filter.WriteString(c.filter())
	}
	filter.WriteString(")")
	return filter.String()
}

// loginParser parses login names for one domain.
type loginParser struct {
	a       Attributes
	domain  string // may be empty with PlainLDAP
	netbios string // may be empty with PlainLDAP
	byMail  bool
}

// parse parses a login name. The result has no names when the input cannot be the name
// of an account.
func (s loginParser) parse(typed string) loginName {
	if len(typed) > maxLogin {
		return invalidLogin(typed)
	}
	name := norm.NFC.String(strings.TrimSpace(strings.ToValidUTF8(typed, "\uFFFD")))
	if name == "" || len(name) > maxLogin || strings.ContainsFunc(name, isInvisible) {
		return invalidLogin(fold(name))
	}
	if prefix, login, found := strings.Cut(name, `\`); found {
		login = strings.TrimSpace(login)
		if !s.isDomain(strings.TrimSpace(prefix)) || login == "" || strings.ContainsAny(login, `\@`) {
			return loginName{key: fold(name)}
		}
		return s.bare(login)
	}
	at := strings.LastIndexByte(name, '@')
	if at < 0 {
		return s.bare(name)
	}
	local, suffix := strings.TrimSpace(name[:at]), strings.TrimSpace(name[at+1:])
	if local == "" || suffix == "" {
		return loginName{key: fold(name)}
	}
	return s.full(local, suffix)
}

// invalidLogin is the result for input that cannot be a login name. Its key is a hash,
// because the input may be a password typed into the wrong field.
func invalidLogin(typed string) loginName {
	return loginName{key: fmt.Sprintf("#%x", sha256.Sum256([]byte(typed)))}
}

func (s loginParser) bare(login string) loginName {
	key := fold(login)
	if s.domain != "" {
		key += "@" + fold(s.domain)
	}
	return loginName{key: key, names: []attributeMatch{{attribute: s.a.Login, value: login}}}
}

// full parses local@suffix. With a suffix of this domain it may also be the account
// name, as in Active Directory.
func (s loginParser) full(local, suffix string) loginName {
	name := local + "@" + suffix
	sp := loginName{key: fold(name)}
	if s.isDomain(suffix) {
		sp = s.bare(local)
	}
	sp.names = append(sp.names, attributeMatch{attribute: s.a.UPN, value: name})
	if s.byMail {
		sp.mails = []attributeMatch{{attribute: s.a.Mail, value: name}}
	}
	return sp
}

func (s loginParser) isDomain(name string) bool {
	return name != "" && (fold(name) == fold(s.domain) || fold(name) == fold(s.netbios))
}

func isInvisible(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == utf8.RuneError
}
