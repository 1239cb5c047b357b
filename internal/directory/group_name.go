package directory

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

// groupForm is how a group is written in the settings.
type groupForm int

const (
	groupBySID  groupForm = iota // S-1-5-…: survives renaming and moving
	groupByDN                    // CN=Phones,OU=Groups,…
	groupByName                  // Phones: the login name in Active Directory, cn in plain LDAP
)

// formOf tells the forms apart. Active Directory allows no = in a login name.
func (c *LDAPConfig) formOf(group string) groupForm {
	switch {
	case c.Kind == ActiveDirectory && regexp.MustCompile(`^S-[0-9]`).MatchString(group):
		return groupBySID
	case strings.Contains(group, "="):
		return groupByDN
	}
	return groupByName
}

// checkGroup refuses what no group can be called.
func (c *LDAPConfig) checkGroup(group string) error {
	switch c.formOf(group) {
	case groupBySID:
		if _, err := parseSID(group); err != nil {
			return fmt.Errorf("group %q: write a whole SID, such as S-1-5-21-1004336348-1177238915-682003330-1601, as Get-ADGroup shows it, or the group's name", group)
		}
	case groupByDN:
		dn, err := ldap.ParseDN(group)
		if err != nil || len(dn.RDNs) == 0 {
			return fmt.Errorf("group %q: write a distinguished name, such as CN=Phones,OU=Groups,DC=corp,DC=example", group)
		}
		if len(dn.RDNs) == 1 {
			return fmt.Errorf("group %q is a part of a distinguished name: write all of it, in quotes: 'CN=Phones,OU=Groups,DC=corp,DC=example'", group)
		}
	case groupByName:
		if _, name, domain := strings.Cut(group, `\`); domain {
			return fmt.Errorf("group %q: write the name after the backslash, %s; a group of another domain by its SID", group, name)
		}
		// The characters that Active Directory refuses in a login name.
		if strings.TrimSpace(group) != group || group == "" || len(group) > 256 || strings.ContainsAny(group, "\"/[]:;|,+*?<>@\x00") {
			return fmt.Errorf("group %q: write its name, its distinguished name or its SID", group)
		}
	}
	return nil
}

// groupNameMatch is the attribute by which a group is found by name. In Active Directory
// that is the login name, which is unique in a domain: an account that may create groups in
// some part of it cannot take the name of another one, but that of a group which is gone
// (see knownGroup.pin). In plain LDAP it is cn, which is unique in one parent only.
func (l *LDAP) groupNameMatch(name string) attributeMatch {
	if l.c.Kind == ActiveDirectory {
		return attributeMatch{attribute: l.d.a.Login, value: name}
	}
	return attributeMatch{attribute: "cn", value: name}
}

// groupNameQuery finds groups by name. In plain LDAP only what has members is a group.
func (l *LDAP) groupNameQuery(ctx context.Context, name string) (query, error) {
	const loose = 20 // servers compare letters with accents as equal
	match := l.groupNameMatch(name)
	q := query{scope: ldap.ScopeWholeSubtree, limit: loose, attributes: []string{match.attribute}}
	if l.c.Kind == PlainLDAP {
		q.base, q.filter = l.c.GroupBase, "(&("+l.d.a.Member+"=*)"+match.filter()+")"
		return q, nil
	}
	root, err := l.rootDSE(ctx)
	q.base, q.filter = root.domain, "(&(objectClass=group)"+match.filter()+")"
	q.attributes = append(q.attributes, l.d.a.SID)
	return q, err
}

// noGroup says that no group has the name, and names one whose displayed name that is and
// which has another login name.
func (l *LDAP) noGroup(ctx context.Context, name string) portal.Sentence {
	plain := portal.Say("group-unknown", "There is no group %q.", name)
	if l.c.Kind != ActiveDirectory {
		return portal.Say("group-unknown-ldap", "There is no group %q with members below %s.", name, l.c.GroupBase)
	}
	root, err := l.rootDSE(ctx)
	if err != nil {
		return plain
	}
	q := query{
		base: root.domain, scope: ldap.ScopeWholeSubtree, limit: 1, attributes: []string{l.d.a.SID},
		filter: "(&(objectClass=group)" + anyFilter([]attributeMatch{{attribute: "cn", value: name}, {attribute: "displayName", value: name}}) + ")",
	}
	var found []entry
	_, err = l.read(ctx, l.people, func(ctx context.Context, conn *connection) (err error) {
		found, err = conn.search(ctx, q)
		return err
	})
	if err != nil || len(found) != 1 {
		return portal.Say("group-unknown-login", "There is no group %q (a group is found by its name before Windows 2000, sAMAccountName).", name)
	}
	sid, err := found[0].one(l.d.a.SID)
	text, sidErr := sidText(sid)
	if err != nil || sidErr != nil {
		return plain
	}
	return portal.Say("group-unknown-meant", "There is no group %q by login name. Is %s meant? Then write %s.", name, found[0].DN, text)
}
