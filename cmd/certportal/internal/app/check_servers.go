package app

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/doctor"
	"certportal/internal/portal"
)

// CheckServers connects to everything the settings name: CRL targets, directory,
// identity provider, mail server. An error means that a client cannot be made.
func CheckServers(ctx context.Context, s *config.Settings, log *slog.Logger) (findings []portal.Finding, err error) {
	findings = slices.Concat(proxyFindings(s), listFindings(ctx, s), codeFindings(s))
	if s.Directory.Kind != config.KindBuiltin {
		d, err := OpenLDAP(s, time.Now, log)
		if err != nil {
			return nil, err
		}
		defer d.Close()
		findings = append(findings, d.Check(ctx)...)
		// When the directory refuses the account, its policy cannot be read either.
		if !slices.ContainsFunc(findings, func(f portal.Finding) bool { return f.State == portal.FindingFailed }) {
			findings = append(findings, doctor.CheckTries(ctx, s, d))
		}
	}
	provider, err := openOpenID(s, config.UnusedRedirect, time.Now, log)
	if err != nil || provider == nil {
		return append(findings, mailFindings(ctx, s)...), err
	}
	f := portal.Finding{What: "identity provider", State: portal.FindingOK, Text: s.OpenID.Issuer + " answers"}
	if err := provider.Check(ctx); err != nil {
		f.State, f.Text = portal.FindingFailed, err.Error()
	}
	return append(append(findings, f), mailFindings(ctx, s)...), nil
}

// codeFindings warns of pickup codes that replace a password, and of those that cannot be
// mailed.
func codeFindings(s *config.Settings) []portal.Finding {
	var all []portal.Finding
	h := s.Helpdesk
	if h.CodeAlone {
		all = append(all, portal.Finding{What: "helpdesk.code_alone", State: portal.FindingWarning,
			Text: "a pickup code replaces the password: an attacker who reads a person's mailbox gets their certificate; " +
				"remove the setting unless people have no other way in"})
	}
	if (h.CodeAlone || h.SecondApprover) && s.Mail.Host == "" {
		all = append(all, portal.Finding{What: "pickup codes", State: portal.FindingFailed,
			Text: "helpdesk.code_alone and helpdesk.second_approver send codes by mail only, and mail.host is empty: no code can be made"})
	}
	return all
}

// checkAtStart logs the findings of the directory check.
func (p *App) checkAtStart(ctx context.Context) {
	for _, f := range p.ldap.Check(ctx) {
		switch f.State {
		case portal.FindingFailed:
			p.log.Error("directory check failed", "what", f.What, "text", f.Text)
		case portal.FindingWarning:
			p.log.Warn("directory check", "what", f.What, "text", f.Text)
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
