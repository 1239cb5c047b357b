package app

import (
	"context"
	"fmt"
	"net/url"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/catalogue"
	"certportal/internal/notify"
	"certportal/internal/portal"
)

// openServer makes the client of the mail server; it connects when it sends.
func openServer(s *config.Settings, public *url.URL) (*notify.Server, error) {
	c := s.MailServer(public)
	var err error
	if c.Roots, err = config.ReadRoots(s.Mail.CAFile); err != nil {
		return nil, fmt.Errorf("mail.ca_file: %w", err)
	}
	return notify.NewServer(c)
}

// openMail makes the notifier, if a mail server is set.
func (p *App) openMail(context.Context, *config.Terminal) error {
	s := p.Settings
	if s.Mail.Host == "" {
		return nil
	}
	server, err := openServer(s, p.Public.HTTPS)
	if err != nil {
		return err
	}
	p.mail, err = notify.New(notify.Config{
		Store: p.DB, Directory: p.People, Server: server, Org: s.Organization, PublicURL: p.Public.HTTPS,
		HelpdeskPhone: s.Helpdesk.Phone, HelpdeskMail: s.Helpdesk.Mail, HelpdeskHours: catalogue.Text(s.Helpdesk.Hours),
		ServicesOpened: catalogue.Text(s.Pages.Services), Operators: s.Mail.Operators, Language: s.Mail.Language, CRLLife: s.Revocation.ListLife,
		RecallsPerHour: s.Mail.RecallsPerHour, Issues: func() bool { return p.CA.Ready() == nil },
		Location: s.Location(), Now: p.Now, Log: p.log,
	})
	return err
}

// mailFindings connects to the mail server without sending a message.
func mailFindings(ctx context.Context, s *config.Settings) []portal.Finding {
	if s.Mail.Host == "" {
		return nil
	}
	const what = "mail server"
	public, _ := url.Parse(s.PublicURL)
	server, err := openServer(s, public)
	if err == nil {
		err = server.Check(ctx)
	}
	switch {
	case err != nil:
		return []portal.Finding{{What: what, State: portal.FindingFailed, Text: err.Error()}}
	case s.Mail.Security == string(notify.NoTLS):
		return []portal.Finding{portal.NewFinding(what, portal.FindingWarning, portal.Say("mail-open", "%s takes mail, which can be read and changed on the way", s.Mail.Host))}
	case s.Mail.User == "":
		return []portal.Finding{portal.NewFinding(what, portal.FindingOK, portal.Say("mail-stranger", "%s takes mail, without signing in", s.Mail.Host))}
	}
	return []portal.Finding{portal.NewFinding(what, portal.FindingOK, portal.Say("mail-fine", "%s takes mail", s.Mail.Host))}
}
