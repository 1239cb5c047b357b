package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/notify"
	"certportal/internal/portal"
	"certportal/internal/servercert"
)

// CheckNames looks at the names that people read and that go into certificates. Before
// there is a CA, a default among those that certificates carry is a failure: they live for
// years.
func CheckNames(s *config.Settings, public config.Addresses, created bool) []portal.Finding {
	var list []portal.Finding
	add := func(what string, state portal.FindingState, key, format string, args ...any) {
		list = append(list, portal.NewFinding(what, state, portal.Say(key, format, args...)))
	}
	burned := portal.FindingWarning
	if !created {
		burned = portal.FindingFailed
	}
	if s.Organization == config.Defaults().Organization {
		add("organization", burned, "names-organization", "it is %q, the default, which is on every page and in the names of a new CA: write the name of your company", s.Organization)
	}
	if s.PublicHTTPURL == "" {
		add("public_http_url", burned, "names-http-unset", "it is not set, and %s goes into every certificate: write a name that outlives this machine, such as http://pki.corp.example", public.HTTP)
	} else {
		list = append(list, checkHost("public_http_url", public.HTTP, aloneHTTP)...)
	}
	if s.PublicURL == "" {
		add("public_url", portal.FindingWarning, "names-https-unset", "it is not set, and links lead to %s: write the address that people type, such as https://certificates.corp.example", public.HTTPS)
	} else {
		list = append(list, checkHost("public_url", public.HTTPS, aloneHTTPS)...)
	}
	if strings.EqualFold(public.HTTPS.Hostname(), public.HTTP.Hostname()) && s.PublicURL != "" && s.PublicHTTPURL != "" {
		add("public_http_url", portal.FindingWarning, "names-same-host", "it has the host of public_url: browsers that know %s by https open its plain-http addresses by https too; "+
			"and the address in certificates cannot move alone. Write a name of its own, such as http://pki.corp.example", public.HTTP.Hostname())
	}
	if m := s.Helpdesk.Mail; m != "" && !notify.Deliverable(m) {
		add("helpdesk.mail", portal.FindingFailed, "names-mail", "%q is no mail address: write one bare address, such as helpdesk@corp.example", m)
	}
	list = append(list, checkExchangeHost(s.Exchange.Host)...)
	if len(list) == 0 {
		add("names", portal.FindingOK, "names-fine", "the company and both public addresses have names of their own")
	}
	return list
}

// aloneHTTP, aloneHTTPS and aloneExchange say what does not work with a host that is this
// machine alone.
func aloneHTTP(host string) portal.Sentence {
	return portal.Say("host-alone-http", "%s is this machine alone: mail servers cannot fetch revocation lists and refuse every phone. Write a name that DNS knows in your network", host)
}

func aloneHTTPS(host string) portal.Sentence {
	return portal.Say("host-alone-https", "%s is this machine alone: phones cannot open the portal. Write a name that DNS knows in your network", host)
}

func aloneExchange(host string) portal.Sentence {
	return portal.Say("host-alone-exchange", "%s is this machine alone: phones find no mailbox there. Write a name that DNS knows in your network", host)
}

// checkHost looks at the host of a public address.
func checkHost(key string, u *url.URL, alone func(host string) portal.Sentence) []portal.Finding {
	host := u.Hostname()
	state, said := portal.FindingWarning, portal.Sentence{}
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil && ip.IsLoopback(), strings.EqualFold(host, "localhost"):
		state, said = portal.FindingFailed, alone(host)
	case err == nil:
		said = portal.Say("host-address", "%s is an address, which changes with the network and is in few TLS certificates: write a name", host)
	case !strings.Contains(host, "."):
		said = portal.Say("host-short", "%s is a name without a domain, which phones on other networks do not find: write it in full, such as %s.corp.example", host, host)
	default:
		return nil
	}
	return []portal.Finding{portal.NewFinding(key, state, said)}
}

// checkExchangeHost looks at the host of the mailbox on phones, which may have a port.
func checkExchangeHost(address string) []portal.Finding {
	const what = "exchange.host"
	if address == "" {
		return nil
	}
	host := strings.Trim(address, "[]")
	if name, _, err := net.SplitHostPort(address); err == nil {
		host = name
	}
	if !config.ValidHost(host) {
		return []portal.Finding{portal.NewFinding(what, portal.FindingFailed, portal.Say("exchange-host", "%q is no host name, and phones make no mailbox with it: write one such as mail.corp.example", address))}
	}
	return checkHost(what, &url.URL{Host: net.JoinHostPort(host, "443")}, aloneExchange)
}

// CheckTLS looks at the TLS certificate of the settings as a browser does. Behind
// reverse proxies browsers see that of the proxy, so that problems are warnings.
func CheckTLS(s *config.Settings, public config.Addresses, now time.Time) []portal.Finding {
	const what = "tls.certificate"
	if s.TLS.ACME.Directory != "" {
		return CheckACME(s, public)
	}
	if s.TLS.Certificate == "" {
		return []portal.Finding{portal.NewFinding(what, portal.FindingWarning,
			portal.Say("tls-own", "it is not set: the portal makes one from its own CA, and browsers warn until they trust that root. Name one from a CA that phones trust"))}
	}
	chain, err := tlsChain(s)
	if err != nil {
		return []portal.Finding{{What: what, State: portal.FindingFailed, Text: err.Error()}}
	}
	problems := servercert.Examine(chain, public.HTTPS.Hostname(), trustedRoots(s), now)
	if len(problems) == 0 {
		return []portal.Finding{portal.NewFinding(what, portal.FindingOK,
			portal.Say("tls-fine", "it is for %s, its chain is complete, and it ends on %s", public.HTTPS.Hostname(), chain[0].NotAfter.UTC().Format(time.DateOnly)))}
	}
	var list []portal.Finding
	behind := false
	for _, p := range problems {
		f := portal.NewFinding(what, portal.FindingWarning, p.Sentence)
		switch {
		case p.Failed && len(s.TrustedProxies) == 0:
			f.State = portal.FindingFailed
		case p.Failed:
			behind = true
		}
		list = append(list, f)
	}
	if behind {
		list = append(list, portal.NewFinding(what, portal.FindingWarning, portal.Say("tls-proxy", "browsers behind trusted_proxies see the certificate of the proxy")))
	}
	return list
}

// tlsChain reads the certificates of tls.certificate in their order.
func tlsChain(s *config.Settings) ([]*x509.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(s.TLS.Certificate, s.TLS.Key)
	if err != nil {
		return nil, err
	}
	var chain []*x509.Certificate
	for _, der := range pair.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, errors.Join(errors.New("reading the chain"), err)
		}
		chain = append(chain, cert)
	}
	return chain, nil
}

// trustedRoots are the CAs of this machine and the anchors of the settings; nil when this
// machine has none.
func trustedRoots(s *config.Settings) *x509.CertPool {
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil
	}
	for _, a := range s.Anchors {
		certs, err := a.Read()
		if err != nil {
			continue // reported with the files
		}
		for _, cert := range certs {
			roots.AddCert(cert)
		}
	}
	return roots
}
