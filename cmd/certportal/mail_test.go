package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"certportal/internal/test/smtpserver"
	"certportal/internal/test/testkit/fixture"
)

// mailSettings are those of a test server, under which the portal signs in.
func mailSettings(t *testing.T, server *smtpserver.Server) map[string]string {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "mail-password")
	if err := os.WriteFile(secret, []byte(smtpserver.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := fixture.FastCA()
	for name, value := range map[string]string{
		"HOST": server.Host(), "PORT": strconv.Itoa(server.Port()), "CA_FILE": server.CAFile(),
		"USER": smtpserver.User, "PASSWORD_FILE": secret, "FROM": "portal@corp.example", "TIMEOUT": "5s",
	} {
		environ["CERTPORTAL_MAIL_"+name] = value
	}
	return environ
}

func TestConfigCheckAsksTheMailServer(t *testing.T) {
	server := smtpserver.Start(t, smtpserver.Config{Ways: []string{"PLAIN"}, MustLogin: true})
	public := filepath.Join(t.TempDir(), "readable")
	if err := os.WriteFile(public, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(t.TempDir(), "wrong")
	if err := os.WriteFile(wrong, []byte("wrong"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, key, value string
		code             int
		want             string
	}{
		{"all is well", "", "", exitDone, "127.0.0.1 takes mail"},
		{"nobody listens", "PORT", "1", exitFailed, "connecting to mail server 127.0.0.1:1"},
		{"another name", "HOST", "localhost", exitFailed, "not for the name localhost"},
		{"unknown CA", "CA_FILE", "", exitFailed, "mail.ca_file"},
		{"wrong password", "PASSWORD_FILE", wrong, exitFailed, "signing in as " + smtpserver.User},
		{"password that others read", "PASSWORD_FILE", public, exitFailed, "chmod 600"},
		{"no password", "PASSWORD_FILE", "", exitFailed, "mail.password_file"},
		{"TLS at once", "SECURITY", "tls", exitFailed, "try mail.security starttls"},
		{"codes that replace a password", "HELPDESK_CODE_ALONE", "true", exitDone, "a pickup code replaces the password"},
		{"no such CA file", "CA_FILE", "/nowhere/ca.pem", exitFailed, "mail.ca_file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			environ := named(t, mailSettings(t, server))
			switch {
			case strings.HasPrefix(tt.key, "HELPDESK_"):
				environ["CERTPORTAL_"+tt.key] = tt.value
			case tt.key != "":
				environ["CERTPORTAL_MAIL_"+tt.key] = tt.value
			}
			var out, errs strings.Builder
			code := run(t.Context(), []string{"config", "check"}, streams{in: strings.NewReader(""), out: &out, err: &errs}, environ)
			if code != tt.code || !strings.Contains(out.String()+errs.String(), tt.want) {
				t.Errorf("exit %d, want %d and %q in\n%s%s", code, tt.code, tt.want, out.String(), errs.String())
			}
			if strings.Contains(out.String()+errs.String(), smtpserver.Password) {
				t.Error("the output holds the password")
			}
		})
	}
	if n := len(server.Mails()); n != 0 {
		t.Errorf("%d mails were sent", n)
	}
}

func TestConfigCheckFindsCodesWithoutMail(t *testing.T) {
	for _, setting := range []string{"CODE_ALONE", "SECOND_APPROVER"} {
		environ := map[string]string{"CERTPORTAL_DATA": t.TempDir(), "CERTPORTAL_HELPDESK_" + setting: "true"}
		var out, errs strings.Builder
		code := run(t.Context(), []string{"config", "check"}, streams{in: strings.NewReader(""), out: &out, err: &errs}, environ)
		if code != exitFailed || !strings.Contains(out.String(), "no code can be made") {
			t.Errorf("%s: exit %d\n%s%s", setting, code, out.String(), errs.String())
		}
	}
}
