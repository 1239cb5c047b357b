package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"certportal/internal/directory"
	"certportal/internal/oidc"
	"certportal/internal/portal"
	"certportal/web"
)

// tryDirectory has the client look at its settings without a server. It leaves out the keys
// of which the mistakes speak, and those of the groups.
func (s *Settings) tryDirectory(mistakes []error) error {
	var said []string
	for _, text := range leaves(errors.Join(mistakes...)) {
		said = append(said, settingOf(text))
	}
	c := s.LDAPConfig()
	c.Roles, c.Enroll, c.Protected = nil, nil, nil
	c.Password = func() (string, error) { return "", nil }
	// Addresses that are wrong would hide what else is.
	if len(c.Servers) == 0 || slices.ContainsFunc(said, func(key string) bool { return strings.HasPrefix(key, "directory.servers") }) {
		c.Servers = []string{"ldaps://directory.invalid"}
	}
	if slices.ContainsFunc(said, func(key string) bool { return strings.HasPrefix(key, "directory.global_catalog") }) {
		c.GlobalCatalog = nil
	}
	var errs []error
	for _, text := range leaves(tryLDAP(c)) {
		text = "directory." + strings.TrimPrefix(text, "LDAP directory: ")
		key := settingOf(text)
		if key == "" {
			text = "directory: " + strings.TrimPrefix(text, "directory.")
		}
		if key == "" || !slices.Contains(said, key) {
			errs = append(errs, errors.New(text))
		}
	}
	return errors.Join(errs...)
}

func tryLDAP(c directory.LDAPConfig) error {
	d, err := directory.NewLDAP(c)
	if err != nil {
		return err
	}
	return d.Close()
}

// checkGroups finds groups that are written wrongly. It needs no other setting than the
// kind of the directory.
func (s *Settings) checkGroups() error {
	g, kind := s.Directory.Groups, directory.Kind(s.Directory.Kind)
	var errs []error
	for key, err := range map[string]error{
		"enroll": directory.CheckGroups(kind, g.Enroll, false), "protected": directory.CheckGroups(kind, g.Protected, true),
		"helpdesk": directory.CheckGroups(kind, g.Helpdesk, true), "auditor": directory.CheckGroups(kind, g.Auditor, true),
		"admin": directory.CheckGroups(kind, g.Admin, true),
	} {
		for _, text := range leaves(err) {
			errs = append(errs, fmt.Errorf("directory.groups.%s: %s", key, text))
		}
	}
	return errors.Join(errs...)
}

// LDAPConfig returns the configuration of the LDAP client, without secrets and roots.
func (s *Settings) LDAPConfig() directory.LDAPConfig {
	d := s.Directory
	a := d.Attributes
	return directory.LDAPConfig{
		Kind: directory.Kind(d.Kind), Servers: d.Servers, GlobalCatalog: d.GlobalCatalog, User: d.User,
		Base: d.Base, GroupBase: d.GroupBase, Domain: d.Domain, NetBIOS: d.NetBIOS,
		UPNSuffixes: d.UPNSuffixes, LoginByMail: d.LoginByMail, Timeout: d.Timeout,
		Attributes: directory.Attributes{
			PersonFilter: a.PersonFilter, ID: a.ID, Login: a.Login, UPN: a.UPN, SID: a.SID, Mail: a.Mail,
			Name: a.Name, GivenName: a.GivenName, EmployeeNumber: a.EmployeeNumber, Department: a.Department,
			Phone: a.Phone, Manager: a.Manager, Member: a.Member,
		},
		Roles: map[portal.Role][]string{
			portal.Helpdesk: d.Groups.Helpdesk, portal.Auditor: d.Groups.Auditor, portal.Admin: d.Groups.Admin,
		},
		Enroll: d.Groups.Enroll, Protected: d.Groups.Protected,
	}
}

// tryOpenID has the client look at its settings without asking the provider.
func (s *Settings) tryOpenID() error {
	_, err := oidc.New(s.OpenIDConfig(UnusedRedirect))
	return err
}

// UnusedRedirect is the redirect address for checks that redirect no browser.
const UnusedRedirect = "https://portal.invalid" + web.CallbackPath

// OpenIDConfig returns the configuration of the OpenID client, without secret and roots.
func (s *Settings) OpenIDConfig(redirect string) oidc.Config {
	o := s.OpenID
	return oidc.Config{
		Issuer: o.Issuer, ClientID: o.ClientID, RedirectURL: redirect, Scopes: o.Scopes,
		SIDClaim: o.SIDClaim, UPNClaim: o.UPNClaim,
	}
}

// DirectorySource names the directory for the drift watch. After a change of directory
// all ids are unknown, which must not count as all people having left.
func (s *Settings) DirectorySource() string {
	switch d := s.Directory; d.Kind {
	case KindActiveDirectory:
		return d.Kind + " " + strings.ToLower(d.Domain)
	case KindLDAP:
		return d.Kind + " " + strings.ToLower(d.Base)
	}
	return KindBuiltin
}
