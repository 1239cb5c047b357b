package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"certportal/ca"
	"certportal/web/page"
)

// Renderer reads what gives the pages their look.
func (s *Settings) Renderer() (*page.Renderer, error) {
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

// Proxies are the trusted networks; the settings were checked.
func (s *Settings) Proxies() []netip.Prefix {
	var list []netip.Prefix
	for _, network := range s.TrustedProxies {
		if p, err := netip.ParsePrefix(network); err == nil {
			list = append(list, p)
		}
	}
	return list
}

// Read gives the certificates of one entry of anchors, PEM or DER.
func (a AnchorSettings) Read() ([]*x509.Certificate, error) {
	text, err := os.ReadFile(a.File)
	if err != nil {
		return nil, err
	}
	return ca.ParseAnchors(text)
}

// checkAnchors reads the files of all anchors.
func (s *Settings) checkAnchors() error {
	var errs []error
	for i, a := range s.Anchors {
		if _, err := a.Read(); err != nil {
			errs = append(errs, fmt.Errorf("anchors[%d] %s: %w", i, a.Name, err))
		}
	}
	return errors.Join(errs...)
}
