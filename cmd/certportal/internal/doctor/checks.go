package doctor

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/admin"
	"certportal/internal/auditmonitor"
	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/signin"
)

// Checks returns the checks of "config check", and those that need a running portal.
func (d *Doctor) Checks() []admin.Check {
	list := append([]admin.Check{
		{Name: "settings", Run: d.checkSettings},
		{Name: "names", Run: func(context.Context) []portal.Finding { return CheckNames(d.c.Settings, d.c.Public, true) }},
		{Name: "database", Run: d.checkDatabase},
		{Name: "ca", Run: d.checkCA},
		{Name: "lists", Run: d.checkCRLs},
		{Name: "tls", Run: d.checkTLS},
	}, slices.Concat(d.addressChecks(), d.companyChecks())...)
	if d.c.Directory != nil {
		list = append(list, admin.Check{Name: "directory", Run: func(ctx context.Context) []portal.Finding {
			return append(d.c.Directory.Check(ctx), CheckTries(ctx, d.c.Settings, d.c.Directory))
		}})
	}
	list = append(list, d.publishedChecks()...)
	if d.c.Settings.OpenID.Issuer != "" {
		list = append(list, admin.Check{Name: "identity-provider", Run: d.checkProvider})
	}
	if d.c.Mail != nil {
		list = append(list, admin.Check{Name: "mail", Run: d.c.CheckMail})
	}
	return append(list, admin.Check{Name: "ledger", Run: d.checkAuditLog})
}

// checkSettings reads the settings and the files they name again: a file may have changed
// since the start.
func (d *Doctor) checkSettings(context.Context) []portal.Finding {
	var list []portal.Finding
	for _, m := range config.Split(errors.Join(d.c.Settings.Check(), d.c.Settings.CheckFiles())) {
		list = append(list, portal.Finding{What: cmp.Or(m.Key, "settings"), State: portal.FindingFailed, Text: m.Text})
	}
	if len(list) == 0 {
		list = append(list, portal.NewFinding("settings", portal.FindingOK, portal.Say("settings-fine", "every setting can be used, every file it names can be read")))
	}
	return list
}

// found is a finding: failed with the error, which has the words of another program, or OK
// with the sentence fine.
func found(what string, err error, fine portal.Sentence) portal.Finding {
	if err != nil {
		return portal.Finding{What: what, State: portal.FindingFailed, Text: err.Error()}
	}
	return portal.NewFinding(what, portal.FindingOK, fine)
}

func (d *Doctor) checkDatabase(ctx context.Context) []portal.Finding {
	began := time.Now()
	_, err := d.c.DB.Head(ctx)
	took := time.Since(began).Round(100 * time.Microsecond)
	fine := portal.Say("database-sqlite", "SQLite, one portal; answers in %v", took)
	if d.c.DB.Shared() {
		fine = portal.Say("database-postgres", "PostgreSQL, any number of portals; answers in %v", took)
	}
	return []portal.Finding{found("database", err, fine)}
}

func (d *Doctor) checkTLS(context.Context) []portal.Finding {
	served := d.c.TLS()
	if served == nil {
		return []portal.Finding{portal.NewFinding("TLS certificate", portal.FindingFailed, portal.Say("tls-none", "there is none"))}
	}
	if d.c.Settings.TLS.Certificate != "" {
		return CheckTLS(d.c.Settings, d.c.Public, d.c.Now())
	}
	host, end := d.c.Public.HTTPS.Hostname(), served.NotAfter.In(d.c.Settings.Location()).Format(time.DateOnly)
	state, said := portal.FindingOK, portal.Say("tls-ends", "ends on %s", end)
	if left := served.NotAfter.Sub(d.c.Now()); left < 14*24*time.Hour {
		state, said = portal.FindingWarning, portal.Say("tls-ends-soon", "ends on %s: renew it", end)
	}
	if err := served.VerifyHostname(host); err != nil {
		state, said = portal.FindingFailed, portal.Say("tls-other-host", "it is not for %s: browsers will warn all visitors", host)
	}
	return []portal.Finding{portal.NewFinding("TLS certificate", state, said)}
}

func (d *Doctor) checkProvider(ctx context.Context) []portal.Finding {
	return []portal.Finding{found("identity provider", d.c.Provider(ctx), portal.Say("provider-fine", "%s answers", d.c.Settings.OpenID.Issuer))}
}

func (d *Doctor) checkAuditLog(ctx context.Context) []portal.Finding {
	state, err := auditmonitor.StateOf(ctx, d.c.DB)
	if err == nil && state.Verification.Broken != nil {
		err = state.Verification.Broken
	}
	return []portal.Finding{found("ledger", err, portal.Say("ledger-fine", "%d entries, verified up to %d", state.Head.Seq, state.Verification.Seq))}
}

// LockOf returns the threshold that the tries of an account must stay below. Fine-grained
// policies of AD are not read, and may lock at signin.FineGrained where the domain does
// not. Of an LDAP directory no policy is read: the setting says what it bears.
func LockOf(s *config.Settings, lock directory.Lockout) int {
	switch {
	case s.Directory.Kind == config.KindLDAP:
		return s.SignIn.Tries + 1
	case lock.Threshold == 0:
		return signin.FineGrained
	}
	return lock.Threshold
}

// CheckTries compares the portal's own limit with the directory's lock.
func CheckTries(ctx context.Context, s *config.Settings, d *directory.LDAP) portal.Finding {
	state, said := portal.FindingOK, portal.Sentence{}
	lock, err := d.Lockout(ctx)
	if err != nil {
		return portal.NewFinding("sign_in.tries", portal.FindingFailed, portal.Say("tries-unread", "the lockout policy cannot be read: %v", err))
	}
	strangers, known, again := signin.ShareTries(LockOf(s, lock), s.SignIn.Tries)
	switch {
	case s.Directory.Kind == config.KindLDAP:
		said = portal.Say("tries-ldap", "%d for unknown browsers, %d for known ones, %d for sessions; together %d; keep that below the directory's own lock, which is not read",
			strangers, known, again, strangers+known+again)
	case lock.Threshold == 1:
		state = portal.FindingWarning
		said = portal.Say("tries-strict", "the directory locks an account at the first wrong password: nothing can stay below that; raise lockoutThreshold")
	case lock.Threshold == 0:
		said = portal.Say("tries-policy", "%d for unknown browsers, %d for known ones, %d for sessions; together below %d, where a fine-grained policy may lock; the domain has no lock of its own",
			strangers, known, again, signin.FineGrained)
	case strangers < s.SignIn.Tries || known == 0 || again == 0:
		state = portal.FindingWarning
		said = portal.Say("tries-few", "%d for unknown browsers, %d for known ones, %d for sessions; together below the directory's own lock at %d in %v; sign_in.tries is %d: raise lockoutThreshold to 10 or more",
			strangers, known, again, lock.Threshold, lock.Window, s.SignIn.Tries)
	default:
		said = portal.Say("tries-fine", "%d for unknown browsers, %d for known ones, %d for sessions; together below the directory's own lock at %d in %v",
			strangers, known, again, lock.Threshold, lock.Window)
	}
	return portal.NewFinding("sign_in.tries", state, said)
}
