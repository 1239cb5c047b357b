package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"slices"

	"certportal/cmd/certportal/internal/config"
)

// listenCheck takes the port of the check page. If the default port is taken, perhaps by
// another portal, this portal runs without.
func (p *App) listenCheck(ctx context.Context) (err error) {
	if p.Settings.ListenCheck == "" {
		return nil
	}
	var lc net.ListenConfig
	p.checkPort, err = lc.Listen(ctx, "tcp", p.Settings.ListenCheck)
	switch {
	case err == nil:
		return nil
	case p.Settings.ListenCheck == config.DefaultCheck:
		p.checkPort = nil
		p.log.Warn("no check page: its default port is taken; choose listen_check", "err", err)
		return nil
	}
	return fmt.Errorf("listen_check: %w", explainListen(p.Settings.ListenCheck, err))
}

// checkAddress is where the check page listens; nil without one.
func (p *App) checkAddress() net.Addr {
	if p.checkPort == nil {
		return nil
	}
	return p.checkPort.Addr()
}

// checkServer serves the check page; nil where there is none.
func (p *App) checkServer() *http.Server {
	if p.checkPort == nil {
		return nil
	}
	if p.Public.Check == nil {
		p.log.Warn("no page links to the check page, as the portal is behind a proxy: set public_check_url")
	}
	s := p.server(p.web.CheckHandler())
	s.TLSConfig, s.Protocols = p.checkTLS(), onlyHTTP1()
	return s
}

// checkTLS asks for a client certificate and requires none. It is not verified in the
// handshake, so that a page can say what is wrong with it. HTTP/2 and sessions that are
// resumed would keep the first choice of a certificate; every visit is a new one.
func (p *App) checkTLS() *tls.Config {
	c := p.tls.config()
	c.ClientAuth, c.NextProtos = tls.RequestClientCert, []string{"http/1.1"}
	c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		of := c.Clone()
		of.GetConfigForClient, of.ClientCAs = nil, p.clientCAs()
		return of, nil
	}
	return c
}

// clientCAs are the CAs that the handshake names, so that it offers certificates of this
// portal only (RFC 8446 section 4.2.4).
func (p *App) clientCAs() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, of := range p.CA.Line.All() {
		pool.AddCert(of.Certificate)
		for _, above := range of.Chain {
			pool.AddCert(above)
		}
	}
	for _, u := range p.upstreams {
		for _, cert := range slices.Concat(u.Anchors, u.Intermediates) {
			pool.AddCert(cert)
		}
	}
	return pool
}
