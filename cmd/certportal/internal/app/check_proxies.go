package app

import (
	"fmt"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/portal"
)

// Networks of proxies shorter than these usually hold clients too.
const (
	shortIPv4 = 16
	shortIPv6 = 48
)

// proxyFindings explains how the address of a client is found behind proxies. What they
// really send shows only in requests: the running portal logs it.
func proxyFindings(s *config.Settings) []portal.Finding {
	var findings []portal.Finding
	for _, p := range s.Proxies() {
		f := portal.Finding{What: "trusted_proxies", State: portal.FindingOK}
		f.Text = fmt.Sprintf("%s: the client is the last address in X-Forwarded-For that is in no trusted network, with or "+
			"without a port (203.0.113.10, 203.0.113.10:5544, [2001:db8::7]:443); a request with another word such as "+
			"\"unknown\", or without the header, counts as the proxy's own, and the log says so once", p)
		if bits := p.Bits(); p.Addr().Is4() && bits < shortIPv4 || p.Addr().Is6() && bits < shortIPv6 {
			f.State = portal.FindingWarning
			f.Text = fmt.Sprintf("%s is a large network: a client inside it can choose the address that is logged and limited; "+
				"name the proxies alone", p)
		}
		findings = append(findings, f)
	}
	return findings
}
