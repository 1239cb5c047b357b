package app

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/hsm"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/samba"
	"certportal/internal/test/standin"
	pages "certportal/internal/test/standin/certsrv"
	"certportal/internal/test/standin/ces"
	"certportal/internal/test/standin/negotiate"
	"certportal/internal/test/standin/step"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// Every kind that the settings know has its client, and the doctor asks it.
func TestOpenUpstreamsOfEveryKind(t *testing.T) {
	dir := t.TempDir()
	server := standin.Start(t, nil, nil)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		testkit.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	one := config.UpstreamSettings{
		URL: server.URL, Chain: write("chain.pem", certificatesPEM(server.Chain...)), ServerCAFile: write("server.pem", certificatesPEM(server.TLS)),
	}
	s := &config.Settings{Certificates: config.CertificateSettings{Issuer: "vault"}}
	for kind, change := range map[string]func(*config.UpstreamSettings){
		config.UpstreamStepCA: func(u *config.UpstreamSettings) {
			u.Provisioner, u.ProvisionerKeyFile = "p", write("key", "{}")
		},
		config.UpstreamVault: func(u *config.UpstreamSettings) { u.Role, u.TokenFile = "r", write("token", "t") },
		config.UpstreamEST:   func(u *config.UpstreamSettings) { u.User, u.PasswordFile = "u", write("password", "p") },
		config.UpstreamEJBCA: func(u *config.UpstreamSettings) {
			u.Authority, u.CertificateProfile, u.EndEntityProfile, u.SecretFile = "a", "c", "e", write("secret", "0123456789012345678901234567890123")
			u.Certificate, u.Key = "c.pem", "k.pem"
		},
		config.UpstreamADCS: func(u *config.UpstreamSettings) { u.Template, u.Certificate, u.Key = "User", "c.pem", "k.pem" },
		config.UpstreamCertsrv: func(u *config.UpstreamSettings) {
			u.Template, u.User, u.PasswordFile = "User", `CORP\portal`, write("password", "p")
		},
	} {
		u := one
		u.Name, u.Kind = kind, kind
		change(&u)
		s.Upstreams = append(s.Upstreams, u)
	}
	active, all, err := OpenUpstreams(s, localca.Tokens(s), time.Now)
	testkit.NoError(t, err)
	if active == nil || active.Name != "upstream-vault" || len(all) != 6 {
		t.Fatalf("active %+v of %d", active, len(all))
	}
	for _, u := range all {
		if len(u.Anchors) != 1 || len(u.Intermediates) != 1 {
			t.Errorf("%s: %d roots and %d below", u.Name, len(u.Anchors), len(u.Intermediates))
		}
		if _, err := u.CA.Probe(t.Context()); err == nil {
			t.Errorf("%s: a server that answers nothing passes the check", u.Name)
		}
	}
	s.Upstreams[0].Chain = write("below.pem", certificatesPEM(server.Chain[0]))
	if _, _, err := OpenUpstreams(s, localca.Tokens(s), time.Now); err == nil {
		t.Error("a chain without a root is accepted")
	}
}

