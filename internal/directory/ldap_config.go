package directory

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

func (c *LDAPConfig) setDefaults() {
	c.Timeout = cmp.Or(c.Timeout, 5*time.Second)
	c.Calls = cmp.Or(c.Calls, 32)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if len(c.UPNSuffixes) == 0 && c.Domain != "" {
		c.UPNSuffixes = []string{c.Domain}
	}
	if c.Kind == PlainLDAP {
		c.GroupBase = cmp.Or(c.GroupBase, c.Base)
		c.Attributes.setDefaults()
	}
}

func (a *Attributes) setDefaults() {
	a.PersonFilter = cmp.Or(a.PersonFilter, "(objectClass=inetOrgPerson)")
	a.ID = cmp.Or(a.ID, "entryUUID")
	a.Login = cmp.Or(a.Login, "uid")
	a.Mail = cmp.Or(a.Mail, "mail")
	a.Name = cmp.Or(a.Name, "cn")
	a.GivenName = cmp.Or(a.GivenName, "givenName")
	a.EmployeeNumber = cmp.Or(a.EmployeeNumber, "employeeNumber")
	a.Department = cmp.Or(a.Department, "departmentNumber")
	a.Phone = cmp.Or(a.Phone, "telephoneNumber")
	a.Manager = cmp.Or(a.Manager, "manager")
	a.Member = cmp.Or(a.Member, "member")
}

// check reports every missing or wrong field, by its name in the settings.
func (c *LDAPConfig) check() error {
	var errs []error
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(len(c.Servers) == 0, "servers: name at least one")
	wrong(c.User == "", "user: name the account the portal reads with")
	wrong(c.Password == nil, "password is missing")
	wrong(c.Timeout < 0, "timeout: %s is below zero", c.Timeout)
	wrong(c.Calls < 0, "calls %d are below zero", c.Calls)
	_, err := ldap.ParseDN(c.Base)
	wrong(err != nil, "base: found %q: write a distinguished name, such as OU=Staff,DC=corp,DC=example", c.Base)
	_, err = ldap.ParseDN(c.GroupBase)
	wrong(err != nil, "group_base: found %q: write a distinguished name, such as ou=groups,dc=corp,dc=example", c.GroupBase)
	for _, suffix := range c.UPNSuffixes {
		wrong(suffix == "" || strings.Contains(suffix, "@"), "upn_suffixes: found %q: write the part after the @, such as corp.example", suffix)
	}
	switch c.Kind {
	case ActiveDirectory:
		wrong(c.Domain == "", "domain: name the DNS domain")
		wrong(c.User != "" && !strings.ContainsAny(c.User, `@\=`),
			`user: found %q: write certportal@corp.example, CORP\certportal or a distinguished name`, c.User)
		wrong(c.GroupBase != "", "group_base: it is for plain LDAP: remove it, Active Directory has tokenGroups")
		callback := Attributes{Phone: c.Attributes.Phone, Manager: c.Attributes.Manager}
		wrong(c.Attributes != callback, "attributes: all but phone and manager are for plain LDAP: remove them, Active Directory has its own")
		c.Attributes = adAttributes()
		c.Attributes.Phone = cmp.Or(callback.Phone, c.Attributes.Phone)
		c.Attributes.Manager = cmp.Or(callback.Manager, c.Attributes.Manager)
		errs = append(errs, c.Attributes.check())
	case PlainLDAP:
		wrong(c.Base == "", "base: name where people are")
		wrong(len(c.GlobalCatalog) > 0, "global_catalog: it is for Active Directory: remove it")
		errs = append(errs, c.Attributes.check())
	default:
		wrong(true, "kind: found %q: choose %s or %s", c.Kind, ActiveDirectory, PlainLDAP)
	}
	return errors.Join(append(errs, c.checkGroups())...)
}

// check validates the attribute names, because they become part of filters.
func (a *Attributes) check() error {
	form := regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)
	var errs []error
	if a.UPN == "" {
		errs = append(errs, errors.New("attributes.upn: name the one that holds the user principal name, which people cannot change themselves"))
	}
	names := []string{a.ID, a.Login, cmp.Or(a.UPN, a.Login), a.Mail, a.Name, a.GivenName, a.EmployeeNumber, a.Department, a.Phone, a.Manager, a.Member}
	if a.SID != "" {
		names = append(names, a.SID)
	}
	for _, name := range names {
		if !form.MatchString(name) {
			errs = append(errs, fmt.Errorf("attributes: found %q: write the name of an attribute", name))
		}
	}
	if _, err := ldap.CompileFilter(a.PersonFilter); err != nil {
		errs = append(errs, fmt.Errorf("attributes.person_filter: found %q: write a filter such as (objectClass=inetOrgPerson): %w", a.PersonFilter, err))
	}
	return errors.Join(errs...)
}

func (c *LDAPConfig) checkGroups() error {
	var errs []error
	for role := range c.Roles {
		if _, ok := portal.ParseRole(string(role)); !ok {
			errs = append(errs, fmt.Errorf("role %q is unknown", role))
		}
	}
	errs = append(errs, CheckGroups(c.Kind, c.Enroll, false), CheckGroups(c.Kind, c.trustedGroups(), true))
	return errors.Join(errs...)
}

// CheckGroups refuses groups that are written wrongly. Trusted ones give a role or protect:
// with PlainLDAP, where several groups can have one name, they are named by DN.
func CheckGroups(kind Kind, names []string, trusted bool) error {
	c := LDAPConfig{Kind: kind}
	var errs []error
	for _, name := range names {
		err := c.checkGroup(name)
		if err == nil && trusted && kind == PlainLDAP && c.formOf(name) == groupByName {
			err = fmt.Errorf("group %q: write its distinguished name, in quotes: 'cn=portal-admins,ou=groups,dc=corp,dc=example'; "+
				"in LDAP several groups can have one name, so only enroll takes a name", name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// trustedGroups returns the groups that give a role or protect, sorted.
func (c *LDAPConfig) trustedGroups() []string {
	names := slices.Clone(c.Protected)
	for _, groups := range c.Roles {
		names = append(names, groups...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
