package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
		list = append(list, portal.Finding{What: "settings", State: portal.FindingOK, Text: "every setting can be used, every file it names can be read"})
	}
	return list
}

// found is a finding: failed with the error, or OK with the text fine.
func found(what string, err error, fine string) portal.Finding {
	if err != nil {
		return portal.Finding{What: what, State: portal.FindingFailed, Text: err.Error()}
	}
	return portal.Finding{What: what, State: portal.FindingOK, Text: fine}
}

func (d *Doctor) checkDatabase(ctx context.Context) []portal.Finding {
	began := time.Now()
	_, err := d.c.DB.Head(ctx)
	engine := "SQLite, one portal"
	if d.c.DB.Shared() {
		engine = "PostgreSQL, any number of portals"
	}
	return []portal.Finding{found("database", err, fmt.Sprintf("%s; answers in %v", engine, time.Since(began).Round(100*time.Microsecond)))}
}

func (d *Doctor) checkTLS(context.Context) []portal.Finding {
	served := d.c.TLS()
	if served == nil {
		return []portal.Finding{found("TLS certificate", errors.New("there is none"), "")}
	}
	if d.c.Settings.TLS.Certificate != "" {
		return CheckTLS(d.c.Settings, d.c.Public, d.c.Now())
	}
	f := portal.Finding{What: "TLS certificate", State: portal.FindingOK, Text: "ends on " + served.NotAfter.In(d.c.Settings.Location()).Format(time.DateOnly)}
	if left := served.NotAfter.Sub(d.c.Now()); left < 14*24*time.Hour {
		f.State, f.Text = portal.FindingWarning, f.Text+": renew it"
	}
	if err := served.VerifyHostname(d.c.Public.HTTPS.Hostname()); err != nil {
		f.State, f.Text = portal.FindingFailed, "it is not for "+d.c.Public.HTTPS.Hostname()+": browsers will warn everybody"
	}
	return []portal.Finding{f}
}

func (d *Doctor) checkProvider(ctx context.Context) []portal.Finding {
	return []portal.Finding{found("identity provider", d.c.Provider(ctx), d.c.Settings.OpenID.Issuer+" answers")}
}

func (d *Doctor) checkAuditLog(ctx context.Context) []portal.Finding {
	state, err := auditmonitor.StateOf(ctx, d.c.DB)
	if err == nil && state.Verification.Broken != nil {
		err = state.Verification.Broken
	}
	return []portal.Finding{found("ledger", err, fmt.Sprintf("%d entries, verified up to %d", state.Head.Seq, state.Verification.Seq))}
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
	f := portal.Finding{What: "sign_in.tries", State: portal.FindingOK}
	lock, err := d.Lockout(ctx)
	if err != nil {
		f.State, f.Text = portal.FindingFailed, "the lockout policy cannot be read: "+err.Error()
		return f
	}
	strangers, known, again := signin.ShareTries(LockOf(s, lock), s.SignIn.Tries)
	f.Text = fmt.Sprintf("%d for unknown browsers, %d for known ones, %d for sessions, together ", strangers, known, again)
	switch {
	case s.Directory.Kind == config.KindLDAP:
		f.Text += fmt.Sprintf("%d; keep that below the directory's own lock, which is not read", strangers+known+again)
	case lock.Threshold == 1:
		f.State = portal.FindingWarning
		f.Text = "the directory locks an account at the first wrong password: nothing can stay below that; raise lockoutThreshold"
	case lock.Threshold == 0:
		f.Text += fmt.Sprintf("below %d, where a fine-grained policy may lock; the domain has no lock of its own", signin.FineGrained)
	default:
		f.Text += fmt.Sprintf("below the directory's own lock at %d in %v", lock.Threshold, lock.Window)
		if strangers < s.SignIn.Tries || known == 0 || again == 0 {
			f.State = portal.FindingWarning
			f.Text += fmt.Sprintf("; sign_in.tries is %d: raise lockoutThreshold to 10 or more", s.SignIn.Tries)
		}
	}
	return f
}
