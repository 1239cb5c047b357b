package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/revoker"
	"certportal/web"
)

// listenRevoker takes the port of the hosts of CAs that cannot be asked to revoke.
func (p *App) listenRevoker(ctx context.Context) (err error) {
	if p.Settings.ListenRevoker == "" {
		return nil
	}
	var lc net.ListenConfig
	if p.revokerPort, err = lc.Listen(ctx, "tcp", p.Settings.ListenRevoker); err != nil {
		return fmt.Errorf("listen_revoker: %w", explainListen(p.Settings.ListenRevoker, err))
	}
	return nil
}

// revokerServer answers them; nil where there are none.
func (p *App) revokerServer() *http.Server {
	if p.revokerPort == nil {
		return nil
	}
	c := revoker.Config{Store: p.DB, Now: p.Now, Log: slog.New(web.LimitLines(p.log.Handler(), p.Now))}
	settings := make(map[string]config.UpstreamSettings)
	for _, u := range p.Settings.Upstreams {
		if p.Settings.HasRevoker(u) {
			c.CAs, settings[u.Name] = append(c.CAs, u.Name), u
		}
	}
	c.Certificates = func(ca string) ([]*x509.Certificate, error) { return settings[ca].ReadRevoker() }
	of := revoker.New(c)
	s := p.server(of.Handler())
	s.TLSConfig, s.Protocols = of.TLS(p.tls.config()), onlyHTTP1()
	return s
}

// onlyHTTP1 is for servers that ask for client certificates: net/http adds HTTP/2 to what a
// configuration of TLS offers.
func onlyHTTP1() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	return &p
}

// RevocationScript makes the script for the host of a CA that cannot be asked to revoke.
func RevocationScript(s *config.Settings, name string) ([]byte, error) {
	i := slices.IndexFunc(s.Upstreams, func(u config.UpstreamSettings) bool { return u.Name == name })
	switch {
	case i < 0:
		return nil, fmt.Errorf("there is no %q among upstreams", name)
	case s.Upstreams[i].Kind == config.UpstreamEST:
		return nil, fmt.Errorf("%q is of kind est, and the script is for AD CS: it runs certutil. docs/upstream.md says what a program of yours sends", name)
	case !s.HasRevoker(s.Upstreams[i]):
		return nil, errors.New("set listen_revoker, and revoker_certificate of the CA: without them the portal does not answer the script")
	}
	public, err := s.ConfiguredAddresses()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(s.ListenRevoker)
	if err != nil {
		return nil, fmt.Errorf("listen_revoker: %w", err)
	}
	address := url.URL{Scheme: "https", Host: net.JoinHostPort(public.HTTPS.Hostname(), port)}
	return revoker.Script(revoker.Installation{Organization: s.Organization, Portal: address.String(), CA: name})
}
