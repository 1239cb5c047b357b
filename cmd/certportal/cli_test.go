package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// result is what a command line did.
type result struct {
	code     int
	out, err string
}

func certportal(t *testing.T, input string, args ...string) result {
	t.Helper()
	var out, err bytes.Buffer
	code := run(t.Context(), args, streams{strings.NewReader(input), &out, &err}, fixture.FastCA())
	return result{code, out.String(), err.String()}
}

// must runs a command that has to succeed, and gives its output.
func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	r := certportal(t, "", args...)
	if r.code != exitDone {
		t.Fatalf("certportal %s: exit %d\n%s%s", strings.Join(args, " "), r.code, r.out, r.err)
	}
	return r.out
}

func TestUsage(t *testing.T) {
	tests := []struct {
		name string
		args []string
		code int
		want string
	}{
		{"nothing", nil, exitDone, "serve"},
		{"help", []string{"help"}, exitDone, "export-root-key"},
		{"help of a command", []string{"help", "user", "add"}, exitDone, "--upn"},
		{"--help of a command", []string{"demo", "--help"}, exitDone, "--listen"},
		{"help of nothing", []string{"help", "fly"}, exitUsage, "fly"},
		{"version", []string{"version"}, exitDone, "certportal development"},
		{"unknown command", []string{"fly"}, exitUsage, "fly"},
		{"unknown flag", []string{"serve", "--fly"}, exitUsage, "--fly"},
		{"missing argument", []string{"user", "add"}, exitUsage, "login"},
		{"no settings file", []string{"config", "check", "--config", "nowhere.yml"}, exitFailed, "nowhere.yml"},
		{"bad demo address", []string{"demo", "--listen", "nonsense"}, exitUsage, "ADDRESS:PORT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := certportal(t, "", tt.args...)
			if r.code != tt.code {
				t.Errorf("exit %d, want %d\n%s%s", r.code, tt.code, r.out, r.err)
			}
			if !strings.Contains(r.out+r.err, tt.want) {
				t.Errorf("output does not name %q:\n%s%s", tt.want, r.out, r.err)
			}
		})
	}
}

// A command to type again has what sudo was given: as root it would be refused, or leave files
// that the service cannot read.
func TestCommandsToTypeNameTheAccount(t *testing.T) {
	i := &invocation{cli: &commands{ConfigFile: "x.yaml"}}
	for account, want := range map[string]string{"": "", "root": "", "x; rm": "", "certportal": "sudo -u certportal "} {
		t.Setenv("SUDO_USER", "anna")
		t.Setenv("USER", account)
		testkit.Equal(t, "as "+account, i.again("resume"), want+"certportal --config x.yaml resume")
	}
	t.Setenv("SUDO_USER", "")
	testkit.Equal(t, "without sudo", i.again("resume"), "certportal --config x.yaml resume")
}

func TestConfigCommands(t *testing.T) {
	file := filepath.Join(t.TempDir(), "certportal.yml")
	if err := os.WriteFile(file, []byte(mustRun(t, "config", "example")), 0o600); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "config", "check", "--offline", "--config", file)
	text := "tls: {certificate: nowhere.pem, key: nowhere.key}\nanchors: [{name: Corp, file: nothing.cer}]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := certportal(t, "", "config", "check", "--config", file)
	for _, want := range []string{"tls.certificate", "nowhere.pem", "tls.key", "anchors[0]", "nothing.cer"} {
		if r.code != exitFailed || !strings.Contains(r.err, want) {
			t.Errorf("exit %d, does not name %s:\n%s", r.code, want, r.err)
		}
	}
}

