package app

import (
	"context"

	"certportal/cmd/certportal/internal/config"
	"certportal/web"
)

// openPages builds the pages with the company's look and the trust anchors.
func (p *App) openPages(context.Context, *config.Terminal) error {
	further, err := anchors(p.Settings)
	if err != nil {
		return err
	}
	p.further = further
	sso, err := p.singleSignOn()
	if err != nil {
		return err
	}
	if p.signer, err = p.profileSigner(); err != nil {
		return err
	}
	apple := p.Settings.Apple
	p.web, err = web.New(web.Config{
		Registrar: p.Registrar, SignIn: p.SignIn, Store: p.DB, CRLs: p.lists, Renderer: p.renderer, Secret: p.CA.Secret,
		Helpdesk: p.desk, CodeAlone: p.Settings.Helpdesk.CodeAlone, Mails: p.Settings.Mail.Host != "",
		Anchors: p.anchors(), Org: p.Settings.Organization, PublicURL: p.Public.HTTPS, CheckURL: p.Public.Check, CheckHeader: p.Settings.CheckHeader,
		UsernameExample: "anna.schmidt", TrustedProxies: p.Settings.Proxies(),
		Services: p.services(), Admin: p.admin, SCEP: p.phoneKeys(),
		ProfileSigner: p.signer, Exchange: p.Settings.ExchangeAccount(),
		Apple: web.Apple{Identifier: apple.Identifier, Organization: apple.Organization, RemoveAtEnd: apple.RemoveAtEnd},
		SSO:   sso, Log: p.log, Now: p.Now,
		ExchangeScript: p.scriptForPages(),
		OCSP:           countedOCSP{&p.ocsp, &p.answers}, OCSPHealth: p.ocspHealth, Served: p.requests.Served,
		Challenge: p.answerChallenge(),
	})
	return err
}

// singleSignOn is the way in through an identity provider, or nil without one.
func (p *App) singleSignOn() (*web.SSO, error) {
	provider, err := openOpenID(p.Settings, p.Public.HTTPS.JoinPath(web.CallbackPath).String(), p.Now, p.log)
	if err != nil || provider == nil {
		return nil, err
	}
	return &web.SSO{Provider: provider, Name: p.Settings.OpenID.Name, PasswordOff: p.Settings.OpenID.Only}, nil
}
