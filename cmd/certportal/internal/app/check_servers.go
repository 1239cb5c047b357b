package app

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/doctor"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/portal"
)

// CheckInstallation looks at what the settings make of this machine and the servers they
// name: names and addresses, TLS certificate, CA, ports, CRL targets, directory, identity
// provider, mail server. It leaves out what has mistakes in the settings.
func CheckInstallation(ctx context.Context, s *config.Settings, wrong *config.Mistakes, log *slog.Logger) []portal.Finding {
	var findings []portal.Finding
	for _, part := range []struct {
		sections []string
		check    func() []portal.Finding
	}{
		{nil, func() []portal.Finding { return nameFindings(s, wrong) }},
		{[]string{"public_url", "tls"}, func() []portal.Finding { return tlsFindings(s) }},
		{[]string{"data"}, func() []portal.Finding { return caFindings(s) }},
		{[]string{"data", "database", "database_file"}, func() []portal.Finding { return databaseFindings(ctx, s, log) }},
		{[]string{"ca", "data"}, func() []portal.Finding { return tokenFindings(s) }},
		{[]string{"ca", "upstreams"}, func() []portal.Finding { return upstreamKeyFindings(s, time.Now()) }},
		{nil, func() []portal.Finding { return portFindings(ctx, s, wrong) }},
		{[]string{"revocation", "data", "backup"}, func() []portal.Finding { return writableFindings(s) }},
		{[]string{"trusted_proxies"}, func() []portal.Finding { return doctor.CheckProxies(s) }},
		{[]string{"revocation", "data"}, func() []portal.Finding { return listFindings(ctx, s) }},
		{[]string{"data"}, func() []portal.Finding { return companyFindings(ctx, s) }},
		{[]string{"helpdesk", "mail"}, func() []portal.Finding { return doctor.CheckCodes(s) }},
		{[]string{"directory", "sign_in"}, func() []portal.Finding { return directoryFindings(ctx, s, log) }},
		{[]string{"openid"}, func() []portal.Finding { return providerFindings(ctx, s, log) }},
		{[]string{"mail"}, func() []portal.Finding { return mailFindings(ctx, s) }},
	} {
		if wrong == nil || !slices.ContainsFunc(part.sections, wrong.In) {
			findings = append(findings, part.check()...)
		}
	}
	return findings
}

// CheckPart is one part of CheckInstallation, for settings that are not complete yet: names,
// ports, tls, directory, mail or database.
func CheckPart(ctx context.Context, s *config.Settings, part string, log *slog.Logger) []portal.Finding {
	switch part {
	case "names":
		return nameFindings(s, nil)
	case "ports":
		return portFindings(ctx, s, nil)
	case "tls":
		return tlsFindings(s)
	case "directory":
		return directoryFindings(ctx, s, log)
	case "mail":
		return mailFindings(ctx, s)
	case "database":
		return databaseFindings(ctx, s, log)
	}
	return nil
}

// nameFindings looks at the names of the company and of both public addresses, but for
// those that have mistakes.
func nameFindings(s *config.Settings, wrong *config.Mistakes) []portal.Finding {
	public, err := publicAddresses(s)
	if err != nil {
		_, text, _ := strings.Cut(err.Error(), ": ")
		return []portal.Finding{{What: "listen_http", State: portal.FindingFailed, Text: text}}
	}
	_, err = ca.OpenFolder(s.Path("ca"))
	findings := doctor.CheckNames(s, public, !localca.NotCreated(err))
	if wrong == nil {
		return findings
	}
	return slices.DeleteFunc(findings, func(f portal.Finding) bool { return wrong.In(f.What) })
}

// publicAddresses are those of the settings. A listening address that cannot be used is
// reported with the settings or the ports.
func publicAddresses(s *config.Settings) (config.Addresses, error) {
	usable, fresh := *s, config.Defaults()
	for address, otherwise := range map[*string]string{&usable.Listen: fresh.Listen, &usable.ListenHTTP: fresh.ListenHTTP} {
		if _, err := net.ResolveTCPAddr("tcp", *address); err != nil {
			*address = otherwise
		}
	}
	return usable.ConfiguredAddresses()
}

