package config

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/internal/test/testkit"
)

// upstream is a CA of the settings, with further lines.
func upstreamText(kind string, lines ...string) string {
	return "upstreams:\n- name: company\n  kind: " + kind + "\n  url: https://ca.corp.example\n  chain: /chain.pem\n  " + strings.Join(lines, "\n  ") + "\n"
}

func TestUpstreamSettings(t *testing.T) {
	vault := upstreamText(UpstreamVault, "role: phones", "token_file: /t")
	module := "ca: {pkcs11: {module: /m.so}}\n"
	own := "ca: {pkcs11: {module: /m.so, issuing_token: T, issuing_pin_file: /pin}}\n"
	for _, tt := range []struct{ name, text, want string }{
		{"step-ca", upstreamText(UpstreamStepCA, "provisioner: p", "provisioner_key_file: /k"), ""},
		{"vault", vault + "certificates: {issuer: company}\n", ""},
		{"vault by certificate", upstreamText(UpstreamVault, "role: phones", "certificate_role: portal", "certificate: /c", "key: /k"), ""},
		{"est", upstreamText(UpstreamEST, "user: u", "password_file: /p"), ""},
		{"ejbca", upstreamText(UpstreamEJBCA, "certificate: /c", "key: /k", "authority: a", "certificate_profile: c", "end_entity_profile: e", "secret_file: /s"), ""},
		{"adcs", upstreamText(UpstreamADCS, "template: User", "certificate: /c", "key: /k", "domain: CORP", "agent_certificate: /a", "agent_key: /b"), ""},
		{"adcs at two addresses", upstreamText(UpstreamADCS, "template: User", "certificate: /c", "key: /k", "further_urls: [https://b.corp.example/CES]"), ""},
		{"an address twice", upstreamText(UpstreamADCS, "template: User", "certificate: /c", "key: /k", "further_urls: [https://b.corp.example/CES, https://b.corp.example/CES]"), "upstreams[0].further_urls[1]"},
		{"a further address without TLS", upstreamText(UpstreamADCS, "template: User", "certificate: /c", "key: /k", "further_urls: [http://b.corp.example/CES]"), "upstreams[0].further_urls[0]"},
		{"further addresses of another kind", upstreamText(UpstreamEST, "certificate: /c", "key: /k", "further_urls: [https://b.corp.example/]"), "upstreams[0].further_urls: is of no use"},
		{"an agent without the domain of people", upstreamText(UpstreamADCS, "template: User", "certificate: /c", "key: /k", "agent_certificate: /a", "agent_key: /b"), "needs domain"},
		{"certsrv", upstreamText(UpstreamCertsrv, "template: User", `user: CORP\portal`, "password_file: /p", "ntlm: true"), ""},
		{"adcs by Kerberos", upstreamText(UpstreamADCS, "template: User", "user: portal@CORP.EXAMPLE", "keytab_file: /k", "krb5_config_file: /etc/krb5.conf"), ""},
		{"Kerberos without an account", upstreamText(UpstreamADCS, "template: User", "certificate: /c", "key: /k", "keytab_file: /k"), "upstreams[0].user"},
		{"Kerberos as another kind of name", upstreamText(UpstreamCertsrv, "template: User", `user: CORP\portal`, "keytab_file: /k"), "write NAME@REALM"},
		{"Kerberos and a password", upstreamText(UpstreamCertsrv, "template: User", "user: portal@CORP.EXAMPLE", "keytab_file: /k", "password_file: /p"), "upstreams[0].keytab_file"},
		{"Kerberos and NTLM", upstreamText(UpstreamCertsrv, "template: User", "user: portal@CORP.EXAMPLE", "keytab_file: /k", "ntlm: true"), "upstreams[0].keytab_file"},
		{"KDCs for nothing", upstreamText(UpstreamADCS, "template: User", "certificate: /c", "key: /k", "krb5_config_file: /k"), "upstreams[0].krb5_config_file"},
		{"Kerberos for a kind without", upstreamText(UpstreamEST, "user: portal@CORP.EXAMPLE", "keytab_file: /k"), "upstreams[0].keytab_file: is of no use"},
		{"unknown kind", upstreamText("acme"), "upstreams[0].kind"},
		{"no name", strings.Replace(vault, "company", "Company CA", 1), "upstreams[0].name"},
		{"plain http", strings.Replace(vault, "https:", "http:", 1), "upstreams[0].url"},
		{"a password in the address", strings.Replace(vault, "https://", "https://u:p@", 1), "upstreams[0].url"},
		{"no chain", strings.Replace(vault, "chain: /chain.pem", "in_flight: 5", 1), "upstreams[0].chain: is missing"},
		{"two of one name", vault + strings.TrimPrefix(vault, "upstreams:\n"), "another one has this name"},
		{"what another kind needs", upstreamText(UpstreamEST, "user: u", "password_file: /p", "template: User"), "upstreams[0].template: is of no use"},
		{"what it needs", upstreamText(UpstreamStepCA, "provisioner: p"), "upstreams[0].provisioner_key_file: is missing"},
		{"two ways in", upstreamText(UpstreamVault, "role: r", "token_file: /t", "certificate_role: p"), "name one of token_file"},
		{"no way in", upstreamText(UpstreamADCS, "template: User"), "name one way to sign in"},
		{"user without password", upstreamText(UpstreamEST, "user: u"), "user needs password_file"},
		{"a certificate without its key", upstreamText(UpstreamEST, "certificate: /c"), "needs the other of its pair"},
		{"a role that loses the SID", upstreamText(UpstreamVault, "role: r", "token_file: /t", "by_role: true"), "upstreams[0].by_role"},
		{"policies that are none", upstreamText(UpstreamVault, "role: r", "token_file: /t", "policies: [any]"), "upstreams[0].policies"},
		{"a policy", upstreamText(UpstreamVault, "role: r", "token_file: /t", "policies: [1.3.6.1.4.1.311.21.8.1]"), ""},
		{"an encrypted key", upstreamText(UpstreamEST, "certificate: /c", "key: /k", "key_passphrase_file: /p"), ""},
		{"a passphrase for nothing", upstreamText(UpstreamEST, "user: u", "password_file: /p", "key_passphrase_file: /p"), "upstreams[0].key_passphrase_file: is of no use"},
		{"a key in a token", upstreamText(UpstreamEST, "certificate: /c", "key: pkcs11:token=T;object=k", "key_passphrase_file: /p") + module, ""},
		{"a token without module", upstreamText(UpstreamEST, "certificate: /c", "key: pkcs11:token=T;object=k", "key_passphrase_file: /p"), "ca.pkcs11.module"},
		{"a token without PIN", upstreamText(UpstreamEST, "certificate: /c", "key: pkcs11:token=T;object=k") + module, "upstreams[0].key_passphrase_file: name the file with the PIN"},
		{"a token of the CA", upstreamText(UpstreamEST, "certificate: /c", "key: pkcs11:token=T;object=k") + own, ""},
		{"two PINs of a token", upstreamText(UpstreamEST, "certificate: /c", "key: pkcs11:token=T;object=k", "key_passphrase_file: /p") + own, "the token T has one PIN"},
		{"a token and no key", upstreamText(UpstreamEST, "certificate: /c", "key: pkcs11:token=T", "key_passphrase_file: /p") + module, "upstreams[0].key: address of a key"},
		{"many at once", upstreamText(UpstreamVault, "role: r", "token_file: /t", "in_flight: 5000"), "upstreams[0].in_flight"},
		{"an issuer that is none", vault + "certificates: {issuer: other}\n", "certificates.issuer"},
		{"a host that revokes", "listen_revoker: :8445\n" + upstreamText(UpstreamEST, "user: u", "password_file: /p", "revoker_certificate: /r"), ""},
		{"a host that revokes, without a port", upstreamText(UpstreamEST, "user: u", "password_file: /p", "revoker_certificate: /r"), "upstreams[0].revoker_certificate: name the address"},
		{"a port for no host", "listen_revoker: :8445\n" + vault, "listen_revoker"},
		{"the port of the check page", "listen_revoker: :8555\nlisten_check: :8555\n" + upstreamText(UpstreamEST, "user: u", "password_file: /p", "revoker_certificate: /r"), "listen_check too"},
		{"a port that is none", "listen_revoker: localhost\n" + upstreamText(UpstreamEST, "user: u", "password_file: /p", "revoker_certificate: /r"), "listen_revoker"},
		{"a host for a CA that revokes", "listen_revoker: :8445\n" + upstreamText(UpstreamVault, "role: r", "token_file: /t", "revoker_certificate: /r"), "upstreams[0].revoker_certificate: is of no use"},
		{"keys of devices", vault + "certificates: {issuer: company}\nscep: {enabled: true}\n", "scep.enabled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, tt.text, nil)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %v, want %q", err, tt.want)
			}
		})
	}
}

