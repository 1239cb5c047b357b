package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"certportal/internal/catalogue"
	"certportal/internal/test/testkit"
)

func load(t *testing.T, text string, environ map[string]string) (*Settings, error) {
	t.Helper()
	return Load(write(t, text), environ)
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "certportal.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestExampleIsTheDefaults(t *testing.T) {
	text := Example()
	got, err := load(t, text, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := Defaults(); !reflect.DeepEqual(*got, want) {
		t.Errorf("the example gives\n%+v\nwant the defaults\n%+v", got, want)
	}
}

// Every setting is in the example, with a comment, and everything commented out
// there is a real key.
func TestExampleExplainsEverySetting(t *testing.T) {
	text := Example()
	lines := strings.Split(text, "\n")
	var visit func(reflect.Type, string)
	visit = func(typ reflect.Type, indent string) {
		for i, key := range settingKeys(typ) {
			at := indexOf(lines, indent, key)
			if at < 0 {
				t.Errorf("%s is not in the example", key)
				continue
			}
			field := typ.Field(i).Type
			if field.Kind() == reflect.Struct {
				visit(field, indent+"  ")
				continue
			}
			if !strings.HasPrefix(lines[at-1], indent+"# ") {
				t.Errorf("%s has no comment in the example", key)
			}
		}
	}
	visit(reflect.TypeFor[Settings](), "")
}

func indexOf(lines []string, indent, key string) int {
	for i, line := range lines {
		if strings.HasPrefix(line, indent+key+":") || strings.HasPrefix(line, indent+"#"+key+":") {
			return i
		}
	}
	return -1
}

func TestSettingsRefuse(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"unknown key", "lisen: :1", []string{"line 1", "lisen", "did you mean listen?"}},
		{"unknown key below", "ca:\n  rootkey: rsa-3072", []string{"line 2", "ca.rootkey", "did you mean ca.root_key?"}},
		{"unknown key far from all", "zzzzqqqqxxxx: 1", []string{"zzzzqqqqxxxx: unknown key"}},
		{"wrong type", "certificates:\n  days: many", []string{"line 2", "many"}},
		{"wrong kind", "ca:\n  root_key: rsa-1024", []string{"ca.root_key", "rsa-1024", "choose"}},
		{"weak CA", "ca:\n  root_key: rsa-2048", []string{"ca.root_key", "rsa-3072"}},
		{"name of a CA", "ca:\n  subject: /CN=Phones", []string{"ca.subject", "OpenSSL"}},
		{"no port", "listen: localhost", []string{"listen", ":PORT"}},
		{"address with a path", "public_url: https://a.example/portal", []string{"public_url", "without a path"}},
		{"http where https", "public_url: http://a.example", []string{"public_url", "https://HOST"}},
		{"https where http", "public_http_url: https://a.example", []string{"public_http_url", "http://HOST"}},
		{"check page without a port", "listen_check: localhost", []string{"listen_check", "or nothing for none"}},
		{"check page at the portal", "public_url: https://a.example\npublic_check_url: https://A.example:443", []string{"public_check_url", "another port or name"}},
		{"check page with a path", "public_check_url: https://a.example/test", []string{"public_check_url", "without a path"}},
		{"header of a proxy without the proxy", "check_header: Client-Cert", []string{"check_header", "trusted_proxies"}},
		{"header that is none", "trusted_proxies: [10.0.0.0/24]\ncheck_header: 'a b'", []string{"check_header", "letters, digits"}},
		{"host with an underscore", "public_url: https://cert_portal.corp.example", []string{"public_url", "host must be"}},
		{"no host", "public_url: https://:8443", []string{"public_url", "host must be"}},
		{"impossible port", "public_http_url: http://a.example:99999", []string{"public_http_url", "1 to 65535"}},
		{"port by name", "listen: ':https'", []string{"listen", "0 to 65535"}},
		{"long company", "organization: 一二三四五六七八九十一二三四五六七八", []string{"organization", "53 bytes"}},
		{"too many days", "certificates: {days: 5000}", []string{"certificates.days", "1 to 1095"}},
		{"another subject", "certificates: {subject: cn}", []string{"certificates.subject", "directory_name"}},
		{"no such names", "certificates: {subject: directory_name}", []string{"certificates.subject", "built-in directory"}},
		{"renewal at once", "certificates: {renew_from_days: 0}", []string{"certificates.renew_from_days", "1 to 365"}},
		{"no overlap", "certificates: {overlap_days: 0}", []string{"certificates.overlap_days", "1 to 30"}},
		{"usage of a domain controller", "certificates: {usages: [clientAuth, serverAuth]}", []string{"serverAuth", "choose from"}},
		{"no clientAuth", "certificates: {usages: [efs]}", []string{"clientAuth must be among them"}},
		{"half a TLS pair", "tls: {certificate: a.pem}", []string{"certificate and key go together"}},
		{"colour by name", "pages: {accent: blue}", []string{"pages.accent", "#rrggbb"}},
		{"misspelt zone", "pages: {time_zone: Europe/Belin}", []string{"pages.time_zone", "Europe/Berlin"}},
		{"zone by abbreviation", "pages: {time_zone: CEST}", []string{"pages.time_zone", "an area and a place"}},
		{"zone outside the tables", "pages: {time_zone: ../../etc/passwd}", []string{"pages.time_zone", "an area and a place"}},
		{"a text in no language of the pages", "pages: {services: {fr: courrier}}", []string{"line 1", "pages.services", "fr", "zh-Hans"}},
		{"texts below a language", "helpdesk: {hours: {de: [a, b]}}", []string{"helpdesk.hours", "one text for each language"}},
		{"code for a year", "helpdesk: {code_hours: 8760}", []string{"helpdesk.code_hours", "1 to 168"}},
		{"no codes at all", "helpdesk: {codes_per_hour: 0}", []string{"helpdesk.codes_per_hour", "1 to 1000"}},
		{"level", "log_level: loud", []string{"log_level", "debug, info"}},
		{"two documents", "listen: :1\n---\nlisten: :2", []string{"more than one document"}},
		{"not YAML", "listen: [", []string{"line 1", "close the bracket"}},
		{"a list where a map", "- a\n- b", []string{"line 1: found a list"}},
		{"network", "trusted_proxies: [10.0.0.0/99]", []string{"trusted_proxies[0]", "10.0.0.0/99"}},
		{"address of a proxy", "trusted_proxies: [10.0.0.5]", []string{"trusted_proxies[0]", "10.0.0.5/32"}},
		{"proxy with a port", "trusted_proxies: ['203.0.113.10:5544']", []string{"trusted_proxies[0]", "without a port", "203.0.113.10/32"}},
		{"IPv6 proxy with a port", "trusted_proxies: ['[2001:db8::7]:443']", []string{"trusted_proxies[0]", "2001:db8::7/128"}},
		{"proxy within IPv6", "trusted_proxies: ['::ffff:10.0.0.0/120']", []string{"trusted_proxies[0]", "write a network"}},
		{"proxy by word", "trusted_proxies: [unknown]", []string{"trusted_proxies[0]", "write a network"}},
		{"several at once", "log_level: loud\npages: {accent: blue}", []string{"log_level", "pages.accent"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, tt.text, nil)
			if err == nil {
				t.Fatal("the settings were taken")
			}
			for _, want := range append(tt.want, "certportal.yml") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not name %q", err, want)
				}
			}
		})
	}
}

