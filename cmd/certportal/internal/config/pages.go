package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"certportal/ca"
	"certportal/internal/catalogue"
	"certportal/web/page"
)

// Location is the zone of times on pages and in mail; the settings were checked.
func (s *Settings) Location() *time.Location {
	zone, err := s.location()
	if err != nil {
		return time.Local
	}
	return zone
}

func (s *Settings) location() (*time.Location, error) {
	if s.Pages.TimeZone == "" {
		return time.Local, nil
	}
	return time.LoadLocation(s.Pages.TimeZone)
}

// Renderer reads what gives the pages their look.
func (s *Settings) Renderer() (*page.Renderer, error) {
	c := page.Config{
		Org: s.Organization, Accent: s.Pages.Accent, Services: catalogue.Text(s.Pages.Services), PasswordURL: s.Pages.PasswordURL,
		Location: s.Location(),
		Helpdesk: page.Helpdesk{Phone: s.Helpdesk.Phone, Mail: s.Helpdesk.Mail, Hours: catalogue.Text(s.Helpdesk.Hours), AfterHours: s.Helpdesk.AfterHoursPhone},
	}
	if s.Pages.Logo != "" {
		var err error
		if c.Logo, err = os.ReadFile(s.Pages.Logo); err != nil {
			return nil, fmt.Errorf("pages.logo: %w", err)
		}
	}
	r, err := page.New(c)
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	return r, nil
}

// Proxies are the trusted networks; the settings were checked.
func (s *Settings) Proxies() []netip.Prefix {
	var list []netip.Prefix
	for _, network := range s.TrustedProxies {
		if p, err := parseNetwork(network); err == nil {
			list = append(list, p)
		}
	}
	return list
}

// parseNetwork reads a network of proxies. Its error says how to write it.
func parseNetwork(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil && !p.Addr().Is4In6() {
		return p.Masked(), nil
	}
	if a, err := netip.ParseAddrPort(s); err == nil {
		a := a.Addr().Unmap().WithZone("")
		return netip.Prefix{}, fmt.Errorf("write the network of the proxy without a port, such as %s/%d", a, a.BitLen())
	}
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.Prefix{}, fmt.Errorf("write a network: %s/%d for this address alone", a, a.BitLen())
	}
	return netip.Prefix{}, errors.New("write a network such as 10.0.0.0/24")
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