func TestUserCommands(t *testing.T) {
	data := t.TempDir()
	mustRun(t, "--data", data, "ca", "init")
	user := func(args ...string) []string { return append([]string{"--data", data, "user"}, args...) }
	out := mustRun(t, user("add", "anna", "--name", "Anna Schmidt", "--role", "helpdesk,auditor")...)
	if !strings.Contains(out, "added anna (anna@portal.example)") || !strings.Contains(out, "password: ") {
		t.Errorf("add printed %q", out)
	}
	if r := certportal(t, "typed password\n", user("add", "bob", "--ask")...); r.code != exitDone || strings.Contains(r.out, "typed password") {
		t.Errorf("add --ask: exit %d, %q", r.code, r.out)
	}
	mustRun(t, user("disable", "bob")...)
	listed := mustRun(t, user("list")...)
	for _, want := range []string{"helpdesk,auditor", "Anna Schmidt", "disabled"} {
		if !strings.Contains(listed, want) {
			t.Errorf("list does not show %q:\n%s", want, listed)
		}
	}
	mustRun(t, user("enable", "bob")...)
	mustRun(t, user("passwd", "bob")...)
	mustRun(t, user("remove", "bob")...)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{user("remove", "bob"), "no such account"},
		{user("add", "anna"), "already: certportal user list"},
		{user("add", "carl", "--sid", "x"), "--sid"},
		{user("add", "carl", "--upn", "carl"), "--upn"},
	} {
		if r := certportal(t, "", tt.args...); r.code != exitFailed || !strings.Contains(r.err, tt.want) {
			t.Errorf("%v: exit %d, %q, want it to say %q", tt.args, r.code, r.err, tt.want)
		} else if strings.Contains(strings.ToLower(r.err), "unique") {
			t.Errorf("%v shows the words of the database: %q", tt.args, r.err)
		}
	}
	if r := certportal(t, "", "--data", filepath.Join(data, "typo"), "user", "list"); r.code != exitFailed || !strings.Contains(r.err, "no portal in") {
		t.Errorf("a folder that is not there: exit %d, %q", r.code, r.err)
	}
	if r := certportal(t, "short\n", user("passwd", "anna", "--ask")...); r.code != exitFailed || !strings.Contains(r.err, "too short") {
		t.Errorf("short password: exit %d, %q", r.code, r.err)
	}
}

func TestCACommands(t *testing.T) {
	data := t.TempDir()
	if r := certportal(t, "", "--data", data, "ca", "show"); r.code != exitFailed || !strings.Contains(r.err, "certportal ca init") {
		t.Errorf("show without a CA: exit %d, %q", r.code, r.err)
	}
	out := mustRun(t, "--data", data, "ca", "init")
	if !strings.Contains(out, "ca-passphrase") || !strings.Contains(out, "/crl/issuing.crl") {
		t.Errorf("init printed %q", out)
	}
	if r := certportal(t, "", "--data", data, "ca", "init"); r.code != exitFailed || !strings.Contains(r.err, "already") {
		t.Errorf("second init: exit %d, %q", r.code, r.err)
	}
	shown := mustRun(t, "--data", data, "ca", "show")
	for _, want := range []string{"Root CA", "Issuing CA", "SHA-256", "Revocation list of root: number", "Revocation list of issuing: number", "on this machine"} {
		if !strings.Contains(shown, want) {
			t.Errorf("show does not print %q:\n%s", want, shown)
		}
	}
	dest := filepath.Join(t.TempDir(), "root.key")
	mustRun(t, "--data", data, "ca", "export-root-key", "--to", dest)
	if _, err := os.Stat(dest); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(data, "ca", "root.key")); err == nil {
		t.Error("the root's key is still in the folder")
	}
	if shown := mustRun(t, "--data", data, "ca", "show"); !strings.Contains(shown, "not on this machine") {
		t.Errorf("show after the export:\n%s", shown)
	}
	if r := certportal(t, "", "--data", data, "ca", "export-root-key", "--to", filepath.Join(data, "nowhere", "x")); r.code != exitUsage {
		t.Errorf("export into no folder: exit %d, %q", r.code, r.err)
	}
	if r := certportal(t, "", "--data", data, "ca", "export-root-key", "--to", dest+"2"); r.code != exitFailed || !strings.Contains(r.err, "not on this machine") {
		t.Errorf("second export: exit %d, %q", r.code, r.err)
	}
}

