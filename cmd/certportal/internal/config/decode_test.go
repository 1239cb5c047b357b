package config

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestMistakesInTheWordsOfTheReader writes one mistake each. The message has the line, the
// key, what was found and what to write, and there is no second one.
func TestMistakesInTheWordsOfTheReader(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"text for a list", ad + ", groups: {helpdesk: Helpdesk}}",
			`line 1: directory.groups.helpdesk: found "Helpdesk": write a list: helpdesk: [Helpdesk]`},
		{"name for a list", "directory:\n  groups:\n    helpdesk: CN=Help,OU=IT,DC=corp,DC=example\n",
			`line 3: directory.groups.helpdesk: found "CN=Help,OU=IT,DC=corp,DC=example": write a list: helpdesk: ['CN=Help,OU=IT,DC=corp,DC=example']`},
		{"name cut at its commas", "directory:\n  groups:\n    admin: [CN=Admins,OU=IT,DC=corp,DC=example, CN=Two,DC=corp,DC=example]\n",
			`line 3: directory.groups.admin: found a distinguished name without quotes, which is cut at each comma: write admin: ['CN=Admins,OU=IT,DC=corp,DC=example', 'CN=Two,DC=corp,DC=example']`},
		{"list for text", "\norganization: [Contoso]", `line 2: organization: found a list: write one value`},
		{"text for a section", "mail: mail.corp.example",
			`line 1: mail: found "mail.corp.example": write its keys in the lines below it, indented by two spaces: host, port, security, user, …`},
		{"text for a number", "certificates:\n  days: many", `line 2: certificates.days: found "many": write a whole number, such as 7`},
		{"number without unit", "directory:\n  timeout: 5", `line 2: directory.timeout: found "5": write a number with its unit, such as 5s, 15m or 24h`},
		{"text for a choice", "directory:\n  login_by_mail: ja", `line 2: directory.login_by_mail: found "ja": write true or false`},
		{"anchors without hyphen", "anchors:\n  name: Corp\n  file: x",
			`line 2: anchors: found keys below it: write a list: begin each entry with a hyphen, "- name: …"`},
		{"entry without value", "trusted_proxies:\n  - 10.0.0.0/24\n  -\n", `line 3: trusted_proxies[1]: found nothing: write a value, or remove the entry`},
		{"twice", "organization: A\nlisten: :1\norganization: B", `line 3: organization: it is in line 1 already: remove one of the two`},
		{"another section's key", "servers: [ldaps://dc1]", `line 1: servers: unknown key; there is directory.servers: write it below directory`},
		{"key of two sections", "directory:\n  host: mail", `line 2: directory.host: unknown key; there is exchange.host and mail.host: write it below exchange or mail`},
		{"first word of a key", "mail:\n  pasword: x", `line 2: mail.pasword: unknown key; did you mean mail.password_file?`},
		{"misspelt", "directory:\n  grops: {}", `line 2: directory.grops: unknown key; did you mean directory.groups?`},
		{"tab", "directory:\n\tkind: ldap", `line 2: found "\tkind: ldap": indent with spaces, never with tabs. The lines after it were not read`},
		{"colon in a value", "organization: Contoso\nhelpdesk:\n  hours: Mon: 8 to 18\n",
			`line 3: found "  hours: Mon: 8 to 18": put the value in quotes: hours: 'Mon: 8 to 18'. The lines after it were not read`},
		{"backslash", "directory:\n  user: \"CORP\\certportal\"\n",
			`line 2: found "  user: \"CORP\\certportal\"": write a value with a backslash in single quotes, as 'CORP\certportal'. The lines after it were not read`},
		{"at sign", "directory:\n  user: @corp\n", `line 2: found "  user: @corp": put the value in quotes: user: '@corp'. The lines after it were not read`},
		{"no colon", "organization: Contoso\nlisten\n", `line 2: found "listen": write KEY: VALUE, with a colon and a space. The lines after it were not read`},
		{"no space", "organization: Contoso\nlisten::1\n", `line 2: found "listen::1": write KEY: VALUE, with a space after the colon. The lines after it were not read`},
		{"open bracket", "tls:\n  names: [a, b\nlisten: :1\n", `line 2: found "  names: [a, b": close the bracket that the value opens. The lines after it were not read`},
		{"open quotes", "organization: \"Contoso\nlisten: :1\n", `line 1: found "organization: \"Contoso": close the quotes that the value opens. The lines after it were not read`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, tt.text, nil)
			_, got, _ := strings.Cut(errorText(err), ".yml: ")
			if got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
	_, err := load(t, "directory:\n  groups:\n  helpdesk: [x]\n", nil)
	if want := "directory.helpdesk: unknown key; there is directory.groups.helpdesk and helpdesk"; !strings.Contains(errorText(err), want) {
		t.Errorf("a key too far left: %v, want %q", err, want)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestMistakesHideNoOther: what the clients of directory and mail find is named beside what
// is wrong with their other settings, each key once, with what to write instead.
func TestMistakesHideNoOther(t *testing.T) {
	_, err := Examine(write(t, `listen: "8443"
tls:
  certificate: /nowhere/tls.crt
trusted_proxies: [10.0.0.5]
directory:
  kind: active-directory
  domain: corp.example
  servers: [dc1.corp.example]
  user: reader
  upn_suffixes: ['@corp.example']
  groups:
    enroll: [Phones]
    admin: [S-1-5-21-Admins, 'Portal/Admins']
mail:
  host: mail.corp.example
  language: fr
  from: Corp Certificates
openid:
  client_id: x
`), nil)
	var wrong *Mistakes
	if !errors.As(err, &wrong) {
		t.Fatalf("got %v, want mistakes", err)
	}
	want := []string{
		`line 1: listen: found "8443": write ADDRESS:PORT`,
		"line 2: tls.key: name the file with the key of tls.certificate",
		"line 3: tls.certificate: open /nowhere/tls.crt",
		"line 4: trusted_proxies[0]",
		`line 8: directory.servers[0]: found "dc1.corp.example": write ldaps://HOST`,
		`line 9: directory.user: found "reader": write certportal@corp.example`,
		`line 10: directory.upn_suffixes: found "@corp.example": write the part after the @`,
		`line 13: directory.groups.admin: group "Portal/Admins": write its name`,
		`line 13: directory.groups.admin: group "S-1-5-21-Admins": write a whole SID, such as S-1-5-21-1004336348`,
		`line 16: mail.language: found "fr": choose`,
		`line 17: mail.from: found "Corp Certificates": write one address, such as certificates@corp.example, or with a name: Corp`,
		"line 19: openid.client_id: name openid.issuer too",
	}
	var got []string
	for _, m := range wrong.List {
		got = append(got, m.Error())
	}
	slices.SortStableFunc(got[7:9], strings.Compare)
	for i, text := range got {
		if i >= len(want) || !strings.HasPrefix(text, want[i]) {
			t.Errorf("mistake %d: %s", i, text)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %d mistakes, want %d:\n%v", len(got), len(want), err)
	}
}

// TestEveryClassOfMistakesInOneRun has ten mistakes of different kinds. Each is named once,
// in the order of the file, and the environment's come last.
func TestEveryClassOfMistakesInOneRun(t *testing.T) {
	text := `lisen: :8443
organization: [Contoso]
public_url: http://a.example
log_level: loud
tls:
  certificate: /nowhere/tls.crt
  key: /nowhere/tls.key
directory:
  kind: active-directory
  domain: corp.example
  server: ldaps://dc1.corp.example
  user: reader@corp.example
  password_file: /nowhere/password
  groups:
    enroll: Phones
pages:
  accent: blue
  accent: '#000000'
`
	file := write(t, text)
	_, err := Examine(file, map[string]string{
		"CERTPORTAL_CERTIFICATES_DAYS": "many", "CERTPORTAL_ORGANISATION": "x",
	})
	var wrong *Mistakes
	if !errors.As(err, &wrong) {
		t.Fatalf("got %v, want mistakes", err)
	}
	want := []string{
		"line 1: lisen: unknown key; did you mean listen?",
		"line 2: organization: found a list",
		`line 3: public_url: found "http://a.example": write https://HOST`,
		`line 4: log_level: found "loud": choose`,
		"line 6: tls.certificate: open /nowhere/tls.crt",
		"line 7: tls.key: open /nowhere/tls.key",
		"line 11: directory.server: unknown key; did you mean directory.servers?",
		"line 13: directory.password_file: reading secret: open /nowhere/password",
		`line 15: directory.groups.enroll: found "Phones": write a list`,
		`line 17: pages.accent: found "blue"`,
		"line 18: pages.accent: it is in line 17 already",
		`CERTPORTAL_CERTIFICATES_DAYS: found "many": write a whole number`,
		"CERTPORTAL_ORGANISATION: unknown variable; did you mean CERTPORTAL_ORGANIZATION?",
	}
	for i, m := range wrong.List {
		if i >= len(want) || !strings.HasPrefix(m.Error(), want[i]) {
			t.Errorf("mistake %d: %s", i, m)
		}
	}
	if len(wrong.List) != len(want) {
		t.Errorf("got %d mistakes, want %d:\n%v", len(wrong.List), len(want), err)
	}
	if !wrong.In("directory") || !wrong.In("tls") || wrong.In("mail") || !wrong.In("certificates") {
		t.Errorf("sections with mistakes are not known: %v", err)
	}
}

// A mistake in one value leaves the others in force.
func TestValuesBesideAMistakeAreRead(t *testing.T) {
	s, err := load(t, "listen: :9443\nca: {root_key: [x]}\ndirectory:\n  domain: corp.example\n", nil)
	if err == nil || s.Listen != ":9443" || s.Directory.Domain != "corp.example" || s.CA.RootKey != Defaults().CA.RootKey {
		t.Errorf("got %q, %q, %q, %v", s.Listen, s.Directory.Domain, s.CA.RootKey, err)
	}
}

// TestA13_NoPasswordInAMistake breaks the line with the address of the database.
func TestA13_NoPasswordInAMistake(t *testing.T) {
	for _, text := range []string{"database: postgres://portal:hunter2: x@db/certportal\n", "listen: [postgres://portal:hunter2@db/x]\n",
		"certificates: {days: 'postgres://portal:hunter2@db/x'}\n"} {
		if _, err := load(t, text, nil); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestA18_YAMLOfAnAttacker has a document that refers to itself and one that grows when it
// is read.
func TestA18_YAMLOfAnAttacker(t *testing.T) {
	grows := "a: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'k'; c++ {
		name, before := string(c), string(c-1)
		grows += name + ": &" + name + " [" + strings.TrimSuffix(strings.Repeat("*"+before+", ", 9), ", ") + "]\n"
	}
	for name, text := range map[string]string{
		"itself": "directory: &d\n  groups: *d\n", "grows": grows + "trusted_proxies: *k\n", "binary": "organization: !!binary '%%%'\n",
		"merge": "directory:\n  <<: {kind: ldap}\n", "map as a key": "? {a: b}\n: c\n", "NUL": "organization: \"\x00\"\n",
	} {
		if _, err := load(t, text, nil); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// Two listeners cannot share a port.
func TestOnePortForTwoListeners(t *testing.T) {
	tests := []struct {
		text string
		want string
	}{
		{"listen: :8443\nlisten_http: :8443", "listen_http"},
		{"listen: 10.0.0.1:443\nlisten_http: :443", "listen_http"},
		{"listen_ops: :8080", "listen_ops"},
		{"listen_check: :8080", "listen_check"},
		{"listen: :8444\nlisten_check: :8444", ""}, // the default goes without
		{"listen: 10.0.0.1:443\nlisten_http: 10.0.0.2:443", ""},
		{"listen: :0\nlisten_http: :0", ""},
	}
	for _, tt := range tests {
		_, err := load(t, tt.text, nil)
		if (err == nil) != (tt.want == "") || !strings.Contains(errorText(err), tt.want) {
			t.Errorf("%q: %v, want %q", tt.text, err, tt.want)
		}
	}
}
