package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/samba"
)

// ad are the smallest settings of Active Directory, open for more.
const ad = "directory: {kind: active-directory, domain: corp.example, servers: [ldaps://dc1.corp.example], user: reader@corp.example"

func TestPeopleSettingsRefuse(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"unknown kind", "directory: {kind: novell}", "directory.kind"},
		{"servers without kind", "directory: {servers: [ldaps://dc1]}", "directory.kind"},
		{"group without kind", "directory: {groups: {enroll: [S-1-5-21-1-2-3-4]}}", "directory.groups.enroll"},
		{"attribute without kind", "directory: {attributes: {upn: mail}}", "directory.attributes.upn"},
		{"endless timeout without kind", "directory: {timeout: 1h}", "directory.timeout"},
		{"client without issuer", "openid: {client_id: a}", "openid.client_id"},
		{"no domain of people", "directory: {kind: ldap, user: cn=a, base: 'dc=x', servers: [ldaps://ldap1]}", "directory.domain"},
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
		{"address as a name", "openid: {issuer: 'https://idp', client_id: a, upn_claim: mail}", "mail address"},
		{"provider with a password", "openid: {issuer: 'https://a:b@idp', client_id: a}", "issuer"},
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
	for name, text := range map[string]string{
		"the smallest": ad + "}", "of no directory": "directory: {domain: corp.example, groups: {admin: []}, watch: {every: 1m}}",
	} {
		if _, err := load(t, text, nil); err != nil {
			t.Errorf("settings %s: %v", name, err)
		}
	}
}

func TestGroupsInTheEnvironmentHoldCommas(t *testing.T) {
	const a, b = "CN=Phones,DC=corp,DC=example", "S-1-5-21-1-2-3-1104"
	s, err := load(t, ad+"}", map[string]string{"CERTPORTAL_DIRECTORY_GROUPS_ENROLL": a + ";" + b})
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
	anna, err := p.people.Match(t.Context(), portal.Claim{UPN: "anna@corp.example"})
	if err != nil {
		t.Fatal(err)
	}
	done, err := p.registrar.Enroll(t.Context(), enroll.Request{
		By: portal.Actor{Person: anna.ID}, Name: "phone", Platform: portal.Android, Idempotent: "1",
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
	if err != nil || device.Certificate.Changed != portal.AccountDisabled {
		t.Errorf("mark %q, %v, want %q", device.Certificate.Changed, err, portal.AccountDisabled)
	}
}

// TestA11_DriftApplyLiftsTheStop has more people leave than the watch believes: an
// administrator is shown all of them, is asked, and is done with it.
func TestA11_DriftApplyLiftsTheStop(t *testing.T) {
	leavers := []string{"anna", "ben", "carl", "dora"}
	tests := []struct{ name, leave, stop, warning string }{
		{"switched off", "disable", "too-many", "Type yes"},
		{"another directory", "remove", "nobody-known", "knows NONE of them"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data := t.TempDir()
			p, err := open(t, data)
			if err != nil {
				t.Fatal(err)
			}
			for _, login := range leavers {
				upn := login + "@corp.example"
				mustRun(t, "--data", data, "user", "add", login, "--upn", upn)
				person, err := p.people.Match(t.Context(), portal.Claim{UPN: upn})
				if err != nil {
					t.Fatal(err)
				}
				r := enroll.Request{By: portal.Actor{Person: person.ID}, Name: "phone", Platform: portal.Android, Idempotent: login}
				if _, err := p.registrar.Enroll(t.Context(), r); err != nil {
					t.Fatal(err)
				}
				mustRun(t, "--data", data, "user", tt.leave, login)
			}
			if r := certportal(t, "", "--data", data, "drift", "check"); r.code != exitFailed || !strings.Contains(r.err, "stopped: "+tt.stop) {
				t.Errorf("check: exit %d, want %d and %q:\n%s", r.code, exitFailed, tt.stop, r.err)
			}
			r := certportal(t, "yes\n", "--data", data, "drift", "apply")
			if r.code != exitDone || !strings.Contains(r.out, "4 marked") || !strings.Contains(r.err, tt.warning) {
				t.Errorf("apply: exit %d, want %d, 4 marked and %q:\n%s%s", r.code, exitDone, tt.warning, r.out, r.err)
			}
		})
	}
}

// TestNamesMoveNoTerminal prints what people wrote into their own entries.
func TestNamesMoveNoTerminal(t *testing.T) {
	const name = "Anna\x1b[2J\nroot\u202e李伟 Müller"
	if got, want := plain(name), "Anna\ufffd[2J\ufffdroot\ufffd李伟 Müller"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestTheOneWhoIsMeant never takes one of two people for the other.
func TestTheOneWhoIsMeant(t *testing.T) {
	anna := portal.Person{ID: "1", Login: "anna", UPN: "a.schmidt@corp.example"}
	long := portal.Person{ID: "2", Login: "annabell", UPN: "annabell@corp.example"}
	thief := portal.Person{ID: "3", Login: "mallory", UPN: "anna"}
	tests := []struct {
		name  string
		found []portal.Person
		more  bool
		want  portal.PersonID
	}{
		{"nobody", nil, false, ""},
		{"one", []portal.Person{long}, false, "2"},
		{"one of many", []portal.Person{long}, true, ""},
		{"exactly one", []portal.Person{long, anna}, true, "1"},
		{"two by this name", []portal.Person{anna, thief}, false, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := onlyOne(tt.found, tt.more, "ANNA")
			if p.ID != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("got %q, %v, want %q", p.ID, err, tt.want)
			}
		})
	}
}