func TestUpstreamSettingsByEnvironment(t *testing.T) {
	s, err := load(t, "", map[string]string{
		"CERTPORTAL_UPSTREAMS_0_NAME": "company", "CERTPORTAL_UPSTREAMS_0_KIND": "est", "CERTPORTAL_UPSTREAMS_0_URL": "https://ca.corp.example",
		"CERTPORTAL_UPSTREAMS_0_CHAIN": "/c", "CERTPORTAL_UPSTREAMS_0_USER": "u", "CERTPORTAL_UPSTREAMS_0_PASSWORD_FILE": "/p",
		"CERTPORTAL_UPSTREAMS_0_IN_FLIGHT": "7", "CERTPORTAL_CERTIFICATES_ISSUER": "company",
	})
	if err != nil || len(s.Upstreams) != 1 || s.Upstreams[0].InFlight != 7 || s.Upstreams[0].PasswordFile != "/p" {
		t.Errorf("%+v, %v", s.Upstreams, err)
	}
	for _, wrong := range []string{"CERTPORTAL_UPSTREAMS_0_NAMES", "CERTPORTAL_UPSTREAMS_NAME", "CERTPORTAL_OTHERS_0_NAME"} {
		if _, err := load(t, "", map[string]string{wrong: "x"}); err == nil {
			t.Errorf("%s is accepted", wrong)
		}
	}
}

