package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/internal/test/testkit"
)

// TestACMESettings: what an ACME server needs is said before it is asked.
func TestACMESettings(t *testing.T) {
	const server = "https://acme.example/directory"
	whole := func() Settings {
		s := Defaults()
		s.PublicURL, s.TLS.ACME.Directory, s.TLS.ACME.AcceptTerms = "https://certificates.corp.example", server, true
		return s
	}
	for _, tt := range []struct {
		name   string
		change func(*Settings)
		want   string // empty for none
	}{
		{"off", func(s *Settings) { s.TLS.ACME = ACMESettings{} }, ""},
		{"whole", func(*Settings) {}, ""},
		{"all", func(s *Settings) {
			s.PublicCheckURL, s.TLS.ACME.Contact = "https://check.corp.example:8444", []string{"pki@corp.example"}
		}, ""},
		{"without terms", func(s *Settings) { s.TLS.ACME.AcceptTerms = false }, "tls.acme.accept_terms: "},
		{"plain http", func(s *Settings) { s.TLS.ACME.Directory = "http://acme.example/" }, "tls.acme.directory: "},
		{"no address", func(s *Settings) { s.TLS.ACME.Directory = "letsencrypt" }, "tls.acme.directory: "},
		{"a certificate too", func(s *Settings) { s.TLS.Certificate, s.TLS.Key = "a", "b" }, "tls.certificate or tls.acme, not both"},
		{"without a public address", func(s *Settings) { s.PublicURL = "" }, "public_url: "},
		{"with an address of numbers", func(s *Settings) { s.PublicURL = "https://192.0.2.1" }, "public_url: "},
		{"check page of numbers", func(s *Settings) { s.PublicCheckURL = "https://[2001:db8::1]:8444" }, "public_check_url: "},
		{"contact", func(s *Settings) { s.TLS.ACME.Contact = []string{"mailto:pki@corp.example"} }, "tls.acme.contact[0]: "},
		{"half an account", func(s *Settings) { s.TLS.ACME.AccountID = "kid" }, "tls.acme.account_id: "},
	} {
		s := whole()
		tt.change(&s)
		switch err := s.Check(); {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestACMEAccountKey reads the key as operators of servers show it.
func TestACMEAccountKey(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	for text, want := range map[string]string{"a2V5\n": "key", "a2V5LTE=": "key-1", "not base64!": "", "": ""} {
		testkit.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		s := Settings{TLS: TLSSettings{ACME: ACMESettings{AccountKeyFile: file}}}
		key, err := s.ACMEAccountKey()
		if string(key) != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v", text, key, err)
		}
	}
}
