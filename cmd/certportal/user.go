package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/escape"
	"certportal/internal/portal"
	"certportal/store"
)

type userCommands struct {
	Add     userAdd     `cmd:"" help:"Add a person."`
	List    userList    `cmd:"" help:"List all people."`
	Passwd  userPasswd  `cmd:"" help:"Set a person's password."`
	Disable userDisable `cmd:"" help:"Switch an account off: signed out, nothing issued, certificates revoked by the drift watch."`
	Enable  userEnable  `cmd:"" help:"Switch an account on again."`
	Remove  userRemove  `cmd:"" help:"Remove an account. Certificates stay on record and are revoked by the drift watch."`
}

// passwordSource holds the flags for a password. It is never a flag itself.
type passwordSource struct {
	PasswordFile string `placeholder:"FILE" help:"File with the password; - reads it from the input."`
	Ask          bool   `help:"Ask for the password, 10 characters or more. Default: one is made and printed."`
}

// password returns the password and whether it was generated.
func (p passwordSource) password(i *invocation) (secret string, made bool, err error) {
	var b []byte
	switch {
	case p.Ask, p.PasswordFile == "-":
		b, err = i.terminal().Password("Password: ")
	case p.PasswordFile != "":
		b, err = config.ReadSecret(p.PasswordFile)
	default:
		return strings.ToLower(rand.Text())[:20], true, nil
	}
	return string(b), false, err
}

// people is what the commands work on.
type people struct {
	*directory.Builtin
	settings *config.Settings
	db       *store.DB
}

// withDirectory opens the built-in directory for one command.
func (i *invocation) withDirectory(do func(context.Context, people) error) error {
	s, err := i.settings()
	if err != nil {
		return err
	}
	if s.Directory.Kind != config.KindBuiltin {
		return fmt.Errorf("people come from %s (directory.kind): change accounts there; certportal people shows them", s.Directory.Kind)
	}
	db, err := i.program().OpenExisting(i.ctx, s, i.quiet())
	if err != nil {
		return err
	}
	defer db.Close()
	builtin, err := directory.NewBuiltin(db)
	if err != nil {
		return err
	}
	return explain(do(i.ctx, people{builtin, s, db}), s)
}

// signOut ends all sessions of an account.
func (p people) signOut(ctx context.Context, login string) error {
	canonical, err := p.Canonical(ctx, login)
	if err != nil {
		return err
	}
	account, err := p.Person(ctx, portal.PersonID(canonical))
	if err != nil {
		return err
	}
	_, err = p.db.EndSessions(ctx, string(account.ID))
	return err
}

// explain turns what the directory answers into sentences for an operator.
func explain(err error, s *config.Settings) error {
	var refusal *portal.Refusal
	switch {
	case errors.As(err, &refusal) && refusal.Field == "password":
		return fmt.Errorf("the password is too short: use %d characters or more", refusal.Limit)
	case errors.As(err, &refusal):
		return fmt.Errorf("--%s %q is not well formed", refusal.Field, refusal.Value)
	case errors.Is(err, portal.ErrConflict):
		return errors.New("an account has that login, UPN or SID already: certportal user list shows all; " +
			"certportal user passwd LOGIN gives an account another password")
	case errors.Is(err, portal.ErrNotFound):
		return fmt.Errorf("there is no such account in the portal of %s; certportal user list shows all: %w", s.Data, err)
	}
	return err
}

// byOperator starts the audit entry of a command.
func byOperator() audit.Entry {
	return audit.Entry{At: time.Now(), Actor: "operator", Role: "operator"}
}

type userAdd struct {
	Login     string   `arg:"" help:"Login name."`
	UPN       string   `name:"upn" placeholder:"NAME@DOMAIN" help:"User principal name. Default: the login and directory.domain."`
	Name      string   `help:"Display name. Default: the login."`
	GivenName string   `help:"First name, for the name of the phone."`
	Mail      string   `help:"E-mail address, which goes into certificates."`
	SID       string   `name:"sid" placeholder:"S-1-5-21-…" help:"Windows security identifier, which goes into certificates."`
	Role      []string `enum:"employee,helpdesk,auditor,admin" default:"employee" help:"employee, helpdesk, auditor, admin; several with commas."`

	passwordSource `embed:""`
}

// Run adds the person and prints a password that was made.
func (c userAdd) Run(i *invocation) error {
	password, made, err := c.password(i)
	if err != nil {
		return err
	}
	return i.withDirectory(func(ctx context.Context, people people) error {
		if c.UPN == "" {
			c.UPN = strings.ToLower(strings.TrimSpace(c.Login)) + "@" + people.settings.Directory.Domain
		}
		var roles []portal.Role
		for _, r := range c.Role {
			roles = append(roles, portal.Role(r))
		}
		p, err := people.Add(ctx, directory.NewAccount{
			Login: c.Login, UPN: c.UPN, Name: c.Name, GivenName: c.GivenName,
			Mail: c.Mail, SID: c.SID, Roles: roles, Password: password,
		}, byOperator())
		if err != nil {
			return err
		}
		fmt.Fprintf(i.io.out, "added %s (%s)\n", escape.Value(p.Login), escape.Value(p.UPN))
		return printMade(i, password, made)
	})
}

func printMade(i *invocation, password string, made bool) error {
	if !made {
		return nil
	}
	_, err := fmt.Fprintf(i.io.out, "password: %s\n", password)
	return err
}

type userList struct{}

// Run prints a table of all people.
func (userList) Run(i *invocation) error {
	return i.withDirectory(func(ctx context.Context, people people) error {
		accounts, err := people.Accounts(ctx)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(i.io.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "LOGIN\tNAME\tUPN\tROLES\tSTATE")
		for _, a := range accounts {
			state := "active"
			if a.Disabled {
				state = "disabled"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", escape.Value(a.Login), escape.Value(a.Name), escape.Value(a.UPN), roleNames(a.Roles), state)
		}
		return w.Flush()
	})
}

func roleNames(roles []portal.Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return strings.Join(names, ",")
}

type userPasswd struct {
	Login string `arg:"" help:"Login name."`

	passwordSource `embed:""`
}

// Run sets the password and prints one that was made.
func (c userPasswd) Run(i *invocation) error {
	password, made, err := c.password(i)
	if err != nil {
		return err
	}
	return i.withDirectory(func(ctx context.Context, people people) error {
		if err := people.SetPassword(ctx, c.Login, password, byOperator()); err != nil {
			return err
		}
		return errors.Join(printMade(i, password, made), people.signOut(ctx, c.Login))
	})
}

type userDisable struct {
	Login string `arg:"" help:"Login name."`
}

// Run switches the account off.
func (c userDisable) Run(i *invocation) error { return setDisabled(i, c.Login, true) }

type userEnable struct {
	Login string `arg:"" help:"Login name."`
}

// Run switches the account on.
func (c userEnable) Run(i *invocation) error { return setDisabled(i, c.Login, false) }

func setDisabled(i *invocation, login string, disabled bool) error {
	return i.withDirectory(func(ctx context.Context, people people) error {
		if err := people.SetDisabled(ctx, login, disabled, byOperator()); err != nil {
			return err
		}
		return people.signOut(ctx, login)
	})
}

type userRemove struct {
	Login string `arg:"" help:"Login name."`
}

// Run removes the account.
func (c userRemove) Run(i *invocation) error {
	return i.withDirectory(func(ctx context.Context, people people) error {
		if err := people.signOut(ctx, c.Login); err != nil {
			return err
		}
		return people.Remove(ctx, c.Login, byOperator())
	})
}
