package config

import (
	"errors"
	"net"
	"net/url"
	"regexp"
	"strings"
)

// DefaultCheck is where the check page is when no setting says otherwise. Two portals on one
// machine share this default, so the one that comes second goes without.
const DefaultCheck = ":8444"

func (s *Settings) checkCheckPage() error {
	var errs []error
	if s.ListenCheck != "" && !listenable(s.ListenCheck) {
		errs = append(errs, mistake("listen_check", s.ListenCheck, "write ADDRESS:PORT with a port of 0 to 65535, or nothing for none"))
	}
	if err := checkURL("public_check_url", s.PublicCheckURL, "https"); err != nil {
		errs = append(errs, err)
	} else if s.PublicCheckURL != "" && sameOrigin(s.PublicCheckURL, s.PublicURL) {
		errs = append(errs, mistake("public_check_url", s.PublicCheckURL,
			"it is the address of the portal itself, where browsers would then ask for certificates: choose another port or name"))
	}
	if h := s.CheckHeader; h != "" {
		switch {
		case !regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,62}$`).MatchString(h):
			errs = append(errs, mistake("check_header", h, "write the name of a header, letters, digits and hyphens"))
		case len(s.TrustedProxies) == 0:
			errs = append(errs, mistake("check_header", h, "name the proxy in trusted_proxies too: from all others the header is ignored"))
		}
	}
	return errors.Join(errs...)
}

// sameOrigin reports whether two valid https addresses are one origin.
func sameOrigin(a, b string) bool {
	origin := func(s string) string {
		u, err := url.Parse(s)
		if err != nil {
			return s
		}
		port := u.Port()
		if port == "" {
			port = "443"
		}
		return strings.ToLower(u.Hostname()) + ":" + port
	}
	return origin(a) == origin(b)
}

// checkURLOf is the address of the check page: the setting, else the portal's host with the
// port that is listened on.
func (s *Settings) checkURLOf(https *url.URL, listening net.Addr) (*url.URL, error) {
	if s.PublicCheckURL != "" {
		return url.Parse(strings.TrimRight(s.PublicCheckURL, "/"))
	}
	_, port, err := net.SplitHostPort(listening.String())
	if err != nil {
		return nil, err
	}
	host := https.Hostname()
	if port != "443" {
		return &url.URL{Scheme: "https", Host: net.JoinHostPort(host, port)}, nil
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return &url.URL{Scheme: "https", Host: host}, nil
}
