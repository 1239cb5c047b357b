package app

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"certportal/ca/fetch"
	"certportal/ca/upstream"
	"certportal/ca/upstream/adcs"
	"certportal/ca/upstream/certsrv"
	"certportal/ca/upstream/ejbca"
	"certportal/ca/upstream/est"
	"certportal/ca/upstream/step"
	"certportal/ca/upstream/vault"
	"certportal/ca/upstream/wire"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/doctor"
	"certportal/cmd/certportal/internal/hsm"
	"certportal/internal/enroll"
	"certportal/web"
)

// OpenUpstreams makes the clients of the CAs that the portal does not run: the one that
// issues, nil for the portal's own CA, and all. It sends nothing.
func OpenUpstreams(s *config.Settings, tokens *hsm.Tokens, now func() time.Time) (active *enroll.Upstream, all []*enroll.Upstream, err error) {
	for _, settings := range s.Upstreams {
		u, err := openUpstream(settings, keysOf(settings, tokens), now)
		if err != nil {
			return nil, nil, fmt.Errorf("upstream %s: %w", settings.Name, err)
		}
		if settings.Name == s.Certificates.Issuer {
			active = u
		}
		all = append(all, u)
	}
	return active, all, nil
}

func openUpstream(s config.UpstreamSettings, keys upstreamKeys, now func() time.Time) (*enroll.Upstream, error) {
	u := &enroll.Upstream{Name: enroll.UpstreamPrefix + s.Name, SIDByURI: s.SIDByURI, Template: s.Template, Domain: s.Domain, InFlight: s.InFlight, Restricts: s.Restricts()}
	var err error
	if u.Anchors, u.Intermediates, err = s.ReadChain(); err != nil {
		return nil, err
	}
	reach := wire.Config{URL: s.URL, Certificate: keys.client}
	if reach.Anchors, err = readAnchors(s.ServerCAFile); err != nil {
		return nil, err
	}
	if u.Policies, err = s.ParsePolicies(); err != nil {
		return nil, err
	}
	if reach.Kerberos, err = s.Kerberos(); err != nil {
		return nil, err
	}
	u.CA, err = upstreamClient(s, reach, keys, now)
	return u, err
}

// upstreamClient makes the client for the protocol of a CA.
func upstreamClient(s config.UpstreamSettings, reach wire.Config, keys upstreamKeys, now func() time.Time) (upstream.CA, error) {
	password := config.SecretOf(s.PasswordFile)
	user := s.User
	if reach.Kerberos != nil {
		user = "" // it is that of the keytab
	}
	switch s.Kind {
	case config.UpstreamStepCA:
		return made(step.New(step.Config{
			Wire: reach, Provisioner: s.Provisioner, Key: config.SecretOf(s.ProvisionerKeyFile), Password: password, Now: now,
		}))
	case config.UpstreamVault:
		return made(vault.New(vault.Config{
			Wire: reach, Namespace: s.Namespace, Mount: s.Mount, Role: s.Role, ByRole: s.ByRole,
			Login: vault.Login{
				Token: config.SecretOf(s.TokenFile), RoleID: s.AppRoleID, SecretID: config.SecretOf(s.AppRoleFile),
				CertificateRole: s.CertificateRole, Mount: s.LoginMount,
			},
		}))
	case config.UpstreamEST:
		return made(est.New(est.Config{Wire: reach, Label: s.Label, User: s.User, Password: password, Now: now}))
	case config.UpstreamEJBCA:
		return made(ejbca.New(ejbca.Config{
			Wire: reach, Authority: s.Authority, CertificateProfile: s.CertificateProfile, EndEntityProfile: s.EndEntityProfile,
			Prefix: s.Prefix, Secret: config.SecretOf(s.SecretFile),
		}))
	case config.UpstreamADCS:
		return made(adcs.New(adcs.Config{
			Wire: reach, Further: s.FurtherURLs, Username: user, Password: password, Template: s.Template, Agent: keys.agent, Now: now,
		}))
	case config.UpstreamCertsrv:
		return made(certsrv.New(certsrv.Config{
			Wire: reach, Username: user, Password: password, NTLM: s.NTLM, Template: s.Template, Agent: keys.agent, Now: now,
		}))
	}
	return nil, fmt.Errorf("there is no kind %q", s.Kind)
}

// made keeps a client that is nil because of an error from being a CA that is not.
func made[C upstream.CA](client C, err error) (upstream.CA, error) {
	if err != nil {
		return nil, err
	}
	return client, nil
}

// readAnchors reads the roots of a server's TLS certificate; none for an empty name.
func readAnchors(file string) ([]*x509.Certificate, error) {
	if file == "" {
		return nil, nil
	}
	return config.AnchorSettings{File: file}.Read()
}

// openUpstreams opens the CAs that the portal does not run.
func (p *App) openUpstreams(context.Context, *config.Terminal) (err error) {
	p.upstream, p.upstreams, err = OpenUpstreams(p.Settings, p.CA.Tokens(), p.Now)
	return err
}

// upstreamsToCheck makes the clients anew, from the files as they are now.
func upstreamsToCheck(s *config.Settings, tokens *hsm.Tokens, now func() time.Time) ([]doctor.Upstream, error) {
	active, all, err := OpenUpstreams(s, tokens, now)
	var list []doctor.Upstream
	for i, u := range all {
		keys := keysOf(s.Upstreams[i], tokens)
		list = append(list, doctor.Upstream{
			Name: strings.TrimPrefix(u.Name, enroll.UpstreamPrefix), CA: u.CA, Issues: u == active,
			Keys: func() error { return keys.check(now()) },
		})
	}
	return list, err
}

// upstreamLists fetches the revocation lists of the CAs elsewhere, some of which publish
// over https.
func upstreamLists(all []*enroll.Upstream) *fetch.Client {
	var roots []*x509.Certificate
	for _, u := range all {
		roots = append(roots, u.Anchors...)
	}
	return fetchClient(roots)
}

// upstreamAnchors are the certificates of the CAs elsewhere under /ca, without those listed.
func (p *App) upstreamAnchors(listed []web.Anchor) []web.Anchor {
	var list []web.Anchor
	for _, u := range p.upstreams {
		add := func(name string, certs []*x509.Certificate, issuing bool) {
			for n, cert := range certs {
				if !slices.ContainsFunc(slices.Concat(listed, list), func(a web.Anchor) bool { return a.Cert.Equal(cert) }) {
					list = append(list, web.Anchor{Name: numbered(name, n), Cert: cert, Own: true, Issuing: issuing, Former: u != p.upstream})
				}
			}
		}
		add(u.Name, u.Anchors, false)
		add(u.Name+"-issuing", u.Intermediates, true)
	}
	return list
}

// numbered is a name for the first, and with a number for those behind it.
func numbered(name string, n int) string {
	if n == 0 {
		return name
	}
	return fmt.Sprintf("%s-%d", name, n+1)
}
