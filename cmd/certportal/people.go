package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/enroll"
	"certportal/internal/escape"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/store"
)

type peopleCommands struct {
	Search peopleSearch `cmd:"" help:"Find people by name, login, mail or employee number."`
	Show   peopleShow   `cmd:"" help:"Show what the directory says of somebody, and whether they may have a certificate."`
}

type peopleSearch struct {
	Query []string `arg:"" help:"Beginnings of names; every word must fit."`
	Limit int      `default:"20" help:"At most so many."`
}

// Run prints who was found.
func (c peopleSearch) Run(i *invocation) error {
	return i.withPeople(func(ctx context.Context, people app.Directory, _ *config.Settings, _ *store.DB) error {
		found, more, err := people.Search(ctx, strings.Join(c.Query, " "), max(1, min(c.Limit, 1000)))
		var unread *portal.UnreadableError
		if err != nil && !errors.As(err, &unread) {
			return err
		}
		w := tabwriter.NewWriter(i.io.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "LOGIN\tNAME\tUPN\tDEPARTMENT\tSTATE")
		for _, p := range found {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", escape.Value(p.Login), escape.Value(p.Name), escape.Value(p.UPN), escape.Value(p.Department), accountState(p))
		}
		if unread != nil {
			for _, u := range unread.People {
				fmt.Fprintf(w, "%s\t%s\t\t\tunreadable: %s\n", escape.Value(u.Person.Login), escape.Value(u.Person.Name), escape.Value(u.Err.Error()))
			}
		}
		if more {
			fmt.Fprintln(w, "there are more: add letters")
		}
		return w.Flush()
	})
}

// accountState is the state of an account in one word.
func accountState(p portal.Person) string {
	switch {
	case p.Disabled:
		return "disabled"
	case p.Expired:
		return "expired"
	case p.Locked:
		return "locked"
	}
	return "active"
}

// signInBar says why the account cannot sign in even with the right password; empty when
// the directory names nothing.
func signInBar(p portal.Person) string {
	switch {
	case p.Disabled:
		return "the account is disabled"
	case p.Expired:
		return "the account has expired"
	case p.Locked:
		return "the directory locked the account after wrong passwords"
	case p.PasswordOld:
		return "the password has run out, or must be changed at the next logon"
	case p.SmartCard:
		return "the account may log on with a smart card only"
	case p.Workstations:
		return "the account may log on from certain computers only (userWorkstations)"
	}
	return ""
}

type peopleShow struct {
	Login string `arg:"" help:"Login name, UPN, mail or employee number."`
}

// Run prints one person.
func (c peopleShow) Run(i *invocation) error {
	return i.withPeople(func(ctx context.Context, people app.Directory, s *config.Settings, db *store.DB) error {
		found, more, err := people.Search(ctx, c.Login, 100)
		var unread *portal.UnreadableError
		if err != nil && !errors.As(err, &unread) {
			return err
		}
		if unread != nil { // Person says why
			for _, u := range unread.People {
				found = append(found, u.Person)
			}
		}
		one, err := onlyOne(found, more, c.Login)
		if err != nil {
			return err
		}
		p, err := people.Person(ctx, one.ID)
		if err != nil {
			return err
		}
		return i.printPerson(p, pauseLine(ctx, people, db, p.Login), enroll.Rules{
			RequireSID: people.RequiresSID(), EnrollProtected: s.Directory.InsecureEnrollProtected,
			EnrollGroup: s.Directory.Groups.EnrollName,
		})
	})
}

