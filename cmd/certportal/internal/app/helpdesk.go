package app

import (
	"context"
	"time"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/helpdesk"
)

// openDesk makes the helpdesk service.
func (p *App) openDesk(context.Context, *config.Terminal) (err error) {
	h := p.Settings.Helpdesk
	c := helpdesk.Config{
		Directory: p.People, Store: p.DB, Registrar: p.Registrar, SignIn: p.SignIn,
		CodeLife: time.Duration(h.CodeHours) * time.Hour, PerHour: h.CodesPerHour,
		SecondPerson: p.Settings.Admin.SecondPerson, CodeAlone: h.CodeAlone, SecondApprover: h.SecondApprover, Now: p.Now, Log: p.log,
	}
	if p.mail != nil {
		c.Mail = p.mail
	}
	p.desk, err = helpdesk.New(c)
	return err
}
