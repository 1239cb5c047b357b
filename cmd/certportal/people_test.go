package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/drift"
	"certportal/internal/enroll"
	"certportal/internal/escape"
	"certportal/internal/portal"
	"certportal/internal/test/samba"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

func TestPeopleCommands(t *testing.T) {
	data := t.TempDir()
	p, err := openApp(t, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
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

// TestA11_DriftCommands revokes the certificates of a disabled account.
func TestA11_DriftCommands(t *testing.T) {
	data := t.TempDir()
	p, err := openApp(t, data)
	if err != nil {
		t.Fatal(err)
	}
	mustRun(t, "--data", data, "user", "add", "anna", "--upn", "anna@corp.example")
	anna, err := p.People.Match(t.Context(), portal.Claim{UPN: "anna@corp.example"})
	if err != nil {
		t.Fatal(err)
	}
	done, err := p.Registrar.Enroll(t.Context(), enroll.Request{
		By: portal.Actor{Person: anna.ID}, Name: "phone", Platform: portal.Android, Idempotent: "1",
	})
	if err != nil {
		t.Fatal(err)
	}
	if out := mustRun(t, "--data", data, "drift", "check"); !strings.Contains(out, "people with certificates: 1; changed within 24 hours: 0; the watch stops when more than") {
		t.Errorf("before: %s", out)
	}
	mustRun(t, "--data", data, "user", "disable", "anna")
	if out := mustRun(t, "--data", data, "drift", "check"); !strings.Contains(out, "disabled") ||
		!strings.Contains(out, "not recorded yet") || !strings.Contains(out, "10m0s after the portal's next pass") {
		t.Errorf("check does not show anna, or a time that does not hold:\n%s", out)
	}
	if out := mustRun(t, "--data", data, "people", "show", "anna"); !strings.Contains(out, "no: the account is disabled") {
		t.Errorf("show does not say why anna cannot sign in:\n%s", out)
	}
	if r := certportal(t, "no\n", "--data", data, "drift", "apply"); r.code != exitFailed {
		t.Errorf("apply after a no: exit %d, want %d", r.code, exitFailed)
	}
	if out := mustRun(t, "--data", data, "drift", "apply", "--yes"); !strings.Contains(out, "changes marked: 1") {
		t.Errorf("apply: %s", out)
	}
	if out := mustRun(t, "--data", data, "drift", "check"); strings.Contains(out, "next pass") || strings.Contains(out, "recorded") {
		t.Errorf("check does not give the time that holds:\n%s", out)
	}
	device, err := p.Registrar.Device(t.Context(), anna.ID, done.Device)
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
			p, err := openApp(t, data)
			if err != nil {
				t.Fatal(err)
			}
			for _, login := range leavers {
				upn := login + "@corp.example"
				mustRun(t, "--data", data, "user", "add", login, "--upn", upn)
				person, err := p.People.Match(t.Context(), portal.Claim{UPN: upn})
				if err != nil {
					t.Fatal(err)
				}
				r := enroll.Request{By: portal.Actor{Person: person.ID}, Name: "phone", Platform: portal.Android, Idempotent: login}
				if _, err := p.Registrar.Enroll(t.Context(), r); err != nil {
					t.Fatal(err)
				}
				mustRun(t, "--data", data, "user", tt.leave, login)
			}
			if r := certportal(t, "", "--data", data, "drift", "check"); r.code != exitFailed || !strings.Contains(r.err, "stopped: "+tt.stop) {
				t.Errorf("check: exit %d, want %d and %q:\n%s", r.code, exitFailed, tt.stop, r.err)
			}
			r := certportal(t, "yes\n", "--data", data, "drift", "apply")
			if r.code != exitDone || !strings.Contains(r.out, "changes marked: 4") || !strings.Contains(r.err, tt.warning) {
				t.Errorf("apply: exit %d, want %d, 4 changes marked and %q:\n%s%s", r.code, exitDone, tt.warning, r.out, r.err)
			}
		})
	}
}

// TestRevokedAt says a time only where it holds.
func TestRevokedAt(t *testing.T) {
	due := time.Date(2026, 11, 22, 12, 10, 0, 0, time.Local)
	at := due.Format("2006-01-02 15:04:05 MST")
	tests := []struct {
		name             string
		f                drift.PersonMismatch
		stopped, applied bool
		want             string
	}{
		{"not recorded", drift.PersonMismatch{Change: portal.AccountGone, Due: due}, false, false, "10m0s after the portal's next pass"},
		{"recorded", drift.PersonMismatch{Change: portal.AccountGone, Due: due, Recorded: true}, false, false, at},
		{"just recorded", drift.PersonMismatch{Change: portal.BecameProtected, Due: due}, false, true, at},
		{"stopped", drift.PersonMismatch{Change: portal.AccountGone, Due: due, Recorded: true}, true, false, "not while the watch is stopped"},
		{"a name", drift.PersonMismatch{Change: portal.UPNChanged, Recorded: true}, false, false, "never"},
		{"another's name", drift.PersonMismatch{Change: portal.UPNReused, Due: due}, false, false, "in the portal's next pass"},
	}
	for _, tt := range tests {
		if got := revokedAt(tt.f, tt.stopped, tt.applied, 10*time.Minute); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestA18_NamesMoveNoTerminal prints what people wrote into their own entries, in
// tables, lines of JSON, errors and the log.
func TestA18_NamesMoveNoTerminal(t *testing.T) {
	data := t.TempDir()
	testkit.NoError(t, testkit.Must(openApp(t, data))(t).Close())
	const name, shown = "Anna\u202egnp\u200b שרה 李伟", `Anna\u202egnp\u200b שרה 李伟`
	mustRun(t, "--data", data, "user", "add", "anna", "--upn", "anna@corp.example", "--name", name)
	for _, args := range [][]string{{"people", "show", "anna"}, {"people", "search", "anna"}, {"user", "list"}} {
		if out := mustRun(t, append([]string{"--data", data}, args...)...); !strings.Contains(out, shown) {
			t.Errorf("%s: got %q, want %q in it", args, out, shown)
		}
	}
	r := certportal(t, "", "--config", filepath.Join(data, name), "list")
	if !strings.Contains(r.err, shown) || strings.Contains(r.err, "\u202e") {
		t.Errorf("error: got %q, want %q in it", r.err, shown)
	}
	for _, format := range []string{"json", "text"} {
		var log bytes.Buffer
		i := &invocation{cli: &commands{}, io: streams{err: escape.Writer{W: &log}}}
		i.logger(&config.Settings{LogFormat: format}).Info("refused", "name", name)
		if !strings.Contains(log.String(), shown) {
			t.Errorf("%s log: got %q, want %q in it", format, log.String(), shown)
		}
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
		{"more tries than the lock", "", "", exitDone, "sign_in.tries is 9: raise lockoutThreshold"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			environ := named(t, fixture.AtDomain(t, dc))
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
