package samba

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

// Password is the default password of users.
const Password = "Passw0rd-1"

// Entry has the identifiers of an entry.
type Entry struct {
	DN   string
	GUID string // lower-case text
	SID  string // "S-1-5-21-…"

	// RawGUID and RawSID are GUID and SID in binary.
	RawGUID, RawSID []byte
}

// User describes a user to add. Only Login is required.
type User struct {
	Login     string // sAMAccountName
	UPN       string // default Login@Domain; "-" for none
	Password  string // default Password
	Name      string // displayName
	GivenName string
	Surname   string
	Mail      string
	Number    string // employeeNumber
	Unit      string // organizational unit below Base, made when missing; default CN=Users
	Disabled  bool
	Computer  bool // a computer account, whose Login ends in $

	// More attributes by name.
	More map[string][]string
}

// AddUser adds a user.
func (dc *DC) AddUser(t testing.TB, u User) Entry {
	t.Helper()
	entry, err := dc.TryAddUser(t, u)
	if err != nil {
		t.Fatalf("adding user %s: %v", u.Login, err)
	}
	return entry
}

// TryAddUser adds a user, or returns the error of the controller.
func (dc *DC) TryAddUser(t testing.TB, u User) (Entry, error) {
	t.Helper()
	parent := dc.unit(t, u.Unit)
	add := ldap.NewAddRequest("CN="+ldap.EscapeDN(strings.TrimSuffix(u.Login, "$"))+","+parent, nil)
	class, control := "user", 512
	if u.Computer {
		class, control = "computer", 4096
	}
	if u.Disabled {
		control |= 2
	}
	if u.Password == "" {
		u.Password = Password
	}
	switch u.UPN {
	case "":
		u.UPN = u.Login + "@" + Domain
	case "-":
		u.UPN = ""
	}
	add.Attribute("objectClass", []string{class})
	for name, value := range map[string]string{
		"sAMAccountName": u.Login, "userPrincipalName": u.UPN, "displayName": u.Name, "givenName": u.GivenName,
		"sn": u.Surname, "mail": u.Mail, "employeeNumber": u.Number,
		"userAccountControl": strconv.Itoa(control), "unicodePwd": unicodePassword(u.Password),
	} {
		if value != "" {
			add.Attribute(name, []string{value})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(u.More)) {
		add.Attribute(name, u.More[name])
	}
	if err := dc.admin(t).Add(add); err != nil {
		return Entry{}, err
	}
	return dc.addedEntry(t, add.DN), nil
}

// unit returns the DN of an organizational unit below Base, and adds it when missing.
func (dc *DC) unit(t testing.TB, name string) string {
	t.Helper()
	if name == "" {
		return "CN=Users," + Base
	}
	return dc.AddUnit(t, name, Base)
}

// AddUnit adds an organizational unit below another entry, unless it exists, and returns
// its DN.
func (dc *DC) AddUnit(t testing.TB, name, parent string) string {
	t.Helper()
	add := ldap.NewAddRequest("OU="+ldap.EscapeDN(name)+","+parent, nil)
	add.Attribute("objectClass", []string{"organizationalUnit"})
	err := dc.admin(t).Add(add)
	if ldap.IsErrorWithCode(err, ldap.LDAPResultEntryAlreadyExists) {
		return add.DN
	}
	if err != nil {
		t.Fatalf("adding unit %s: %v", name, err)
	}
	return dc.addedEntry(t, add.DN).DN
}

// AddGroup adds a global security group.
func (dc *DC) AddGroup(t testing.TB, name string) Entry {
	t.Helper()
	add := ldap.NewAddRequest("CN="+ldap.EscapeDN(name)+",CN=Users,"+Base, nil)
	add.Attribute("objectClass", []string{"group"})
	add.Attribute("sAMAccountName", []string{name})
	if err := dc.admin(t).Add(add); err != nil {
		t.Fatalf("adding group %s: %v", name, err)
	}
	return dc.addedEntry(t, add.DN)
}

// addedEntry reads a new entry and records it for reset.
func (dc *DC) addedEntry(t testing.TB, dn string) Entry {
	t.Helper()
	e := dc.Entry(t, dn)
	dc.mu.Lock()
	defer dc.mu.Unlock()
	dc.added = append(dc.added, e.GUID)
	return e
}

// AddMember adds a user or a group to a group, by DN.
func (dc *DC) AddMember(t testing.TB, group, member string) {
	t.Helper()
	dc.change(t, group, func(m *ldap.ModifyRequest) { m.Add("member", []string{member}) })
}

// RemoveMember removes a user or a group from a group, by DN.
func (dc *DC) RemoveMember(t testing.TB, group, member string) {
	t.Helper()
	dc.change(t, group, func(m *ldap.ModifyRequest) { m.Delete("member", []string{member}) })
}

// SetPrimaryGroup makes a group, given by its relative identifier, the primary group of a
// user. The attribute memberOf does not contain it.
func (dc *DC) SetPrimaryGroup(t testing.TB, dn string, rid int) {
	t.Helper()
	group := dc.BySID(t, fmt.Sprintf("%s-%d", dc.SID, rid))
	dc.AddMember(t, group.DN, dn)
	dc.Modify(t, dn, map[string][]string{"primaryGroupID": {strconv.Itoa(rid)}})
}

// Modify replaces attributes; one without values is removed.
func (dc *DC) Modify(t testing.TB, dn string, attributes map[string][]string) {
	t.Helper()
	if err := dc.TryModify(t, dn, attributes); err != nil {
		t.Fatalf("modifying %s: %v", dn, err)
	}
}

// TryModify replaces attributes, or returns the error of the controller.
func (dc *DC) TryModify(t testing.TB, dn string, attributes map[string][]string) error {
	t.Helper()
	dc.keepOriginal(t, dn, attributes)
	m := ldap.NewModifyRequest(dn, nil)
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		m.Replace(name, attributes[name])
	}
	return dc.admin(t).Modify(m)
}

// Rename changes the CN of an entry and returns its new DN.
func (dc *DC) Rename(t testing.TB, dn, name string) string {
	t.Helper()
	_, parent := split(dn)
	return dc.move(t, dn, "CN="+ldap.EscapeDN(name), parent)
}

// Move moves an entry below another one and returns its new DN.
func (dc *DC) Move(t testing.TB, dn, parent string) string {
	t.Helper()
	name, _ := split(dn)
	return dc.move(t, dn, name, parent)
}

// split splits a DN at the first unescaped comma.
func split(dn string) (name, parent string) {
	for i := 1; i < len(dn); i++ {
		if dn[i] == ',' && dn[i-1] != '\\' {
			return dn[:i], dn[i+1:]
		}
	}
	return dn, ""
}

func (dc *DC) move(t testing.TB, dn, name, parent string) string {
	t.Helper()
	if err := dc.admin(t).ModifyDN(ldap.NewModifyDNRequest(dn, name, true, parent)); err != nil {
		t.Fatalf("moving %s: %v", dn, err)
	}
	return name + "," + parent
}

// Delete removes an entry.
func (dc *DC) Delete(t testing.TB, dn string) {
	t.Helper()
	if err := dc.admin(t).Del(ldap.NewDelRequest(dn, nil)); err != nil {
		t.Fatalf("deleting %s: %v", dn, err)
	}
}

func (dc *DC) change(t testing.TB, dn string, edit func(*ldap.ModifyRequest)) {
	t.Helper()
	m := ldap.NewModifyRequest(dn, nil)
	edit(m)
	if err := dc.admin(t).Modify(m); err != nil {
		t.Fatalf("modifying %s: %v", dn, err)
	}
}
