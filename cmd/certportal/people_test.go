package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"certportal/enroll"
	"certportal/internal/addc"
)

func TestPeopleSettingsRefuse(t *testing.T) {
	const ad = "directory: {kind: active-directory, domain: corp.example, servers: [ldaps://dc1.corp.example], user: reader@corp.example"
	tests := []struct{ name, text, want string }{
		{"unknown kind", "directory: {kind: novell}", "directory.kind"},
		{"servers without kind", "directory: {servers: [ldaps://dc1]}", "directory.kind"},
		{"no servers", "directory: {kind: active-directory, domain: corp.example, user: a}", "directory.servers"},
		{"web address", "directory: {kind: active-directory, domain: corp.example, user: a, servers: [https://dc1]}", "directory.servers[0]"},
		{"server with a password", "directory: {kind: active-directory, domain: corp.example, user: a, servers: ['ldaps://a:b@dc1']}", "directory.servers[0]"},
		{"no account", "directory: {kind: active-directory, domain: corp.example, servers: [ldaps://dc1]}", "directory.user"},
		{"no domain", "directory: {kind: active-directory, user: a, servers: [ldaps://dc1]}", "directory.domain"},
		{"no base", "directory: {kind: ldap, user: cn=a, servers: [ldaps://ldap1]}", "directory.base"},
		{"group by name", ad + ", groups: {admin: [Domain Admins]}}", "directory.groups.admin"},
		{"endless timeout", ad + ", timeout: 1h}", "directory.timeout"},
		{"watch without rest", ad + ", watch: {every: 1ms}}", "directory.watch.every"},
		{"grace below zero", ad + ", watch: {grace: -1h}}", "directory.watch.grace"},
		{"share of all", ad + ", watch: {share_percent: 101}}", "directory.watch.share_percent"},
		{"no tries", "sign_in: {tries: 0}", "sign_in.tries"},
		{"any number of tries", "sign_in: {tries: 1000}", "sign_in.tries"},
		{"short window", "sign_in: {window: 1s}", "sign_in.window"},
		{"only, and no provider", "openid: {only: true}", "openid.only"},
		{"provider without TLS", "openid: {issuer: 'http://idp', client_id: a}", "openid.issuer"},
		{"no client id", "openid: {issuer: 'https://idp'}", "openid.client_id"},
		{"e-mail as a name", "openid: {issuer: 'https://idp', client_id: a, upn_claim: email}", "openid.upn_claim"},
		{"session id as SID", "openid: {issuer: 'https://idp', client_id: a, sid_claim: sid}", "openid.sid_claim"},
		{"no claim", "openid: {issuer: 'https://idp', client_id: a, upn_claim: ''}", "openid.upn_claim"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := load(t, tt.text, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("loading: %v, want it to name %s", err, tt.want)
			}
		})
	}
	if _, err := load(t, ad+"}", nil); err != nil {
		t.Errorf("the smallest settings: %v", err)
	}
}

func TestGroupsInTheEnvironmentHoldCommas(t *testing.T) {
	const a, b = "CN=Phones,DC=corp,DC=example", "S-1-5-21-1-2-3-1104"
	s, err := load(t, "", map[string]string{"CERTPORTAL_DIRECTORY_GROUPS_ENROLL": a + ";" + b})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Directory.Groups.Enroll; len(got) != 2 || got[0] != a || got[1] != b {
		t.Errorf("groups %q, want the two", got)
	}
}

func TestPeopleCommands(t *testing.T) {
	data := t.TempDir()
	p, err := open(t, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "--data", data, "user", "add", "anna", "--upn", "anna@corp.example", "--name", "Anna Schmidt", "--role", "helpdesk")
	mustRun(t, "--data", data, "user", "add", "anton", "--upn", "anton@corp.example")
	if out := mustRun(t, "--data", data, "people", "search", "schm", "an"); !strings.Contains(out, "Anna Schmidt") || strings.Contains(out, "anton") {
		t.Errorf("search found\n%s", out)
	}
	out := mustRun(t, "--data", data, "people", "show", "ANNA@corp.example")
	for _, want := range []string{"anna@corp.example", "employee,helpdesk", "may have a certificate  yes"} {
		if !strings.Contains(out, want) {
			t.Errorf("show does not say %q:\n%s", want, out)
		}
	}
	for _, args := range [][]string{{"people", "show", "an"}, {"people", "show", "nobody"}} {
		if r := certportal(t, "", append([]string{"--data", data}, args...)...); r.code != exitFailed {
			t.Errorf("%v: exit %d, want %d", args, r.code, exitFailed)
		}
	}
}

