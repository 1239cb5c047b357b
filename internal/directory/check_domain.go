package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

// checkClock compares the server's clock with this one's.
func (l *LDAP) checkClock(ctx context.Context, r *report, conn *connection) {
	entries, err := conn.search(ctx, query{filter: "(objectClass=*)", attributes: []string{"currentTime"}})
	if err != nil || len(entries) != 1 || entries[0].first("currentTime") == "" {
		r.add("clock", portal.FindingOK, "clock-silent", "The server does not tell its time, so the clocks are not compared.")
		return
	}
	theirs, err := time.Parse("20060102150405.0Z", entries[0].first("currentTime"))
	if err != nil {
		r.add("clock", portal.FindingWarning, "clock-form", "The server gives its time in an unknown form.")
		return
	}
	apart := l.c.Now().Sub(theirs).Abs().Round(10 * time.Second) // currentTime has whole seconds
	switch {
	case apart > clockFailed:
		r.add("clock", portal.FindingFailed, "clock-apart", "This machine's clock and the server's are %s apart. Set both by the same NTP source.", apart)
	case apart > clockWarning:
		r.add("clock", portal.FindingWarning, "clock-apart", "This machine's clock and the server's are %s apart. Set both by the same NTP source.", apart)
	default:
		r.add("clock", portal.FindingOK, "clock-fine", "This machine's clock and the server's agree.")
	}
}

// checkForest reports whether a UPN is checked for uniqueness in the whole forest.
func (l *LDAP) checkForest(ctx context.Context, r *report, conn *connection, root rootDSE) {
	domains, err := conn.search(ctx, query{
		base: "CN=Partitions," + root.config, scope: ldap.ScopeSingleLevel, limit: 1000,
		filter: "(&(objectClass=crossRef)(nETBIOSName=*))", attributes: []string{"dnsRoot"},
	})
	switch {
	case err != nil:
		r.add("directory.global_catalog", portal.FindingWarning, "forest-unread", "The domains of the forest cannot be listed: %v.", err)
	case len(domains) > 1 && len(l.c.GlobalCatalog) == 0:
		r.add("directory.global_catalog", portal.FindingWarning,
			"forest-many", "The forest has %d domains. Set directory.global_catalog, or a UPN that another domain has too goes unnoticed.", len(domains))
	default:
		r.add("directory.global_catalog", portal.FindingOK, "forest-fine", "UPNs are proven unique in the whole forest.")
	}
}

func (l *LDAP) checkLockout(ctx context.Context, r *report) {
	lockout, err := l.Lockout(ctx)
	switch {
	case err != nil:
		r.add("lockout", portal.FindingWarning, "lockout-unread", "The lockout policy cannot be read: %v.", err)
	case lockout.Threshold == 0:
		r.add("lockout", portal.FindingOK, "lockout-none", "The domain does not lock accounts after wrong passwords, or does not tell.")
	default:
		r.add("lockout", portal.FindingOK, "lockout-fine", "The domain locks an account after %d wrong passwords within %s.", lockout.Threshold, lockout.Window)
	}
}

// checkGroups resolves every configured group.
func (l *LDAP) checkGroups(ctx context.Context, r *report) {
	settings := []struct {
		name   string
		groups []string
		state  portal.FindingState // when the group does not exist
	}{
		{"enroll", l.c.Enroll, portal.FindingFailed},
		{"protected", l.c.Protected, portal.FindingFailed},
		{"helpdesk", l.c.Roles[portal.Helpdesk], portal.FindingWarning},
		{"auditor", l.c.Roles[portal.Auditor], portal.FindingWarning},
		{"admin", l.c.Roles[portal.Admin], portal.FindingWarning},
	}
	for _, s := range settings {
		for _, group := range s.groups {
			state := s.state
			if l.c.formOf(group) == groupByName { // a free name can be taken
				state = portal.FindingFailed
			}
			l.checkGroup(ctx, r, "directory.groups."+s.name, group, state)
		}
	}
	if len(l.c.Roles[portal.Admin]) == 0 {
		r.add("directory.groups.admin", portal.FindingWarning, "group-no-admin", "No group makes a person an administrator. Name one in directory.groups.admin.")
	}
}

// powerfulGroups are groups whose members can take over a domain and that Windows does not
// protect. Exchange and DNS make them under these login names in every language.
func powerfulGroups() []string {
	return []string{
		"Organization Management", "Exchange Trusted Subsystem", "Exchange Windows Permissions", "Exchange Servers",
		"DnsAdmins",
	}
}