// adSettings are those of a portal at a domain controller, by environment.
func adSettings(t *testing.T, dc *samba.DC) map[string]string {
	t.Helper()
	password := filepath.Join(t.TempDir(), "password")
	if err := writeSecret(password, []byte(samba.ReaderPassword)); err != nil {
		t.Fatal(err)
	}
	environ := fastCA()
	for name, value := range map[string]string{
		"KIND": kindAD, "DOMAIN": samba.Domain, "SERVERS": dc.URL(), "CA_FILE": dc.CAFile,
		"USER": samba.Reader, "PASSWORD_FILE": password,
	} {
		environ["CERTPORTAL_DIRECTORY_"+name] = value
	}
	return environ
}

func TestConfigCheckAsksTheDirectory(t *testing.T) {
	dc := samba.Start(t)
	tests := []struct {
		name, key, value string
		code             int
		want             string
	}{
		{"all is well", "", "", exitDone, "below the directory's own lock at 5"},
		{"wrong account", "USER", "nobody@" + samba.Domain, exitFailed, "directory.user"},
		{"unknown CA", "CA_FILE", "", exitFailed, "directory.ca_file"},
		{"nobody listens", "SERVERS", "ldaps://127.0.0.1:1", exitFailed, "Nothing listens"},
		{"unknown group", "GROUPS_PROTECTED", "CN=Gone," + samba.Base, exitFailed, "directory.groups.protected"},
		{"base elsewhere", "BASE", "OU=Gone," + samba.Base, exitFailed, "directory.base"},
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
	if p.stayBelowLock(t.Context()) {
		t.Error("the lockout policy counts as read")
	}
	_, err = p.signIn.Authenticate(t.Context(), "anna", "some password", portal.Actor{Address: "192.0.2.1"})
	var outage *portal.Outage
	if !errors.As(err, &outage) || outage.Part != portal.PartDirectory {
		t.Errorf("Authenticate: %v, want an outage of the directory", err)
	}
}

// TestA8_FollowsTheDirectorysLock reads a hair trigger from the domain and stays
// below it.
func TestA8_FollowsTheDirectorysLock(t *testing.T) {
	dc := samba.Start(t)
	dc.Modify(t, samba.Base, map[string][]string{"lockoutThreshold": {"2"}})
	dc.AddUser(t, samba.User{Login: "anna"})
	p, err := openWith(t, t.TempDir(), adSettings(t, dc))
	if err != nil {
		t.Fatal(err)
	}
	if !p.stayBelowLock(t.Context()) {
		t.Fatal("the domain told no policy")
	}
	_, err = p.signIn.Authenticate(t.Context(), "anna", "guess", portal.Actor{})
	var wrong *signin.Wrong
	if want := (signin.Wrong{Pause: 30 * time.Minute}); !errors.As(err, &wrong) || *wrong != want {
		t.Errorf("first guess: %v, want %+v", err, want)
	}
}
