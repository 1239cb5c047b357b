package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"time"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/directory"
	"certportal/internal/drift"
	"certportal/internal/oidc"
	"certportal/internal/portal"
	"certportal/store"
)

// Directory is what the program needs of the built-in directory and of LDAP.
type Directory interface {
	portal.Directory

	// People reads many, for the drift watch.
	People(context.Context, []portal.PersonID) ([]portal.Person, error)

	// Protected and UPNOwners are for the drift watch, too.
	Protected(context.Context) (map[portal.PersonID]bool, error)
	UPNOwners(context.Context, []string) (map[string][]portal.PersonID, error)

	// Search finds by the beginning of names.
	Search(ctx context.Context, query string, limit int) (found []portal.Person, more bool, err error)

	// RoleGroups lists who has a role through which group, at most limit people of each.
	RoleGroups(ctx context.Context, limit int) ([]portal.RoleGroup, error)
}

// openPeople opens the directory of the settings. The portal starts while the
// directory is down: CRLs and pages must be served.
func (p *App) openPeople(context.Context, *config.Terminal) (err error) {
	if p.Settings.Directory.Kind != config.KindBuiltin {
		p.ldap, err = OpenLDAP(p.Settings, p.Now, p.log)
		p.People = p.ldap
		return err
	}
	p.Builtin, err = directory.NewBuiltin(p.DB)
	p.People = p.Builtin
	return err
}

// OpenLDAP makes the client; it connects when first asked.
func OpenLDAP(s *config.Settings, now func() time.Time, log *slog.Logger) (*directory.LDAP, error) {
	c := s.LDAPConfig()
	c.Now, c.Log = now, log
	c.Password = func() (string, error) {
		secret, err := config.Credential(s.Directory.PasswordFile, config.DirectoryPassword, "directory.password_file")
		return string(secret), err
	}
	var err error
	if c.Roots, err = config.ReadRoots(s.Directory.CAFile); err != nil {
		return nil, fmt.Errorf("directory.ca_file: %w", err)
	}
	return directory.NewLDAP(c)
}

// openOpenID makes the client of the identity provider, or nil without one.
func openOpenID(s *config.Settings, redirect string, now func() time.Time, log *slog.Logger) (*oidc.Provider, error) {
	o := s.OpenID
	if o.Issuer == "" {
		return nil, nil
	}
	roots, err := config.ReadRoots(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("openid.ca_file: %w", err)
	}
	c := s.OpenIDConfig(redirect)
	c.Roots, c.Now, c.Log = roots, now, log
	if _, err := os.Stat(config.CredentialFile(config.OpenIDSecret)); o.ClientSecretFile != "" || err == nil {
		c.ClientSecret = func() (string, error) {
			secret, err := config.Credential(o.ClientSecretFile, config.OpenIDSecret, "openid.client_secret_file")
			return string(secret), err
		}
	}
	return oidc.New(c)
}

// OpenWatch makes the job that compares certificates with the directory.
func OpenWatch(s *config.Settings, people Directory, db *store.DB, revoked func(), hold func() error, now func() time.Time, log *slog.Logger) (*drift.Watch, error) {
	clock := &databaseClock{db: db, now: now, log: log}
	w := s.Directory.Watch
	protected := drift.ProtectedAction(w.Protected)
	if s.Directory.InsecureEnrollProtected {
		protected = drift.ProtectedIgnore
	}
	return drift.New(drift.Config{
		Directory: people, Store: db, Revoked: revoked, Source: s.DirectorySource(),
		Every: w.Every, Grace: w.Grace, Share: float64(w.SharePercent) / 100, Protected: protected, Hold: hold,
		Replicas: db.Shared(), Holder: db.Node() + " " + rand.Text(), Clock: clock.Now, Now: now, Log: log,
	})
}