// checkPowerful suggests groups for directory.groups.protected that are in the forest and
// not there.
func (l *LDAP) checkPowerful(ctx context.Context, r *report) {
	const what = "directory.groups.protected"
	var matches []attributeMatch
	for _, name := range powerfulGroups() {
		matches = append(matches, attributeMatch{attribute: l.d.a.Login, value: name})
	}
	found, err := l.searchForest(ctx, query{
		filter: "(&(objectClass=group)" + anyFilter(matches) + ")", attributes: []string{l.d.a.SID, l.d.a.Login},
	})
	protected, keyErr := l.groupKeys(ctx, l.c.Protected)
	if err := errors.Join(err, keyErr); err != nil {
		r.add(what, portal.FindingWarning, "group-powerful-unread", "The administrators' groups of Exchange and DNS cannot be looked up: %v.", err)
		return
	}
	var missing []string
	for _, e := range found {
		b, err := e.one(l.d.a.SID)
		if err != nil || b == nil {
			continue
		}
		if sid, err := sidText(b); err == nil && !isProtectedGroup(sid) && !slices.Contains(protected, sid) {
			missing = append(missing, fmt.Sprintf("%s (%s)", e.first(l.d.a.Login), sid))
		}
	}
	if len(missing) == 0 {
		r.add(what, portal.FindingOK, "group-powerful-fine", "No administrators' group of Exchange or DNS is left out.")
		return
	}
	slices.Sort(missing)
	r.add(what, portal.FindingWarning, "group-powerful", "Members of these groups can take over the domain, and still get certificates: %s. "+
		"Add the groups to directory.groups.protected.", list(slices.Compact(missing)))
}

// checkGroup says which group a setting means, by DN and SID.
func (l *LDAP) checkGroup(ctx context.Context, r *report, what, group string, absent portal.FindingState) {
	if l.c.formOf(group) == groupBySID {
		l.checkGroupSID(ctx, r, what, group)
		return
	}
	found, err := l.group(ctx, group)
	switch byName := l.c.formOf(group) == groupByName; {
	case errors.Is(err, errNoGroup) && found.taken:
		r.add(what, portal.FindingFailed, "group-taken", "The group %q was %s, and now %s has its name. Write the SID of the one that is meant.", group, found.pinned, found.dn)
	case errors.Is(err, errNoGroup) && found.several:
		r.add(what, absent, "group-several", "There are several groups %q. Write the distinguished name of the one that is meant.", group)
	case errors.Is(err, errNoGroup) && byName:
		r.say(what, absent, l.noGroup(ctx, group))
	case errors.Is(err, errNoGroup):
		r.add(what, absent, "group-gone", "There is no group %q. Was it renamed or moved? Its SID would stay the same.", group)
	case err != nil:
		r.add(what, portal.FindingFailed, "group-lookup", "Looking up the group %q: %v.", group, err)
	case l.c.Kind == PlainLDAP:
		r.add(what, portal.FindingOK, "group-fine", "The group %q is %s.", group, found.dn)
	case byName && what != "directory.groups.enroll":
		r.add(what, portal.FindingWarning, "group-by-name", "The group %q is %s, %s. Write the SID in place of the name: "+
			"the name of a group that is deleted or renamed can be taken by another account.", group, found.dn, found.key)
	case byName:
		r.add(what, portal.FindingOK, "group-name-fine", "The group %q is %s, %s. The SID in place of the name would survive a renaming.", group, found.dn, found.key)
	default:
		r.add(what, portal.FindingOK, "group-there", "The group %q is there, %s.", group, found.key)
	}
}

// checkGroupSID looks for a group configured by its SID. Groups of other domains and
// well-known groups of Windows may be missing.
func (l *LDAP) checkGroupSID(ctx context.Context, r *report, what, sid string) {
	b, err := parseSID(sid)
	root, rootErr := l.rootDSE(ctx)
	if err != nil || rootErr != nil || l.c.Kind == PlainLDAP {
		r.add(what, portal.FindingOK, "group-as-written", "The group %q is used as it is written.", sid)
		return
	}
	var entries []entry
	_, err = l.read(ctx, l.people, func(ctx context.Context, conn *connection) (err error) {
		entries, err = conn.search(ctx, query{
			base: root.domain, scope: ldap.ScopeWholeSubtree, attributes: []string{attrClass}, limit: 2,
			filter: attributeMatch{attribute: l.d.a.SID, value: string(b), binary: true}.filter(),
		})
		return err
	})
	switch {
	case err != nil:
		r.add(what, portal.FindingFailed, "group-sid-lookup", "Looking up the group %s: %v.", sid, err)
	case len(entries) == 0:
		r.add(what, portal.FindingWarning, "group-sid-unknown", "No group of this domain has the SID %s.", sid)
	case !entries[0].has(attrClass, "group"):
		r.add(what, portal.FindingWarning, "group-sid-other", "%s has the SID %s and is no group.", entries[0].DN, sid)
	default:
		r.add(what, portal.FindingOK, "group-sid-fine", "The group %s is %s.", sid, entries[0].DN)
	}
}

func list(names []string) string { return strings.Join(names, ", ") }
