package directory

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"

	"certportal/ca"
	"certportal/internal/portal"
)

// Attributes of Active Directory that have no counterpart in Attributes.
const (
	attrClass      = "objectClass"
	attrControl    = "userAccountControl"
	attrComputed   = "msDS-User-Account-Control-Computed"
	attrExpires    = "accountExpires"
	attrAdminCount = "adminCount"
	attrPrimary    = "primaryGroupID"
	attrTokens     = "tokenGroups"
	attrEmployeeID = "employeeID"
	attrProxies    = "proxyAddresses"

	attrWorkstations = "userWorkstations"
	attrSurname      = "sn"
)

// Bits of userAccountControl (MS-ADTS 2.2.16). Only the computed attribute has the bit
// for a lockout.
const (
	controlDisabled    = 0x2
	controlLocked      = 0x10
	controlSmartCard   = 0x40000
	controlPasswordOld = 0x800000
)

// adAttributes returns the attribute names of Active Directory.
func adAttributes() Attributes {
	return Attributes{
		PersonFilter: "(&(objectCategory=person)(objectClass=user))",
		ID:           "objectGUID", Login: "sAMAccountName", UPN: "userPrincipalName", SID: "objectSid",
		Mail: "mail", Name: "displayName", GivenName: "givenName",
		EmployeeNumber: "employeeNumber", Department: "department", Phone: "telephoneNumber", Manager: "manager", Member: "member",
	}
}

// entry is an entry as a server sent it. The content is not trusted: an attribute that
// must have a single value is read with one.
type entry struct{ *ldap.Entry }

// bytes returns all values of an attribute, ignoring the case of its name.
func (e entry) bytes(name string) [][]byte {
	var values [][]byte
	for _, a := range e.Attributes {
		if strings.EqualFold(a.Name, name) {
			values = append(values, a.ByteValues...)
		}
	}
	return values
}

// one returns the only value of an attribute, nil when it is absent. A second value is
// an error, because either could be the right one.
func (e entry) one(name string) ([]byte, error) {
	values := e.bytes(name)
	switch len(values) {
	case 0:
		return nil, nil
	case 1:
		return values[0], nil
	}
	return nil, fmt.Errorf("%s: %s has %d values", e.DN, name, len(values))
}

// text returns the only value of an attribute as text, empty when it is absent.
func (e entry) text(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	value, err := e.one(name)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(value) {
		return "", fmt.Errorf("%s: %s is not UTF-8", e.DN, name)
	}
	return string(value), nil
}

// first returns the first valid UTF-8 value of an attribute that may have several, or "".
func (e entry) first(name string) string {
	for _, value := range e.bytes(name) {
		if utf8.Valid(value) {
			return string(value)
		}
	}
	return ""
}

func (e entry) number(name string) (n int64, present bool, err error) {
	text, err := e.text(name)
	if err != nil || text == "" {
		return 0, false, err
	}
	n, err = strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, false, fmt.Errorf("%s: reading %s: %w", e.DN, name, err)
	}
	return n, true, nil
}

// has reports whether an attribute has the value, ignoring case.
func (e entry) has(name, value string) bool {
	for _, v := range e.bytes(name) {
		if strings.EqualFold(string(v), value) {
			return true
		}
	}
	return false
}

// decoder converts entries to people.
type decoder struct {
	kind Kind
	a    Attributes
	now  func() time.Time
}

// id returns the ID of an entry, such as its objectGUID.
func (d decoder) id(e entry) (portal.PersonID, error) {
	value, err := e.one(d.a.ID)
	if err != nil {
		return "", err
	}
	if value == nil {
		return "", fmt.Errorf("%s: %s is missing or may not be read", e.DN, d.a.ID)
	}
	if d.kind == ActiveDirectory {
		return guidText(value)
	}
	if len(value) == 0 || len(value) > maxLogin || !utf8.Valid(value) {
		return "", fmt.Errorf("%s: %s has an unknown form", e.DN, d.a.ID)
	}
	return portal.PersonID(value), nil
}

