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

// check is one check with what it needs.
type check struct {
	name, group string
	needs       []part
	sections    []string // of the settings; with a mistake in one the check cannot run
	run         func(context.Context) []portal.Finding
}

// Checks returns the checks of an installation, for the administrators' page and the
// command. One that lacks what it needs is skipped: the check of that says why.
func (d *Doctor) Checks() []admin.Check {
	var list []admin.Check
	for _, c := range d.checks() {
		list = append(list, admin.Check{Name: c.name, Group: c.group, Run: d.guard(c)})
	}
	return list
}

func (d *Doctor) checks() []check {
	return slices.Concat([]check{
		{name: "settings", run: d.checkSettings},
		{name: "names", run: d.checkNames},
		{name: "database", needs: []part{tried}, sections: []string{"database", "database_file"}, run: d.checkDatabase},
		{name: "ca", needs: []part{tried}, sections: []string{"ca"}, run: d.checkCA},
		{name: "lists", needs: []part{database, authority}, run: d.checkCRLs},
		{name: "tls", needs: []part{tried}, sections: []string{"tls"}, run: tlsCheck{d}.run},
		{name: "profiles", sections: []string{"apple"}, run: d.checkProfiles},
	}, d.upstreamChecks(), d.siteChecks(), d.addressChecks(), d.companyChecks(), d.directoryChecks(), []check{
		{name: "ledger", needs: []part{database}, run: d.checkAuditLog},
	}, d.machineChecks())
}

// directoryChecks look at the servers that know people, and at the mail server.
func (d *Doctor) directoryChecks() []check {
	var list []check
	if d.c.Directory != nil {
		list = append(list, check{name: "directory", sections: []string{"directory", "sign_in"}, run: func(ctx context.Context) []portal.Finding {
			return d.checkDirectory(ctx)
		}})
	}
	list = append(list, d.publishedChecks()...)
	list = append(list, d.peopleChecks()...)
	if d.c.Settings.OpenID.Issuer != "" {
		list = append(list, check{name: "identity-provider", sections: []string{"openid"}, run: d.checkProvider})
	}
	return append(list, check{name: "mail", sections: []string{"mail"}, run: d.checkMail})
}

// checkNames leaves out names that the settings have wrong: they are reported there.
func (d *Doctor) checkNames(context.Context) []portal.Finding {
	list := CheckNames(d.c.Settings, d.c.Public, true)
	if d.c.Outside == nil || d.c.Outside.Wrong == nil {
		return list
	}
	return slices.DeleteFunc(list, func(f portal.Finding) bool { return d.c.Outside.Wrong.In(f.What) })
}

// checkDirectory asks the directory. When it refuses the account, its policy cannot be read
// either.
func (d *Doctor) checkDirectory(ctx context.Context) []portal.Finding {
	list := d.c.Directory.Check(ctx)
	if portal.WorstFinding(list) == portal.FindingFailed {
		return list
	}
	return append(list, CheckTries(ctx, d.c.Settings, d.c.Directory))
}

// checkMail asks the mail server, and looks at the codes that are sent by mail.
func (d *Doctor) checkMail(ctx context.Context) []portal.Finding {
	list := CheckCodes(d.c.Settings)
	if d.c.Settings.Mail.Host == "" {
		return append(list, portal.NewFinding("mail.host", portal.FindingInfo,
			portal.Say("mail-none", "it is empty: people get no mail about certificates, and administrators get none about problems")))
	}
	return append(list, d.c.CheckMail(ctx)...)
}

// CheckCodes warns of pickup codes that replace a password, and of those that cannot be
// mailed.
func CheckCodes(s *config.Settings) []portal.Finding {
	var all []portal.Finding
	h := s.Helpdesk
	if h.CodeAlone {
		all = append(all, portal.NewFinding("helpdesk.code_alone", portal.FindingWarning,
			portal.Say("code-alone", "a pickup code replaces the password: an attacker who reads a person's mailbox gets their certificate; "+
				"remove the setting unless people have no other way in")))
	}
	if (h.CodeAlone || h.SecondApprover) && s.Mail.Host == "" {
		all = append(all, portal.NewFinding("pickup codes", portal.FindingFailed,
			portal.Say("code-no-mail", "helpdesk.code_alone and helpdesk.second_approver send codes by mail only, and mail.host is empty: no code can be made")))
	}
	return all
}

// checkSettings reads the settings and the files they name again: a file may have changed
// since the start.
func (d *Doctor) checkSettings(context.Context) []portal.Finding {
	var list []portal.Finding
	mistakes := config.Split(errors.Join(d.c.Settings.Check(), d.c.Settings.CheckFiles()))
	if d.c.Outside != nil && d.c.Outside.Wrong != nil {
		mistakes = d.c.Outside.Wrong.List // also of the file, which the settings do not show
	}
	for _, m := range withoutPermissions(d.c.Settings, mistakes) {
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
	if d.c.DB == nil {
		return []portal.Finding{{What: "database", State: portal.FindingFailed, Text: d.dbErr.Error(), Todo: d.databaseTodo(d.dbErr)}}
	}
	began := time.Now()
	_, err := d.c.DB.Head(ctx)
	if err == nil {
		err = d.c.DB.CheckSchema(ctx)
	}
	took := time.Since(began).Round(100 * time.Microsecond)
	fine := portal.Say("database-sqlite", "SQLite, one portal; answers in %v", took)
	if d.c.DB.Shared() {
		fine = portal.Say("database-postgres", "PostgreSQL, any number of portals; answers in %v", took)
	}
	f := found("database", err, fine)
	if err != nil {
		f.Todo = d.databaseTodo(err)
	}
	return []portal.Finding{f}
}

func (d tlsCheck) run(ctx context.Context) []portal.Finding {
	list := append(d.served(), d.orders(ctx)...)
	if d.c.Settings.TLS.ACME.Directory != "" {
		for i := range list {
			list[i].Todo = todoACME
		}
	}
	return list
}

// served looks at the certificate that people get.
func (d tlsCheck) served() []portal.Finding {
	served := d.c.TLS()
	if served == nil {
		f := portal.NewFinding("TLS certificate", portal.FindingFailed, portal.Say("tls-none", "there is none"))
		if d.c.Settings.TLS.Certificate == "" {
			f.Todo = todoOwn
		}
		return []portal.Finding{f}
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