// TestA11_DriftCommands ends what somebody holds whose account is switched off.
func TestA11_DriftCommands(t *testing.T) {
	data := t.TempDir()
	p, err := open(t, data)
	if err != nil {
		t.Fatal(err)
	}
	mustRun(t, "--data", data, "user", "add", "anna", "--upn", "anna@corp.example")
	anna, err := p.people.Match(t.Context(), enroll.Claim{UPN: "anna@corp.example"})
	if err != nil {
		t.Fatal(err)
	}
	done, err := p.registrar.Enroll(t.Context(), enroll.Request{
		By: enroll.By{Person: anna.ID}, Name: "phone", Platform: enroll.Android, Idempotent: "1",
	})
	if err != nil {
		t.Fatal(err)
	}
	if out := mustRun(t, "--data", data, "drift", "check"); !strings.Contains(out, "1 people hold certificates, 0 changed") {
		t.Errorf("before: %s", out)
	}
	mustRun(t, "--data", data, "user", "disable", "anna")
	if out := mustRun(t, "--data", data, "drift", "check"); !strings.Contains(out, "disabled") {
		t.Errorf("check does not show anna:\n%s", out)
	}
	if r := certportal(t, "no\n", "--data", data, "drift", "apply"); r.code != exitFailed {
		t.Errorf("apply after a no: exit %d, want %d", r.code, exitFailed)
	}
	if out := mustRun(t, "--data", data, "drift", "apply", "--yes"); !strings.Contains(out, "1 marked") {
		t.Errorf("apply: %s", out)
	}
	device, err := p.registrar.Device(t.Context(), anna.ID, done.Device)
	if err != nil || device.Certificate.Changed != enroll.AccountDisabled {
		t.Errorf("mark %q, %v, want %q", device.Certificate.Changed, err, enroll.AccountDisabled)
	}
}

// adSettings are those of a portal at a domain controller, by environment.
func adSettings(t *testing.T, dc *addc.DC) map[string]string {
	t.Helper()
	password := filepath.Join(t.TempDir(), "password")
	if err := writeSecret(password, []byte(addc.ReaderPassword)); err != nil {
		t.Fatal(err)
	}
	environ := fastCA()
	for name, value := range map[string]string{
		"KIND": kindAD, "DOMAIN": addc.Domain, "SERVERS": dc.URL(), "CA_FILE": dc.CAFile,
		"USER": addc.Reader, "PASSWORD_FILE": password,
	} {
		environ["CERTPORTAL_DIRECTORY_"+name] = value
	}
	return environ
}

func TestConfigCheckAsksTheDirectory(t *testing.T) {
	dc := addc.Start(t)
	tests := []struct {
		name, key, value string
		code             int
		want             string
	}{
		{"all is well", "", "", exitDone, "below the directory's own lock at 5"},
		{"wrong account", "USER", "nobody@" + addc.Domain, exitFailed, "directory.user"},
		{"unknown CA", "CA_FILE", "", exitFailed, "directory.ca_file"},
		{"nobody listens", "SERVERS", "ldaps://127.0.0.1:1", exitFailed, "Nothing listens"},
		{"unknown group", "GROUPS_PROTECTED", "CN=Gone," + addc.Base, exitFailed, "directory.groups.protected"},
		{"base elsewhere", "BASE", "OU=Gone," + addc.Base, exitFailed, "directory.base"},
		{"more tries than the lock", "", "", exitDone, "allows 4 instead of 9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			environ := adSettings(t, dc)
			if tt.key != "" {
				environ["CERTPORTAL_DIRECTORY_"+tt.key] = tt.value
			}
			if strings.HasPrefix(tt.name, "more tries") {
				environ["CERTPORTAL_SIGN_IN_TRIES"] = "9"
			}
			var out, errs strings.Builder
			code := run(t.Context(), []string{"config", "check"}, streams{in: strings.NewReader(""), out: &out, err: &errs}, environ)
			if code != tt.code || !strings.Contains(out.String(), tt.want) {
				t.Errorf("exit %d, want %d and %q in\n%s%s", code, tt.code, tt.want, out.String(), errs.String())
			}
		})
	}
}

// TestF7_StartsWithoutItsDirectory: revocation lists must be served whatever the
// directory does.
func TestF7_StartsWithoutItsDirectory(t *testing.T) {
	environ := fastCA()
	for name, value := range map[string]string{
		"KIND": kindAD, "DOMAIN": "corp.example", "SERVERS": "ldaps://127.0.0.1:1", "USER": "reader@corp.example",
	} {
		environ["CERTPORTAL_DIRECTORY_"+name] = value
	}
	p, err := openWith(t, t.TempDir(), environ)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := p.lists.CRL(issuingName); !ok {
		t.Error("no revocation list")
	}
	_, err = p.signIn.Authenticate(t.Context(), "anna", "some password", enroll.By{Address: "192.0.2.1"})
	var outage *enroll.Outage
	if !errors.As(err, &outage) || outage.Part != enroll.PartDirectory {
		t.Errorf("Authenticate: %v, want an outage of the directory", err)
	}
}
