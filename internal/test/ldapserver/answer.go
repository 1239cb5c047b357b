package ldapserver

import (
	"slices"
	"strings"
	"unicode/utf8"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// Entry is one entry of the directory. Values may be bytes.
type Entry struct {
	DN         string
	Attributes map[string][]string
}

// packet encodes the entry with the requested attributes.
func (e Entry) packet(wanted []string) *ber.Packet {
	packet := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "entry")
	packet.AppendChild(octets(e.DN, "objectName"))
	attributes := ber.NewSequence("attributes")
	for name, values := range e.Attributes {
		if !slices.ContainsFunc(wanted, func(w string) bool { return strings.EqualFold(w, name) }) {
			continue
		}
		attribute := ber.NewSequence("attribute")
		attribute.AppendChild(octets(name, "type"))
		set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "vals")
		for _, value := range values {
			set.AppendChild(octets(value, "value"))
		}
		attribute.AppendChild(set)
		attributes.AppendChild(attribute)
	}
	packet.AppendChild(attributes)
	return packet
}

// answer handles a request correctly.
func (c *Conn) answer(r Request) {
	switch r.Op {
	case Bind:
		c.answerBind(r)
	case Search:
		c.answerSearch(r)
	case StartTLS:
		c.Result(r, ldap.LDAPResultSuccess, "")
		c.raise()
	case WhoAmI:
		identity := ""
		if c.bound != "" {
			identity = "dn:" + c.bound
		}
		c.Identity(r, identity)
	default:
		c.Result(r, ldap.LDAPResultUnwillingToPerform, "")
	}
}

// answerBind checks the password. Like real servers it accepts an empty password as
// anonymous (RFC 4513 section 5.1.2).
func (c *Conn) answerBind(r Request) {
	s := c.server
	s.mu.Lock()
	password, known := s.passwords[strings.ToLower(r.Name)]
	refusal := s.refusals[strings.ToLower(r.Name)]
	s.mu.Unlock()
	c.bound = ""
	switch {
	case refusal.code != 0:
		c.Result(r, refusal.code, refusal.text)
	case r.Password == "":
		c.Result(r, ldap.LDAPResultSuccess, "")
	case known && password == r.Password:
		c.bound = r.Name
		c.Result(r, ldap.LDAPResultSuccess, "")
	default:
		c.Result(r, ldap.LDAPResultInvalidCredentials, Subcode("52e"))
	}
}

// Subcode returns the text of a bind refused by Active Directory with a sub-code.
func Subcode(code string) string {
	return "80090308: LdapErr: DSID-0C090569, comment: AcceptSecurityContext error, data " + code + ", v4563\x00"
}

func (c *Conn) answerSearch(r Request) {
	found, known := c.server.find(r)
	if !known {
		c.Result(r, ldap.LDAPResultNoSuchObject, "")
		return
	}
	for _, e := range found {
		if e.DN == "" {
			e = c.rootDSE(e)
		}
		c.Entry(r, e)
	}
	c.Result(r, ldap.LDAPResultSuccess, "")
}

// rootDSE adds the SID of the bound account, as Active Directory does.
func (c *Conn) rootDSE(e Entry) Entry {
	attributes := map[string][]string{}
	for name, values := range e.Attributes {
		attributes[name] = values
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	for _, other := range c.server.entries {
		if c.bound != "" && strings.EqualFold(other.DN, c.bound) && len(other.Attributes["objectSid"]) > 0 {
			attributes["tokenGroups"] = other.Attributes["objectSid"]
		}
	}
	return Entry{Attributes: attributes}
}

// find returns the entries of a search; known is false when the base does not exist.
func (s *Server) find(r Request) (found []Entry, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known = r.Name == ""
	for _, e := range s.entries {
		at, below := position(e, r.Name)
		known = known || at
		inside := at || (below && r.Scope == ldap.ScopeWholeSubtree) || (below && r.Scope == ldap.ScopeSingleLevel)
		if r.Scope == ldap.ScopeBaseObject {
			inside = at
		}
		if inside && matches(e, r.Node) && (e.DN != "" || r.Scope == ldap.ScopeBaseObject) {
			found = append(found, e)
		}
	}
	return found, known
}

// position reports whether an entry is the base or below it. Like Active Directory it
// accepts <GUID=…> as a base.
func position(e Entry, base string) (at, below bool) {
	if guid, found := strings.CutPrefix(base, "<GUID="); found {
		ids := e.Attributes["objectGUID"]
		return len(ids) > 0 && guidText(ids[0])+">" == guid, false
	}
	dn, base := strings.ToLower(e.DN), strings.ToLower(base)
	return dn == base, base == "" || strings.HasSuffix(dn, ","+base)
}

// matches evaluates a filter (RFC 4511 section 4.5.1.7).
func matches(e Entry, node *ber.Packet) bool {
	switch node.Tag {
	case ldap.FilterAnd:
		return !slices.ContainsFunc(node.Children, func(n *ber.Packet) bool { return !matches(e, n) })
	case ldap.FilterOr:
		return slices.ContainsFunc(node.Children, func(n *ber.Packet) bool { return matches(e, n) })
	case ldap.FilterNot:
		return !matches(e, node.Children[0])
	case ldap.FilterPresent:
		return strings.EqualFold(node.Data.String(), "objectClass") || len(values(e, node.Data.String())) > 0
	case ldap.FilterEqualityMatch:
		want := text(node.Children[1])
		return slices.ContainsFunc(values(e, text(node.Children[0])), func(v string) bool { return same(v, want) })
	case ldap.FilterSubstrings:
		want := strings.ToLower(node.Children[1].Children[0].Data.String())
		return slices.ContainsFunc(values(e, text(node.Children[0])), func(v string) bool {
			return strings.HasPrefix(strings.ToLower(v), want)
		})
	}
	return false
}

// same compares bytes exactly, and text without case.
func same(a, b string) bool {
	return a == b || (utf8.ValidString(a) && utf8.ValidString(b) && strings.EqualFold(a, b))
}

func values(e Entry, name string) []string {
	for known, values := range e.Attributes {
		if strings.EqualFold(known, name) {
			return values
		}
	}
	return nil
}