// tlsFindings looks at the TLS certificate of the settings.
func tlsFindings(s *config.Settings) []portal.Finding {
	public, err := publicAddresses(s)
	if err != nil {
		return nil // reported with the names
	}
	return doctor.CheckTLS(s, public, time.Now())
}

// caFindings looks whether there is a CA.
func caFindings(s *config.Settings) []portal.Finding {
	f := portal.Finding{What: "ca", State: portal.FindingOK, Text: "there is a CA in " + s.Path("ca")}
	switch _, err := ca.OpenFolder(s.Path("ca")); {
	case localca.NotCreated(err):
		f.State, f.Text = portal.FindingWarning, "there is no CA in "+s.Path("ca")+" yet: the first start of the portal makes it. "+
			"On another replica bring it with certportal ca copy-from; if there was one, restore it and make none"
	case err != nil:
		f.State, f.Text = portal.FindingFailed, err.Error()
	}
	return []portal.Finding{f}
}

// directoryFindings asks the directory.
func directoryFindings(ctx context.Context, s *config.Settings, log *slog.Logger) []portal.Finding {
	if s.Directory.Kind == config.KindBuiltin {
		return nil
	}
	d, err := OpenLDAP(s, time.Now, log)
	if err != nil {
		return []portal.Finding{{What: "directory", State: portal.FindingFailed, Text: err.Error()}}
	}
	defer d.Close()
	findings := d.Check(ctx)
	// When the directory refuses the account, its policy cannot be read either.
	if !slices.ContainsFunc(findings, func(f portal.Finding) bool { return f.State == portal.FindingFailed }) {
		findings = append(findings, doctor.CheckTries(ctx, s, d))
		findings = append(findings, publishedFindings(ctx, s, d)...)
	}
	return findings
}

// providerFindings asks the identity provider.
func providerFindings(ctx context.Context, s *config.Settings, log *slog.Logger) []portal.Finding {
	provider, err := openOpenID(s, config.UnusedRedirect, time.Now, log)
	if err == nil && provider == nil {
		return nil
	}
	f := portal.Finding{What: "identity provider", State: portal.FindingOK, Text: s.OpenID.Issuer + " answers"}
	if err == nil {
		err = provider.Check(ctx)
	}
	if err != nil {
		f.State, f.Text = portal.FindingFailed, err.Error()
	}
	return []portal.Finding{f}
}

// checkAtStart logs what the directory check finds.
func (p *App) checkAtStart(ctx context.Context) { p.logFindings("directory", p.ldap.Check(ctx)) }

// LogSetup logs what is wrong with names and TLS certificate. A portal that has a CA
// starts in spite of it: servers need its revocation lists.
func (p *App) LogSetup() {
	p.logFindings("settings", append(doctor.CheckNames(p.Settings, p.Public, true), doctor.CheckTLS(p.Settings, p.Public, p.Now())...))
}

func (p *App) logFindings(check string, findings []portal.Finding) {
	for _, f := range findings {
		switch f.State {
		case portal.FindingFailed:
			p.log.Error(check+" check failed", "what", f.What, "text", f.Text)
		case portal.FindingWarning:
			p.log.Warn(check+" check", "what", f.What, "text", f.Text)
		}
	}
}

// followLock reads the lockout policy now and every hour. Until it is known sign-in
// assumes a strict one: a directory that was down at the start is asked every minute.
func (p *App) followLock(ctx context.Context) {
	for {
		wait := time.Hour
		if !p.stayBelowLock(ctx) {
			wait = time.Minute
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// stayBelowLock sets the sign-in limit below the directory's lockout threshold. It
// reports whether the directory answered.
func (p *App) stayBelowLock(ctx context.Context) bool {
	lock, err := p.ldap.Lockout(ctx)
	if err != nil {
		// What is assumed, or the last answer, stays.
		if ctx.Err() == nil {
			p.log.Warn("reading the directory's lockout policy", "err", err)
		}
		return false
	}
	allowed := p.SignIn.StayBelow(doctor.LockOf(p.Settings, lock), lock.Window)
	if lock.Threshold > 0 && allowed < p.Settings.SignIn.Tries {
		p.log.Warn("fewer tries than sign_in.tries, to stay below the directory's lock", "allowed", allowed, "lock", lock.Threshold)
	}
	return true
}