// isPerson reports whether an entry is a person. In Active Directory computers and
// managed service accounts have the class user too.
func (d decoder) isPerson(e entry) bool {
	if d.kind == PlainLDAP {
		return true // the filter decides
	}
	login := e.first(d.a.Login)
	return e.has(attrClass, "user") && !e.has(attrClass, "computer") &&
		!e.has(attrClass, "msDS-ManagedServiceAccount") && !e.has(attrClass, "msDS-GroupManagedServiceAccount") &&
		login != "" && !strings.HasSuffix(login, "$")
}

// unreadKind returns an error when the attributes that isPerson needs are missing.
func (d decoder) unreadKind(e entry) error {
	for _, name := range []string{attrClass, d.a.Login} {
		if e.first(name) == "" {
			return fmt.Errorf("%s: %s is missing or may not be read", e.DN, name)
		}
	}
	return nil
}

// person decodes the names and the state of an entry, without groups and conflicts.
func (d decoder) person(e entry) (portal.Person, error) {
	id, err := d.id(e)
	if err != nil {
		return portal.Person{}, err
	}
	p := portal.Person{
		ID: id, Name: e.first(d.a.Name), GivenName: e.first(d.a.GivenName), Department: e.first(d.a.Department),
		EmployeeNumber: e.first(d.a.EmployeeNumber), Phone: e.first(d.a.Phone), Manager: nameOfDN(e.first(d.a.Manager)),
	}
	if err := d.names(e, &p); err != nil {
		return portal.Person{}, err
	}
	if p.Name == "" {
		p.Name = p.Login
	}
	if raw := p.Mail; raw != "" {
		if p.Mail = ca.CleanMail(raw); p.Mail == "" {
			p.MailUnusable = raw
		}
	}
	if n := len(e.bytes(d.a.Mail)); d.kind == ActiveDirectory && n > 1 {
		p.Mail, p.MailUnusable = "", fmt.Sprintf("%d values", n)
	}
	if d.kind == PlainLDAP {
		return p, nil
	}
	if p.EmployeeNumber == "" {
		p.EmployeeNumber = e.first(attrEmployeeID)
	}
	return p, d.state(e, &p)
}

// names decodes the names that go into a certificate. In Active Directory each has a
// single value; on other servers the first login and the first address are used. Several
// UPNs are an error everywhere: values have no order (RFC 4511 section 4.1.7).
func (d decoder) names(e entry, p *portal.Person) (err error) {
	if d.kind == PlainLDAP {
		p.Login, p.Mail = e.first(d.a.Login), e.first(d.a.Mail)
		if p.UPN, err = e.text(d.a.UPN); err != nil {
			return err
		}
		p.SID, err = e.text(d.a.SID)
		return err
	}
	var errs [3]error
	var sid []byte
	p.Login, errs[0] = e.text(d.a.Login)
	p.UPN, errs[1] = e.text(d.a.UPN)
	p.Mail = e.first(d.a.Mail) // optional: no value of it may veto
	sid, errs[2] = e.one(d.a.SID)
	if err := errors.Join(errs[:]...); err != nil || sid == nil {
		return err
	}
	if p.SID, err = sidText(sid); err != nil {
		return fmt.Errorf("%s: %w", e.DN, err)
	}
	return nil
}

// state decodes whether the account is disabled, locked or expired. A missing
// userAccountControl is an error: the portal's account may lack the right to read it,
// and that must not count as enabled.
func (d decoder) state(e entry, p *portal.Person) error {
	control, present, err := e.number(attrControl)
	if err != nil {
		return err
	}
	if !present {
		return fmt.Errorf("%s: %s is missing or may not be read", e.DN, attrControl)
	}
	// Absent means 0: an account that can read userAccountControl can read these two.
	computed, _, err := e.number(attrComputed)
	if err != nil {
		return err
	}
	p.Disabled, p.Locked = control&controlDisabled != 0, computed&controlLocked != 0
	p.SmartCard, p.PasswordOld = control&controlSmartCard != 0, computed&controlPasswordOld != 0
	p.Workstations = e.first(attrWorkstations) != ""
	expires, err := e.text(attrExpires)
	if err != nil || expires == "" {
		return err
	}
	end, err := fileTime(expires)
	if err != nil {
		return fmt.Errorf("%s: reading %s: %w", e.DN, attrExpires, err)
	}
	p.Expired = !end.IsZero() && !d.now().Before(end)
	return nil
}
