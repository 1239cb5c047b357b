package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/admin"
	"certportal/internal/auditmonitor"
	"certportal/internal/portal"
)

// openAdmin wires the administrator's work with the parts it tells of.
func (p *App) openAdmin(context.Context, *config.Terminal) (err error) {
	p.admin, err = admin.New(admin.Config{
		Store: p.DB, Revoked: p.revoked, SecondPerson: p.Settings.Admin.SecondPerson,
		Alerts: p.concerns, Authority: authorityDesk{p}, Checks: &admin.Checks{List: p.checks()}, Staff: p.staffList, Now: p.Now, Log: p.log,
	})
	return err
}

// concerns says what needs attention. What cannot be asked is told as well.
func (p *App) concerns(ctx context.Context) []admin.Alert {
	list := p.authorityConcerns()
	if state, err := p.DB.DriftState(ctx); err != nil || !state.Stopped.IsZero() {
		list = append(list, admin.Alert{Key: "watch", Critical: true, At: state.Stopped, Value: string(state.Reason)})
	}
	list = append(list, p.mailConcerns(ctx)...)
	return append(list, p.ledgerConcerns(ctx)...)
}

func (p *App) mailConcerns(ctx context.Context) []admin.Alert {
	if p.mail == nil {
		return nil
	}
	state, err := p.mail.State(ctx)
	switch {
	case err != nil || !state.Failing.IsZero():
		return []admin.Alert{{Key: "mail", At: state.Failing, Value: state.Reason, Number: state.Waiting}}
	case state.Failed > 0:
		return []admin.Alert{{Key: "letters", Number: state.Failed}}
	}
	return nil
}

func (p *App) ledgerConcerns(ctx context.Context) []admin.Alert {
	state, err := auditmonitor.StateOf(ctx, p.DB)
	if err != nil {
		p.log.Error("reading state of the ledger", "err", err)
		return nil
	}
	var list []admin.Alert
	if b := state.Verification.Broken; b != nil {
		list = append(list, admin.Alert{Key: "ledger", Critical: true, Number: int(b.Seq), At: state.Verification.Since, Path: "/admin/audit"})
	}
	for _, r := range state.Cursors {
		if r.Failure != "" {
			list = append(list, admin.Alert{Key: "reader", At: r.Since, Value: r.Name, Number: int(state.Behind(r)), Path: "/admin/audit"})
		}
	}
	return list
}

// staffList is who has a role: accounts of the built-in directory, or the groups of
// another one.
func (p *App) staffList(ctx context.Context) (admin.Staff, error) {
	var staff admin.Staff
	if p.Builtin == nil {
		g := p.Settings.Directory.Groups
		for _, r := range []struct {
			role  portal.Role
			names []string
		}{{portal.Helpdesk, g.Helpdesk}, {portal.Auditor, g.Auditor}, {portal.Admin, g.Admin}} {
			for _, name := range r.names {
				staff.Groups = append(staff.Groups, admin.StaffGroup{Role: r.role, Name: name})
			}
		}
		return staff, nil
	}
	accounts, err := p.Builtin.Accounts(ctx)
	for _, a := range accounts {
		if a.Has(portal.Helpdesk) || a.Has(portal.Auditor) || a.Has(portal.Admin) {
			staff.People = append(staff.People, a.Person)
		}
	}
	return staff, err
}

// checks are what "config check --connect" looks at, and what of it only a running
// portal knows.
func (p *App) checks() []admin.Check {
	list := append([]admin.Check{
		{Name: "settings", Run: func(context.Context) []portal.Finding {
			return []portal.Finding{found("settings", errors.Join(p.Settings.Check(), p.Settings.CheckFiles()), "every setting can stand, every file it names can be read")}
		}},
		{Name: "database", Run: p.checkDatabase},
		{Name: "ca", Run: p.checkCA},
		{Name: "lists", Run: p.checkLists},
		{Name: "tls", Run: p.checkTLSNow},
	}, p.addressChecks()...)
	if p.ldap != nil {
		list = append(list, admin.Check{Name: "directory", Run: func(ctx context.Context) []portal.Finding {
			return append(p.ldap.Check(ctx), checkTries(ctx, p.Settings, p.ldap))
		}})
	}
	if p.Settings.OpenID.Issuer != "" {
		list = append(list, admin.Check{Name: "identity-provider", Run: p.checkProvider})
	}
	if p.mail != nil {
		list = append(list, admin.Check{Name: "mail", Run: func(ctx context.Context) []portal.Finding {
			return mailFindings(ctx, p.Settings)
		}})
	}
	return append(list, admin.Check{Name: "ledger", Run: p.checkLedger})
}

// found is one finding: failed with the error, or fine with the text.
func found(what string, err error, fine string) portal.Finding {
	if err != nil {
		return portal.Finding{What: what, State: portal.FindingFailed, Text: err.Error()}
	}
	return portal.Finding{What: what, State: portal.FindingOK, Text: fine}
}

func (p *App) checkDatabase(ctx context.Context) []portal.Finding {
	began := time.Now()
	_, err := p.DB.Head(ctx)
	engine := "SQLite, one portal"
	if p.DB.Shared() {
		engine = "PostgreSQL, any number of portals"
	}
	return []portal.Finding{found("database", err, fmt.Sprintf("%s; answers in %v", engine, time.Since(began).Round(100*time.Microsecond)))}
}

func (p *App) checkTLSNow(context.Context) []portal.Finding {
	served := p.tls.current.Load()
	if served == nil || served.Leaf == nil {
		return []portal.Finding{found("TLS certificate", errors.New("there is none"), "")}
	}
	f := portal.Finding{What: "TLS certificate", State: portal.FindingOK, Text: "ends on " + served.Leaf.NotAfter.Local().Format(time.DateOnly)}
	if left := served.Leaf.NotAfter.Sub(p.Now()); left < 14*24*time.Hour {
		f.State, f.Text = portal.FindingWarning, f.Text+": renew it"
	}
	if err := served.Leaf.VerifyHostname(p.Public.HTTPS.Hostname()); err != nil {
		f.State, f.Text = portal.FindingFailed, "it is not for "+p.Public.HTTPS.Hostname()+": browsers will warn everybody"
	}
	return []portal.Finding{f}
}

func (p *App) checkProvider(ctx context.Context) []portal.Finding {
	provider, err := openOpenID(p.Settings, config.UnusedRedirect, p.Now, p.log)
	if err == nil && provider != nil {
		err = provider.Check(ctx)
	}
	return []portal.Finding{found("identity provider", err, p.Settings.OpenID.Issuer+" answers")}
}

func (p *App) checkLedger(ctx context.Context) []portal.Finding {
	state, err := auditmonitor.StateOf(ctx, p.DB)
	if err == nil && state.Verification.Broken != nil {
		err = state.Verification.Broken
	}
	return []portal.Finding{found("ledger", err, fmt.Sprintf("%d entries, verified up to %d", state.Head.Seq, state.Verification.Seq))}
}
