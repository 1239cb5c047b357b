package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"certportal/internal/test/standin"
	"certportal/internal/test/standin/adcs"
	"certportal/internal/test/standin/certsrv"
	"certportal/internal/test/standin/ces"
	"certportal/internal/test/standin/ejbca"
	"certportal/internal/test/standin/est"
	"certportal/internal/test/standin/step"
	"certportal/internal/test/standin/vault"
	"certportal/internal/test/testkit"
)

// company is a CA that a demo asks for certificates: the stand-in, and its entry in the
// settings.
type company struct {
	*standin.Server

	revokes  bool // by its protocol
	settings map[string]any
	approve  func() // what waits. Optional
}

// companies gives a stand-in of each kind, whose files are in the folder.
func companies(t *testing.T) map[string]func(dir string) company {
	t.Helper()
	return map[string]func(dir string) company{
		"step-ca": func(dir string) company {
			s := step.Start(t)
			key := testkit.Must(s.Key())(t)
			return company{Server: s.Server, revokes: true, settings: map[string]any{"url": s.URL, "provisioner": step.Provisioner, "provisioner_key_file": file(t, dir, "key.jwk", key)}}
		},
		"vault": func(dir string) company {
			s := vault.Start(t)
			return company{Server: s.Server, revokes: true, settings: map[string]any{"url": s.URL, "role": vault.Role, "approle_id": vault.RoleID, "approle_secret_file": file(t, dir, "secret", vault.SecretID)}}
		},
		"ejbca": func(dir string) company {
			s := ejbca.Start(t)
			c := company{Server: s.Server, revokes: true, settings: map[string]any{
				"url": s.URL, "authority": ejbca.Authority, "certificate_profile": ejbca.Profile, "end_entity_profile": ejbca.EndEntity,
				"secret_file": file(t, dir, "secret", "0123456789abcdef0123456789abcdef"),
			}}
			maps.Copy(c.settings, pair(t, dir, "client", "", s.ClientCertificate))
			return c
		},
		"est": func(dir string) company {
			s := est.Start(t)
			return company{Server: s.Server, settings: map[string]any{"url": s.URL, "user": est.User, "password_file": file(t, dir, "password", est.Password)}, approve: s.Approve}
		},
		"adcs": func(dir string) company {
			s := ces.Start(t)
			c := company{Server: s.Server, settings: map[string]any{"url": s.CertificateURL(), "template": "PortalUser", "domain": "CORP"}}
			maps.Copy(c.settings, pair(t, dir, "client", "", testkit.Must(s.Company.ClientCertificate(t)())(t)))
			maps.Copy(c.settings, agentOf(t, dir, s.CA))
			return c
		},
		"certsrv": func(dir string) company {
			s := certsrv.Start(t)
			c := company{Server: s.Server, settings: map[string]any{
				"url": s.FolderURL(), "template": "User", "domain": "CORP", "user": adcs.Username, "password_file": file(t, dir, "password", adcs.Password),
			}}
			maps.Copy(c.settings, agentOf(t, dir, s.CA))
			return c
		},
	}
}

func agentOf(t *testing.T, dir string, s *adcs.CA) map[string]any {
	t.Helper()
	cert, key := s.Company.Agent(t, time.Now().Add(time.Hour))
	return pair(t, dir, "agent", "agent_", &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key})
}

// pair writes a certificate with its key, and gives the settings that name the files.
func pair(t *testing.T, dir, name, prefix string, cert *tls.Certificate) map[string]any {
	t.Helper()
	leaf := testkit.Must(x509.ParseCertificate(cert.Certificate[0]))(t)
	key := testkit.Must(x509.MarshalPKCS8PrivateKey(cert.PrivateKey))(t)
	return map[string]any{
		prefix + "certificate": file(t, dir, name+".pem", pemOf(leaf)),
		prefix + "key":         file(t, dir, name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))),
	}
}

func file(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	write(t, path, content)
	return path
}

// demoElsewhere runs a demo that has a CA under the name company, which issues when the
// demo is started with byCompany.
func demoElsewhere(t *testing.T, dir, kind string, settings map[string]any) *demo {
	t.Helper()
	entry := maps.Clone(settings)
	entry["name"], entry["kind"] = "company", kind
	text := testkit.Must(json.Marshal(map[string]any{"upstreams": []any{entry}}))(t) // which is YAML, too
	d := &demo{t: t, dir: filepath.Join(dir, "data")}
	d.args = []string{"demo", "--listen", "127.0.0.1:0", "--data", d.dir, "--config", file(t, dir, "settings.yaml", string(text))}
	testkit.NoError(t, os.Mkdir(d.dir, 0o700))
	d.start(byCompany)
	t.Cleanup(func() { d.stop(syscall.SIGTERM) })
	return d
}

const byCompany = "CERTPORTAL_CERTIFICATES_ISSUER=company"

// demoAt is [demoElsewhere] with a stand-in.
func demoAt(t *testing.T, kind string) (*demo, company) {
	t.Helper()
	dir := t.TempDir()
	start, ok := companies(t)[kind]
	if !ok {
		t.Fatalf("there is no stand-in of the kind %s", kind)
	}
	c := start(dir)
	c.settings["chain"], c.settings["server_ca_file"] = file(t, dir, "chain.pem", pemOf(c.Chain...)), file(t, dir, "server.pem", pemOf(c.TLS))
	return demoElsewhere(t, dir, kind, c.settings), c
}
