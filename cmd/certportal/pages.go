package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"unicode"

	"certportal/ca"
	"certportal/web"
	"certportal/web/page"
)

// openPages builds the pages with the company's look and the trust anchors.
func (p *App) openPages(context.Context, *terminal) error {
	further, err := p.settings.anchors()
	if err != nil {
		return err
	}
	sso, err := p.singleSignOn()
	if err != nil {
		return err
	}
	if p.signer, err = p.profileSigner(); err != nil {
		return err
	}
	apple := p.settings.Apple
	p.web, err = web.New(web.Config{
		Registrar: p.registrar, SignIn: p.signIn, Sessions: p.db, Lists: p.lists, Renderer: p.renderer,
		Desk: p.desk, CodeAlone: p.settings.Helpdesk.CodeAlone, Mails: p.settings.Mail.Host != "",
		Anchors: append([]web.Anchor{
			{Name: rootName, Cert: p.authority.folder.Root(), Own: true},
			{Name: issuingName, Cert: p.authority.folder.Issuing(), Own: true, Issuing: true},
		}, further...),
		Org: p.settings.Organization, PublicURL: p.public.https,
		UsernameExample: "anna.schmidt", TrustedProxies: p.settings.proxies(),
		Services: p.services(), Admin: p.admin, SCEP: p.phoneKeys(),
		ProfileSigner: p.signer, Exchange: p.settings.exchange(),
		Apple: web.Apple{Identifier: apple.Identifier, Organization: apple.Organization, RemoveAtEnd: apple.RemoveAtEnd},
		Audit: p.db, SSO: sso, Languages: p.db, Log: p.log, Now: p.now,
		OCSP: countedOCSP{p.ocsp, &p.answers}, Online: p.onlineHealth, Served: p.requests.Served,
	})
	return err
}

// singleSignOn is the way in through an identity provider, or nil without one.
func (p *App) singleSignOn() (*web.SSO, error) {
	provider, err := p.settings.openOpenID(p.public.https.JoinPath(web.CallbackPath).String(), p.now, p.log)
	if err != nil || provider == nil {
		return nil, err
	}
	return &web.SSO{Provider: provider, Name: p.settings.OpenID.Name, PasswordOff: p.settings.OpenID.Only}, nil
}

// renderer reads what gives the pages their look.
func (s *Settings) renderer() (*page.Renderer, error) {
	c := page.Config{
		Org: s.Organization, Accent: s.Pages.Accent, Services: s.Pages.Services, PasswordURL: s.Pages.PasswordURL,
		Helpdesk: page.Helpdesk{Phone: s.Helpdesk.Phone, Mail: s.Helpdesk.Mail, Hours: s.Helpdesk.Hours},
	}
	if s.Pages.Logo != "" {
		var err error
		if c.Logo, err = os.ReadFile(s.Pages.Logo); err != nil {
			return nil, fmt.Errorf("pages.logo: %w", err)
		}
	}
	return page.New(c)
}

// anchors reads the further CA certificates devices must trust.
func (s *Settings) anchors() ([]web.Anchor, error) {
	var list []web.Anchor
	var errs []error
	taken := map[string]bool{rootName: true, issuingName: true, "chain": true}
	for i, a := range s.Anchors {
		certs, err := readAnchors(a.File)
		if err != nil {
			errs = append(errs, fmt.Errorf("anchors[%d] %s: %w", i, a.Name, err))
			continue
		}
		for _, cert := range certs {
			name := freeLabel(fileLabel(a.Name), taken)
			taken[name] = true
			list = append(list, web.Anchor{Name: name, Cert: cert})
		}
	}
	return list, errors.Join(errs...)
}

// freeLabel numbers a label that is empty or taken.
func freeLabel(label string, taken map[string]bool) string {
	if label == "" {
		label = "anchor"
	}
	free := label
	for n := 2; taken[free]; n++ {
		free = fmt.Sprintf("%s-%d", label, n)
	}
	return free
}

// proxies are the trusted networks; the settings were checked.
func (s *Settings) proxies() []netip.Prefix {
	var list []netip.Prefix
	for _, network := range s.TrustedProxies {
		if p, err := netip.ParsePrefix(network); err == nil {
			list = append(list, p)
		}
	}
	return list
}

func readAnchors(file string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return ca.ParseAnchors(text)
}

// fileLabel makes the name of an anchor fit for an address: lower-case letters,
// digits and hyphens.
func fileLabel(name string) string {
	label := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case unicode.IsSpace(r), r == '-', r == '_', r == '.':
			return '-'
		}
		return -1
	}, strings.ToLower(name))
	return strings.Trim(label, "-")
}
