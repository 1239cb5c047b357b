package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"certportal/ca"
	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/directory"
	"certportal/internal/portal"
)

type serveCommand struct{}

// Run serves until a signal. The first start makes database, TLS certificate, an
// administrator and, when the names in it were chosen, the CA.
func (serveCommand) Run(i *invocation) error {
	s, err := i.settings()
	if err != nil {
		return err
	}
	if err := namesChosen(s); err != nil {
		return err
	}
	return i.serve(s, func(ctx context.Context, p *app.App) error {
		p.LogSetup()
		announce(p, i)
		return firstAdministrator(ctx, p, i)
	})
}

// namesChosen refuses to make a CA under default names: they are in every certificate for
// as long as it lives. A CA that is there already has its names.
func namesChosen(s *config.Settings) error {
	if _, err := ca.OpenFolder(s.Path("ca")); !localca.NotCreated(err) {
		return nil // another error is reported when the CA is opened
	}
	var missing []string
	if s.Organization == config.Defaults().Organization {
		missing = append(missing, "organization (the name of the company)")
	}
	if s.PublicHTTPURL == "" {
		missing = append(missing, "public_http_url (the address of revocation lists, such as http://pki.corp.example)")
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("there is no CA in %s yet, and its certificates would carry defaults for years: set %s, "+
		"then create it with certportal ca init, or start again; to try the portal out, run certportal demo",
		s.Path("ca"), strings.Join(missing, " and "))
}

// serve runs a portal; ready is called when everything is open and before the
// first request is answered.
func (i *invocation) serve(s *config.Settings, ready func(context.Context, *app.App) error) (err error) {
	p, err := app.Open(i.ctx, i.program(), s, i.terminal(), i.logger(s))
	defer func() {
		if closing := p.Close(); err == nil {
			err = closing
		}
	}()
	if err != nil {
		return err
	}
	if err := ready(i.ctx, p); err != nil {
		return err
	}
	return p.Serve(i.ctx)
}

// announce prints where to go and what to compare.
func announce(p *app.App, i *invocation) {
	state := "certportal is ready."
	if p.CA.Ready() != nil {
		state = "certportal runs, but its CA is SEALED: nothing can be issued. The log says why."
	}
	fmt.Fprintf(i.io.out, "\n"+state+"\n\n"+
		"  Open            %s\n"+
		"  Root and lists  %s\n"+
		"  Root SHA-256    %s\n",
		p.Public.HTTPS, p.Public.HTTP.JoinPath("ca"), ca.Fingerprint(p.CA.Folder.Root()))
	if p.Public.Check != nil {
		fmt.Fprintf(i.io.out, "  Check page      %s, linked from each device\n", p.Public.Check.Host)
	}
	if names := p.CA.Folder.Issuing().CRLDistributionPoints; p.CA.Folder.OwnRoot() && len(names) > 0 && names[0] != localca.CRLURL(p.Public.HTTP, localca.RootName) {
		fmt.Fprintf(i.io.out, "\nThe CA was created for %s:\nuntil that address answers, servers cannot check the CA itself.\n", names[0])
	}
	if p.PassphraseMade {
		fmt.Fprintf(i.io.out, "\nA CA was created. The secrets in its folder are encrypted; the passphrase is in %s,\n"+
			"readable by you alone. For better protection move it elsewhere and set ca.passphrase_file.\n",
			p.Settings.DefaultPassphraseFile())
	}
	fmt.Fprintln(i.io.out)
}

// firstAdministrator adds an administrator when there is no account yet, and prints
// the password once.
func firstAdministrator(ctx context.Context, p *app.App, i *invocation) error {
	if p.Builtin == nil {
		return nil // the directory's groups say who is one
	}
	accounts, err := p.Builtin.Accounts(ctx)
	if err != nil || len(accounts) > 0 {
		return err
	}
	password := strings.ToLower(rand.Text())[:20]
	_, err = p.Builtin.Add(ctx, directory.NewAccount{
		Login: "admin", UPN: "admin@" + p.Settings.Directory.Domain, Name: "Administrator",
		Roles: []portal.Role{portal.Admin}, Password: password,
	}, byOperator())
	if errors.Is(err, portal.ErrConflict) {
		return nil // another portal, which starts now too, added it and shows its password
	}
	if err != nil {
		return err
	}
	named := "--data " + p.Settings.Data
	if i.cli.ConfigFile != "" { // which also names the database
		named = "--config " + i.cli.ConfigFile
	}
	_, err = fmt.Fprintf(i.io.out, "First administrator: admin, password %s\n"+
		"It is shown only now. Set another with: certportal %s user passwd admin --ask\n\n", password, named)
	return err
}

// quiet returns the logger for commands other than serve: warnings and errors only.
func (i *invocation) quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(i.io.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
}