// The doctor's check is green only for a CA that answers.
func TestUpstreamsToCheck(t *testing.T) {
	dir := t.TempDir()
	company := step.Start(t)
	key, err := company.Key()
	testkit.NoError(t, err)
	for name, text := range map[string]string{
		"chain.pem": certificatesPEM(company.Chain...), "server.pem": certificatesPEM(company.TLS), "key.jwk": key,
	} {
		testkit.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	s := &config.Settings{
		Certificates: config.CertificateSettings{Issuer: "company"},
		Upstreams: []config.UpstreamSettings{{
			Name: "company", Kind: config.UpstreamStepCA, URL: company.URL, Chain: filepath.Join(dir, "chain.pem"),
			ServerCAFile: filepath.Join(dir, "server.pem"), Provisioner: step.Provisioner, ProvisionerKeyFile: filepath.Join(dir, "key.jwk"),
		}},
	}
	list, err := upstreamsToCheck(s, localca.Tokens(s), time.Now)
	testkit.NoError(t, err)
	if len(list) != 1 || list[0].Name != "company" || !list[0].Issues {
		t.Fatalf("checks %+v", list)
	}
	if _, err := list[0].CA.Probe(t.Context()); err != nil {
		t.Errorf("a CA that runs: %v", err)
	}
	if company.Submits() != 0 {
		t.Error("the check asked for a certificate")
	}
}

// adcsSettings are those of a stand-in of AD CS, with the keys in plain files.
func adcsSettings(t *testing.T, server *ces.CA) config.Settings {
	t.Helper()
	dir := t.TempDir()
	client := testkit.Must(server.ClientCertificate(t)())(t)
	agent, agentKey := server.Company.Agent(t, time.Now().Add(time.Hour))
	clientLeaf := testkit.Must(x509.ParseCertificate(client.Certificate[0]))(t)
	for name, text := range map[string]string{
		"chain.pem": certificatesPEM(server.Chain...), "server.pem": certificatesPEM(server.TLS),
		"client.pem": certificatesPEM(clientLeaf), "client.key": keyPEM(t, client.PrivateKey),
		"agent.pem": certificatesPEM(agent), "agent.key": keyPEM(t, agentKey),
	} {
		testkit.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	s := config.Defaults()
	s.Certificates.Issuer = "company"
	s.Upstreams = []config.UpstreamSettings{{
		Name: "company", Kind: config.UpstreamADCS, URL: server.CertificateURL(), Chain: filepath.Join(dir, "chain.pem"),
		ServerCAFile: filepath.Join(dir, "server.pem"), Template: "PortalUser", Domain: "CORP",
		Certificate: filepath.Join(dir, "client.pem"), Key: filepath.Join(dir, "client.key"),
		AgentCertificate: filepath.Join(dir, "agent.pem"), AgentKey: filepath.Join(dir, "agent.key"),
	}}
	return s
}

// upstreamPortal is a portal whose issuer is the upstream of the settings, and anna.
func upstreamPortal(t *testing.T, s *config.Settings, tokens *hsm.Tokens) (*fixture.Portal, portal.Person) {
	t.Helper()
	active, all, err := OpenUpstreams(s, tokens, time.Now)
	testkit.NoError(t, err)
	profile, err := userProfile(s, false)
	testkit.NoError(t, err)
	p := fixture.NewPortalAt(t, testkit.NewRunningClock(), fixture.SQLite(t), func(c *enroll.Config) {
		c.Upstream, c.Upstreams, c.Profile = active, all, profile
	})
	return p, p.Add("anna", fixture.SIDPrefix+"1101")
}

// Through AD CS: the agent asks for the person by DOMAIN\name, for the template of the
// settings, and what comes back is the person's.
func TestUpstreamThroughADCS(t *testing.T) {
	server := ces.Start(t)
	s := adcsSettings(t, server)
	p, anna := upstreamPortal(t, &s, localca.Tokens(&s))
	done := p.MustEnroll(anna, "Phone", "form")
	if asked := server.Asked(); len(asked) != 1 || asked[0] != `CORP\anna` {
		t.Errorf("asked for %q", asked)
	}
	file := testkit.Must(p.OpenFile(t.Context(), p.PickupKey.Token(done.Serial)))(t)
	if !ca.IssuedTo(file.Leaf, anna.Subject()) || len(file.Chain) != 1 || !file.Chain[0].Equal(server.Chain[0]) {
		t.Errorf("file holds %s with %d above it", file.Leaf.Subject, len(file.Chain))
	}
	server.Set(standin.Denied)
	_, err := p.Enroll(t.Context(), p.Request(anna, "Tablet", "again"))
	if refusal, ok := errors.AsType[*portal.Refusal](err); !ok || refusal.Reason != portal.IssuerDenied {
		t.Errorf("denied: %v", err)
	}
}

// Through the web enrolment pages by Kerberos, with tickets of Samba: the settings' keytab is
// read as it is, though it ends in what looks like a line.
func TestUpstreamByKerberos(t *testing.T) {
	dc := samba.Start(t)
	dc.AddUser(t, samba.User{Login: "svc-portal"})
	dc.AddUser(t, samba.User{Login: "svc-web", More: map[string][]string{"servicePrincipalName": {"HTTP/127.0.0.1"}}})
	server := pages.Start(t)
	account := "svc-portal@" + samba.Realm()
	server.Kerberos = negotiate.Start(t, dc.Keytab(t, "HTTP/127.0.0.1"), account, server.TLS)
	keytab := dc.Keytab(t, "svc-portal")
	keys := testkit.Must(os.ReadFile(keytab))(t)
	testkit.NoError(t, os.WriteFile(keytab, append(keys, 0xff, 0xff, 0xff, 0xff, '\n'), 0o600)) // a hole of one octet
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		testkit.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	s := &config.Settings{Upstreams: []config.UpstreamSettings{{
		Name: "company", Kind: config.UpstreamCertsrv, URL: server.FolderURL(), Chain: write("chain.pem", certificatesPEM(server.Chain...)),
		ServerCAFile: write("server.pem", certificatesPEM(server.TLS)), Template: "User", InFlight: 1,
		User: account, KeytabFile: keytab, Krb5ConfigFile: write("krb5.conf", dc.KerberosConfig()),
	}}}
	_, all, err := OpenUpstreams(s, localca.Tokens(s), time.Now)
	testkit.NoError(t, err)
	_, err = all[0].CA.Probe(t.Context())
	testkit.NoError(t, err)
	testkit.NoError(t, server.Kerberos.Refused())
}

func keyPEM(t *testing.T, key any) string {
	t.Helper()
	der := testkit.Must(x509.MarshalPKCS8PrivateKey(key))(t)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func certificatesPEM(certs ...*x509.Certificate) string {
	var text []byte
	for _, cert := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	return string(text)
}