func TestA13_ExposedSecretsAreRefused(t *testing.T) {
	data := t.TempDir()
	mustRun(t, "--data", data, "ca", "init")
	for _, file := range []string{"ca/issuing.key", "ca/root.key"} {
		path := filepath.Join(data, file)
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
		if r := certportal(t, "", "--data", data, "serve"); r.code != exitFailed || !strings.Contains(r.err, "chmod") {
			t.Errorf("%s open to others: exit %d, %q", file, r.code, r.err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// systemd shows the access list of a credential as group rights (0440).
func TestSystemdCredential(t *testing.T) {
	credentials, data := t.TempDir(), t.TempDir()
	file := filepath.Join(credentials, "ca-passphrase")
	if err := os.WriteFile(file, []byte("from systemd, long enough\n"), 0o440); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", credentials)
	mustRun(t, "--data", data, "ca", "init")
	if _, err := os.Stat(filepath.Join(data, "ca-passphrase")); err == nil {
		t.Error("a passphrase was made although systemd gave one")
	}
	if err := os.Chmod(file, 0o444); err != nil {
		t.Fatal(err)
	}
	if r := certportal(t, "", "--data", t.TempDir(), "ca", "init"); r.code != exitFailed || !strings.Contains(r.err, "chmod") {
		t.Errorf("a credential everybody reads: exit %d, %s", r.code, r.err)
	}
}

func TestDisablingEndsSessions(t *testing.T) {
	p, err := openApp(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, ctx := p.Settings, t.Context()
	mustRun(t, "--data", s.Data, "user", "add", "anna")
	account, err := p.DB.AccountByLogin(ctx, "anna")
	if err != nil {
		t.Fatal(err)
	}
	now := p.Now()
	for n, verb := range []string{"disable", "passwd", "remove"} {
		id := [32]byte{byte(n)}
		if err := p.DB.SaveSession(ctx, id, string(account.ID), []byte("sealed"), time.Hour, now.Add(time.Hour), now); err != nil {
			t.Fatal(err)
		}
		mustRun(t, "--data", s.Data, "user", verb, "anna")
		if _, err := p.DB.Session(ctx, id, now); !errors.Is(err, portal.ErrNotFound) {
			t.Errorf("after user %s the session is open: %v", verb, err)
		}
	}
}

func TestPassphraseFromFileAndPrompt(t *testing.T) {
	for _, source := range []string{"file", "prompt"} {
		t.Run(source, func(t *testing.T) {
			data, environ := t.TempDir(), fixture.FastCA()
			environ["CERTPORTAL_CA_PASSPHRASE_FILE"] = config.Prompt
			if source == "file" {
				file := filepath.Join(t.TempDir(), "secret")
				if err := os.WriteFile(file, []byte("a long passphrase\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				environ["CERTPORTAL_CA_PASSPHRASE_FILE"] = file
			}
			var out, errs bytes.Buffer
			code := run(context.WithoutCancel(t.Context()), []string{"--data", data, "ca", "init"},
				streams{strings.NewReader("a long passphrase\n"), &out, &errs}, environ)
			if code != exitDone {
				t.Fatalf("exit %d\n%s", code, errs.String())
			}
			if _, err := os.Stat(filepath.Join(data, "ca-passphrase")); err == nil {
				t.Error("a passphrase file was made although one was given")
			}
			code = run(context.WithoutCancel(t.Context()), []string{"--data", data, "ca", "next"},
				streams{strings.NewReader("a long passphrase\n"), &out, &errs}, environ)
			if code != exitDone {
				t.Errorf("ca next: exit %d\n%s", code, errs.String())
			}
		})
	}
}

// openApp opens a portal in a folder, on free ports, with the keys of FastCA.
func openApp(t *testing.T, data string) (*app.App, error) {
	t.Helper()
	s, err := config.Load("", fixture.FastCA())
	if err != nil {
		t.Fatal(err)
	}
	s.Data, s.Listen, s.ListenHTTP, s.ListenOps, s.ListenCheck = data, "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	p, err := app.Open(t.Context(), app.Program{Version: "test"}, s, &config.Terminal{In: strings.NewReader(""), Out: io.Discard}, slog.New(slog.DiscardHandler))
	if err != nil {
		return p, errors.Join(err, p.Close())
	}
	t.Cleanup(func() { p.Close() })
	return p, nil
}

// openSettings opens a portal with its settings.
func openSettings(t *testing.T, s *config.Settings) *app.App {
	t.Helper()
	p, err := app.Open(t.Context(), app.Program{Version: "test"}, s, &config.Terminal{In: strings.NewReader(""), Out: io.Discard}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(errors.Join(err, p.Close()))
	}
	return p
}

// A program that is older than the database ends with a sentence and 78, so that its unit
// does not start it again and again.
func TestF18_OlderProgramEndsWith78(t *testing.T) {
	data := t.TempDir()
	mustRun(t, "--data", data, "ca", "init")
	db := testkit.Must(sql.Open("sqlite", filepath.Join(data, "portal.db")))(t)
	testkit.Must(db.ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, TRUE)"))(t)
	testkit.NoError(t, db.Close())
	for _, command := range [][]string{{"serve"}, {"user", "list"}, {"audit", "verify"}} {
		r := within(t, data, map[string]string{"CERTPORTAL_LISTEN": "127.0.0.1:0", "CERTPORTAL_LISTEN_HTTP": "127.0.0.1:0"}, command...)
		testkit.Equal(t, "exit code", r.code, 78)
		testkit.Contains(t, "the sentence", r.err, "database schema is newer than this program: found version 99999")
	}
}