func TestEnvironmentWinsOverTheFile(t *testing.T) {
	s, err := load(t, "organization: File\ncertificates: {days: 30}", map[string]string{
		"CERTPORTAL_ORGANIZATION": "Environment", "CERTPORTAL_CA_ROOT_KEY": "ec-p384",
		"CERTPORTAL_CERTIFICATES_DEVICES": "7", "CERTPORTAL_TRUSTED_PROXIES": "10.0.0.0/8,192.0.2.0/24",
		"HOME": "/root",
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Organization != "Environment" || s.CA.RootKey != "ec-p384" || s.Certificates.Devices != 7 ||
		s.Certificates.Days != 30 || len(s.TrustedProxies) != 2 {
		t.Errorf("settings %+v", s)
	}
}

func TestUnknownEnvironmentVariable(t *testing.T) {
	_, err := Load("", map[string]string{"CERTPORTAL_ORGANISATION": "x"})
	if err == nil || !strings.Contains(err.Error(), "did you mean CERTPORTAL_ORGANIZATION?") {
		t.Errorf("error %v, want the right name", err)
	}
}

// The list of anchors has variables with an index, and none of its own.
func TestAnchorsInTheEnvironment(t *testing.T) {
	_, err := Load("", map[string]string{"CERTPORTAL_ANCHORS": ""})
	if err == nil || !strings.Contains(err.Error(), "CERTPORTAL_ANCHORS: unknown variable") {
		t.Errorf("error %v, want an unknown variable", err)
	}
	s, err := Load("", map[string]string{"CERTPORTAL_ANCHORS_0_NAME": "Mail root", "CERTPORTAL_ANCHORS_0_FILE": "/x.cer"})
	if err != nil || len(s.Anchors) != 1 || s.Anchors[0] != (AnchorSettings{Name: "Mail root", File: "/x.cer"}) {
		t.Errorf("anchors %v, %v", s.Anchors, err)
	}
}

func TestEnvironmentMistakesNameTheVariable(t *testing.T) {
	_, err := Load("", map[string]string{"CERTPORTAL_CERTIFICATES_PREPARED_KEYS": "many"})
	if err == nil || !strings.Contains(err.Error(), "CERTPORTAL_CERTIFICATES_PREPARED_KEYS") {
		t.Errorf("error %v, want the variable", err)
	}
}

// Kubernetes and Docker set these in every container beside a service that is
// called certportal.
func TestPlatformVariablesAreNotSettings(t *testing.T) {
	_, err := Load("", map[string]string{
		"CERTPORTAL_SERVICE_HOST": "10.0.0.1", "CERTPORTAL_SERVICE_PORT_HTTPS": "8443",
		"CERTPORTAL_PORT": "tcp://10.0.0.1:8443", "CERTPORTAL_PORT_8443_TCP_ADDR": "10.0.0.1",
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := Load("", map[string]string{"CERTPORTAL_ANCHORS_FOO": "x"}); err == nil {
		t.Error("an unknown variable of the anchors was taken")
	}
}

// A file cut off anywhere is refused or is a smaller file; it never breaks the
// program. Under the race detector the cuts within comments are left out, which are
// nine of ten.
func TestF12_SettingsCutAnywhere(t *testing.T) {
	text := Example()
	for n := range len(text) {
		line := text[strings.LastIndexByte(text[:n], '\n')+1 : n]
		if testkit.UnderRace && strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		s := Defaults()
		if r := reviewOf(); decodeSettings([]byte(text[:n]), &s, r) && r.err() == nil {
			_ = s.Check()
		}
	}
	for _, prefix := range []string{"\xef\xbb\xbf", "\r\n"} {
		s := Defaults()
		r := reviewOf()
		if whole := decodeSettings([]byte(prefix+strings.ReplaceAll(text, "\n", "\r\n")), &s, r); !whole || r.err() != nil {
			t.Errorf("with %q in front and CRLF: %v", prefix, r.err())
		}
	}
}

func reviewOf() *review { return &review{lines: map[string]int{}} }

func FuzzSettings(f *testing.F) {
	text := Example()
	f.Add([]byte(text))
	f.Add([]byte("ca: {root_key: [1, 2]}\nanchors: [{name: a, file: b}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := Defaults()
		r := reviewOf()
		if decodeSettings(text, &s, r); r.err() == nil {
			_ = s.Check()
		}
	})
}

func TestTextsByLanguage(t *testing.T) {
	tests := []struct {
		name, text, variable string
		en, de               string
	}{
		{"one for all", "pages: {services: mail}", "", "mail", "mail"},
		{"by language", "pages:\n  services:\n    en: mail\n    de: E-Mail\n", "", "mail", "E-Mail"},
		{"from the environment", "", "mail\nde: E-Mail", "mail", "E-Mail"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			environ := map[string]string{}
			if tt.variable != "" {
				environ["CERTPORTAL_PAGES_SERVICES"] = tt.variable
			}
			s, err := load(t, tt.text, environ)
			if err != nil {
				t.Fatal(err)
			}
			got := catalogue.Text(s.Pages.Services)
			if got.In(catalogue.English) != tt.en || got.In(catalogue.German) != tt.de {
				t.Errorf("got %q and %q, want %q and %q", got.In(catalogue.English), got.In(catalogue.German), tt.en, tt.de)
			}
		})
	}
}
