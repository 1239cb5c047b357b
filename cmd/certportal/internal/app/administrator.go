package app

import (
	"context"
	"crypto"
	"crypto/x509"
	"log/slog"
	"time"

	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/doctor"
	"certportal/internal/admin"
	"certportal/internal/directory"
	"certportal/internal/portal"
)

// openAdmin makes the administration service and the doctor that it asks.
func (p *App) openAdmin(context.Context, *config.Terminal) (err error) {
	p.company = newCompanyWatch(p.CA.Present, p.Now, p.log)
	p.doctor = doctor.New(p.doctorConfig())
	p.admin, err = admin.New(admin.Config{
		Store: p.DB, Revoked: p.revoked, SecondPerson: p.Settings.Admin.SecondPerson, Mails: p.mail != nil,
		Alerts: p.doctor.Alerts, Authority: p.doctor, Checks: &admin.Checks{List: p.doctor.Checks()}, RoleGroups: p.People.RoleGroups, Upstreams: p.Registrar, Discover: p.discover(), Now: p.Now, Log: p.log,
	})
	return err
}

// doctorConfig returns what the doctor works with. Parts that are opened later, or
// replaced while the portal runs, are functions.
func (p *App) doctorConfig() doctor.Config {
	return doctor.Config{
		Settings: p.Settings, Public: p.Public, DB: p.DB, CA: p.CA, Lists: p.lists, Own: p.own, Journal: p.journal, Company: p.company,
		OCSP: p.ocspHealth, TLS: p.tls.leaf, Directory: p.ldap, Mail: p.mail, Revoked: p.revoked, Clock: p.clock, Now: p.Now, Log: p.log,
		ProfileSigner: func() ([]*x509.Certificate, crypto.Signer) {
			if p.signer == nil {
				return nil, nil
			}
			return p.signer()
		},
		CheckTargets: func(ctx context.Context) []portal.Finding { return listFindings(ctx, p.Settings) },
		EnrollPeople: enrollPeople(p.ldap),
		CheckMail:    func(ctx context.Context) []portal.Finding { return mailFindings(ctx, p.Settings) },
		Upstreams:    func() ([]doctor.Upstream, error) { return upstreamsToCheck(p.Settings, p.CA.Tokens(), p.Now) },
		Provider:     func(ctx context.Context) error { return askProvider(ctx, p.Settings, p.Now, p.log) },
	}
}

// enrollPeople lists who may ask for certificates; nil with the built-in directory.
func enrollPeople(l *directory.LDAP) func(context.Context, int) (directory.Candidates, error) {
	if l == nil {
		return nil
	}
	return func(ctx context.Context, limit int) (directory.Candidates, error) {
		return directory.EnrollCandidates(ctx, l, limit)
	}
}

// askProvider asks the identity provider whether it answers.
func askProvider(ctx context.Context, s *config.Settings, now func() time.Time, log *slog.Logger) error {
	provider, err := openOpenID(s, config.UnusedRedirect, now, log)
	if err == nil && provider != nil {
		err = provider.Check(ctx)
	}
	return err
}