// The settings in the docs are accepted as they are.
func TestUpstreamSettingsOfTheDocs(t *testing.T) {
	pages, err := filepath.Glob("../../../../docs/upstream*.md")
	if err != nil || len(pages) < 6 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, found := strings.Cut(string(text), "```yaml\n")
		block, _, closed := strings.Cut(rest, "```")
		if !found || !closed {
			t.Errorf("%s has no settings", page)
			continue
		}
		if _, err := load(t, block, nil); err != nil {
			t.Errorf("%s: %v", page, err)
		}
	}
}

// TestReadRevoker: the file holds the certificate of a host, and its next one at most.
func TestReadRevoker(t *testing.T) {
	key := testkit.ECKey(t)
	text := func(isCA bool) string {
		template := &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: testkit.Noon, NotAfter: testkit.Noon.AddDate(1, 0, 0), IsCA: isCA, BasicConstraintsValid: true}
		der := testkit.Must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	for _, tt := range []struct {
		name, text string
		want       int
	}{
		{"one", text(false), 1}, {"two", text(false) + text(false), 2}, {"three", strings.Repeat(text(false), 3), 0},
		{"a CA", text(true), 0}, {"with its chain", text(false) + text(true), 0}, {"none", "", 0}, {"a key", "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n", 0},
	} {
		certs, err := UpstreamSettings{RevokerCertificate: write(t, tt.text)}.ReadRevoker()
		if len(certs) != tt.want || (err == nil) != (tt.want > 0) {
			t.Errorf("%s: %d certificates, %v", tt.name, len(certs), err)
		}
	}
	if certs, err := (UpstreamSettings{}).ReadRevoker(); len(certs) > 0 || err != nil {
		t.Errorf("without a file: %v, %v", certs, err)
	}
}
