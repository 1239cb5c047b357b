package config

import (
	"errors"
	"fmt"
	"strings"

	"certportal/internal/directory"
	"certportal/internal/oidc"
	"certportal/internal/portal"
	"certportal/web"
)

// tryDirectory validates the LDAP settings without a server: first without groups,
// then each list of groups, so that the error names the key.
func (s *Settings) tryDirectory() error {
	var errs []error
	for _, text := range leaves(s.tryGroups(nil, nil)) {
		text = "directory." + strings.TrimPrefix(text, "LDAP directory: ")
		if settingOf(text) == "" {
			text = "directory: " + strings.TrimPrefix(text, "directory.")
		}
		errs = append(errs, errors.New(text))
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	g := s.Directory.Groups
	for key, err := range map[string]error{
		"enroll": s.tryGroups(g.Enroll, nil), "protected": s.tryGroups(nil, g.Protected),
		// The names of a role are as restricted as those of protected groups.
		"helpdesk": s.tryGroups(nil, g.Helpdesk), "auditor": s.tryGroups(nil, g.Auditor), "admin": s.tryGroups(nil, g.Admin),
	} {
		for _, text := range leaves(err) {
			errs = append(errs, fmt.Errorf("directory.groups.%s: %s", key, strings.TrimPrefix(text, "LDAP directory: ")))
		}
	}
	return errors.Join(errs...)
}

func (s *Settings) tryGroups(enroll, protected []string) error {
	c := s.LDAPConfig()
	c.Roles, c.Enroll, c.Protected = nil, enroll, protected
	c.Password = func() (string, error) { return "", nil }
	d, err := directory.NewLDAP(c)
	if err != nil {
		return err
	}
	return d.Close()
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