// onlyOne picks the person that was meant: the only one found, or the only one
// whose login or UPN is exactly what was asked for. One person's UPN may be
// another's login: that is a conflict to look into, and no answer.
func onlyOne(found []portal.Person, more bool, asked string) (portal.Person, error) {
	var exact []portal.Person
	for _, p := range found {
		if strings.EqualFold(p.Login, asked) || strings.EqualFold(p.UPN, asked) {
			exact = append(exact, p)
		}
	}
	switch {
	case len(exact) == 1:
		return exact[0], nil
	case len(found) == 0:
		return portal.Person{}, fmt.Errorf("the directory knows nobody called %q: %w", asked, portal.ErrNotFound)
	case len(found) > 1 || more:
		return portal.Person{}, fmt.Errorf("several people fit %q: certportal people search %s lists them", asked, asked)
	}
	return found[0], nil
}

// pauseLine says which pauses after wrong passwords the account has: they are the
// portal's own, and end by themselves.
func pauseLine(ctx context.Context, people app.Directory, db *store.DB, login string) string {
	if db == nil {
		return "not known: the database of the portal does not open here"
	}
	account, err := people.Canonical(ctx, login)
	if err != nil {
		return "not known: " + err.Error()
	}
	keys := signin.PausesOf(account)
	var pauses []string
	for _, k := range [][2]string{
		{keys.NewBrowsers, "browsers new to the account"}, {keys.KnownBrowsers, "browsers it used before"}, {keys.Sessions, "open sessions"},
	} {
		until, err := db.PausedUntil(ctx, k[0], time.Now())
		switch {
		case err != nil:
			return "not known: " + err.Error()
		case !until.IsZero():
			pauses = append(pauses, k[1]+" until "+until.UTC().Format("2006-01-02 15:04:05 UTC"))
		}
	}
	return cmp.Or(strings.Join(pauses, "; "), "none")
}

// rolesOf are the roles of a person, each once. All people are employees.
func rolesOf(p portal.Person) []portal.Role {
	roles := []portal.Role{portal.Employee}
	for _, r := range p.Roles {
		if !slices.Contains(roles, r) {
			roles = append(roles, r)
		}
	}
	return roles
}

func (i *invocation) printPerson(p portal.Person, pause string, rules enroll.Rules) error {
	verdict := "yes"
	var refusal *portal.Refusal
	if err := rules.Judge(p); errors.As(err, &refusal) {
		verdict = "no: " + strings.TrimSpace(string(refusal.Reason)+" "+refusal.Value)
	}
	signIn := "yes, with the right password"
	if why := signInBar(p); why != "" {
		signIn = "no: " + why
	}
	w := tabwriter.NewWriter(i.io.out, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"id", string(p.ID)}, {"login", p.Login}, {"name", p.Name}, {"upn", p.UPN}, {"sid", p.SID}, {"mail", mailLine(p)},
		{"employee number", p.EmployeeNumber}, {"department", p.Department}, {"state", accountState(p)},
		{"can sign in", signIn}, {"sign-in pauses", pause},
		{"roles", roleNames(rolesOf(p))}, {"protected", fmt.Sprint(p.Protected)}, {"may have a certificate", verdict},
	} {
		fmt.Fprintf(w, "%s\t%s\n", line[0], escape.Value(line[1]))
	}
	return w.Flush()
}

// mailLine is the mail address, and why it is not in certificates.
func mailLine(p portal.Person) string {
	why := p.MailLeftOut()
	if why == "" {
		return p.Mail
	}
	return cmp.Or(p.Mail, p.MailUnusable) + " (left out of certificates: " + why + ")"
}

// withPeople opens the directory of the settings to read. The database is that of the
// portal, which the built-in directory needs; with another one it is nil when it does not open, as
// before the portal first ran.
func (i *invocation) withPeople(do func(context.Context, app.Directory, *config.Settings, *store.DB) error) error {
	s, err := i.settings()
	if err != nil {
		return err
	}
	db, err := i.program().OpenExisting(i.ctx, s, i.quiet())
	switch {
	case err == nil:
		defer db.Close()
	case s.Directory.Kind == config.KindBuiltin:
		return err
	default:
		db = nil
	}
	return i.withSource(s, db, func(ctx context.Context, people app.Directory) error { return do(ctx, people, s, db) })
}
