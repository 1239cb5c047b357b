package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"certportal/ca"
	"certportal/internal/directory"
	"certportal/internal/drift"
	"certportal/internal/oidc"
	"certportal/internal/portal"
	"certportal/store"
	"certportal/web"
)

// peopleSource is what the program asks of a directory, whichever it is.
type peopleSource interface {
	portal.Directory

	// People reads many, for the drift watch.
	People(context.Context, []portal.PersonID) ([]portal.Person, error)

	// Search finds by the beginning of names.
	Search(ctx context.Context, query string, limit int) (found []portal.Person, more bool, err error)
}

// openPeople opens the directory of the settings. A server that is down does not
// stop the start: revocation lists and pages must be served all the same.
func (p *App) openPeople(context.Context, *terminal) (err error) {
	if p.settings.Directory.Kind != kindBuiltin {
		p.ldap, err = p.settings.openLDAP(p.now, p.log)
		p.people = p.ldap
		return err
	}
	p.builtin, err = directory.NewBuiltin(p.db)
	p.people = p.builtin
	return err
}

// tryDirectory has the client look at its settings without asking a server: first
// without groups, then each list of groups, so that a mistake has its key.
func (s *Settings) tryDirectory() error {
	if err := s.tryGroups(nil); err != nil {
		return fmt.Errorf("directory: %w", err)
	}
	g := s.Directory.Groups
	var errs []error
	for key, groups := range map[string][]string{
		"enroll": g.Enroll, "helpdesk": g.Helpdesk, "auditor": g.Auditor, "admin": g.Admin, "protected": g.Protected,
	} {
		if err := s.tryGroups(groups); err != nil {
			errs = append(errs, fmt.Errorf("directory.groups.%s: %w", key, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Settings) tryGroups(groups []string) error {
	c := s.ldapConfig()
	c.Roles, c.Enroll, c.Protected = nil, groups, nil
	c.Password = func() (string, error) { return "", nil }
	d, err := directory.NewLDAP(c)
	if err != nil {
		return err
	}
	return d.Close()
}

// openLDAP makes the client; it connects when first asked.
func (s *Settings) openLDAP(now func() time.Time, log *slog.Logger) (*directory.LDAP, error) {
	c := s.ldapConfig()
	c.Now, c.Log = now, log
	c.Password = func() (string, error) {
		secret, err := credential(s.Directory.PasswordFile, directoryPassword, "directory.password_file")
		return string(secret), err
	}
	var err error
	if c.Roots, err = readRoots(s.Directory.CAFile); err != nil {
		return nil, fmt.Errorf("directory.ca_file: %w", err)
	}
	return directory.NewLDAP(c)
}

// ldapConfig carries the settings over, but for what is in files.
func (s *Settings) ldapConfig() directory.LDAPConfig {
	d := s.Directory
	a := d.Attributes
	return directory.LDAPConfig{
		Kind: directory.Kind(d.Kind), Servers: d.Servers, GlobalCatalog: d.GlobalCatalog, User: d.User,
		Base: d.Base, GroupBase: d.GroupBase, Domain: d.Domain, NetBIOS: d.NetBIOS,
		UPNSuffixes: d.UPNSuffixes, LoginByMail: d.LoginByMail, Timeout: d.Timeout,
		Attributes: directory.Attributes{
			PersonFilter: a.PersonFilter, ID: a.ID, Login: a.Login, UPN: a.UPN, SID: a.SID, Mail: a.Mail,
			Name: a.Name, GivenName: a.GivenName, EmployeeNumber: a.EmployeeNumber, Department: a.Department,
			Member: a.Member,
		},
		Roles: map[portal.Role][]string{
			portal.Helpdesk: d.Groups.Helpdesk, portal.Auditor: d.Groups.Auditor, portal.Admin: d.Groups.Admin,
		},
		Enroll: d.Groups.Enroll, Protected: d.Groups.Protected,
	}
}

// openOpenID makes the client of the identity provider, or nil without one.
func (s *Settings) openOpenID(redirect string, now func() time.Time, log *slog.Logger) (*oidc.Provider, error) {
	o := s.OpenID
	if o.Issuer == "" {
		return nil, nil
	}
	roots, err := readRoots(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("openid.ca_file: %w", err)
	}
	c := s.openidConfig(redirect)
	c.Roots, c.Now, c.Log = roots, now, log
	if _, err := os.Stat(credentialFile(openidSecret)); o.ClientSecretFile != "" || err == nil {
		c.ClientSecret = func() (string, error) {
			secret, err := credential(o.ClientSecretFile, openidSecret, "openid.client_secret_file")
			return string(secret), err
		}
	}
	return oidc.New(c)
}

// tryOpenID has the client look at its settings without asking the provider.
func (s *Settings) tryOpenID() error {
	_, err := oidc.New(s.openidConfig(anyRedirect))
	return err
}

// anyRedirect stands for the redirect address where nobody is sent anywhere.
const anyRedirect = "https://portal.invalid" + web.CallbackPath

// openidConfig carries the settings over, but for what is in files.
func (s *Settings) openidConfig(redirect string) oidc.Config {
	o := s.OpenID
	return oidc.Config{
		Issuer: o.Issuer, ClientID: o.ClientID, RedirectURL: redirect, Scopes: o.Scopes,
		SIDClaim: o.SIDClaim, UPNClaim: o.UPNClaim,
	}
}

// The systemd credentials that stand in for files of the settings.
const (
	directoryPassword = "directory-password"
	openidSecret      = "openid-secret"
)

// credentialFile is where systemd puts a credential; without systemd, nowhere.
func credentialFile(name string) string {
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, name)
}

// directorySource names the directory for the drift watch: with another one,
// nobody's id is known, and that must not count as everybody having left.
func (s *Settings) directorySource() string {
	switch d := s.Directory; d.Kind {
	case kindAD:
		return d.Kind + " " + strings.ToLower(d.Domain)
	case kindLDAP:
		return d.Kind + " " + strings.ToLower(d.Base)
	}
	return kindBuiltin
}

// openWatch makes the job that compares certificates with the directory.
func (s *Settings) openWatch(people peopleSource, db *store.DB, revoked func(), now func() time.Time, log *slog.Logger) (*drift.Watch, error) {
	w := s.Directory.Watch
	return drift.New(drift.Config{
		Directory: people, Store: db, Revoked: revoked, Source: s.directorySource(),
		Every: w.Every, Grace: w.Grace, Share: float64(w.SharePercent) / 100, Now: now, Log: log,
	})
}

// credential reads a secret from its file, or from the systemd credential.
func credential(file, name, setting string) ([]byte, error) {
	if file != "" {
		return readSecret(file)
	}
	if credentialFile(name) == "" {
		return nil, fmt.Errorf("%s: name the file with the secret", setting)
	}
	secret, err := readSecret(credentialFile(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: there is neither a file nor the credential %s", setting, name)
	}
	return secret, err
}

// readRoots reads CA certificates; without a file, those of the system count.
func readRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	certs, err := ca.ParseAnchors(text)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, cert := range certs {
		pool.AddCert(cert)
	}
	return pool, nil
}
