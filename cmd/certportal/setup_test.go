package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/test/samba"
	"certportal/internal/test/smtpserver"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// setupFlags answer all questions for a portal with accounts of its own.
func setupFlags(change map[string]string) []string {
	flags := map[string]string{
		"organization": "Contoso", "public-url": "certificates.corp.example", "public-http-url": "http://pki.corp.example",
		"listen": "127.0.0.1:0", "listen-http": "127.0.0.1:0", "directory": "builtin", "domain": "corp.example", "time-zone": "Europe/Berlin",
	}
	maps.Copy(flags, change)
	args := []string{"setup", "--ask-nothing"}
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		args = append(args, "--"+name+"="+flags[name])
	}
	return args
}

// TestSetupByFlags asks nothing and writes settings with which the CA can be made.
func TestSetupByFlags(t *testing.T) {
	folder := t.TempDir()
	file, data := filepath.Join(folder, "certportal.yaml"), filepath.Join(folder, "data")
	out := mustRun(t, append(setupFlags(nil), "--config", file, "--data", data)...)
	for _, want := range []string{"certportal config check --config " + file, "certportal serve --config " + file, "Sign in as admin", "root's key into a safe", "Back up", filepath.Join(folder, "ca-passphrase")} {
		if !strings.Contains(out, want) {
			t.Errorf("does not say %q:\n%s", want, out)
		}
	}
	s := testkit.Must(config.Examine(file, nil))(t)
	if s.PublicURL != "https://certificates.corp.example" || s.Organization != "Contoso" || s.Data != data || s.Pages.TimeZone != "Europe/Berlin" {
		t.Errorf("settings: %q, %q, %q, %q", s.PublicURL, s.Organization, s.Data, s.Pages.TimeZone)
	}
	text := string(testkit.Must(os.ReadFile(file))(t))
	if !strings.Contains(text, "# Part of every certificate") {
		t.Errorf("no comments in\n%s", text)
	}
	passphrase := filepath.Join(folder, "ca-passphrase")
	if info := testkit.Must(os.Stat(passphrase))(t); info.Mode().Perm() != 0o600 {
		t.Errorf("the passphrase has mode %v", info.Mode())
	}
	mustRun(t, "ca", "init", "--config", file)
	if _, err := os.Stat(filepath.Join(data, "ca-passphrase")); err == nil {
		t.Error("the CA was made with another passphrase")
	}
	secret := testkit.Must(os.ReadFile(passphrase))(t)

	// What is there is kept.
	if r := certportal(t, "", append(setupFlags(nil), "--config", file, "--data", data)...); r.code != exitFailed || !strings.Contains(r.err, "--replace") {
		t.Errorf("over settings: exit %d\n%s", r.code, r.err)
	}
	mustRun(t, append(setupFlags(map[string]string{"organization": "Fabrikam"}), "--replace", "--config", file, "--data", data)...)
	if got := testkit.Must(os.ReadFile(file + ".before-setup"))(t); string(got) != text {
		t.Errorf("kept is\n%s", got)
	}
	if got := testkit.Must(os.ReadFile(passphrase))(t); string(got) != string(secret) {
		t.Error("the passphrase changed: the CA's keys are lost")
	}
}

// TestSetupRefusesFlags gives one wrong answer each. Nothing is written.
func TestSetupRefusesFlags(t *testing.T) {
	tests := []struct{ name, flag, value, want string }{
		{"no name", "organization", "", "--organization: this is needed"},
		{"long name", "organization", strings.Repeat("x", 60), "at most 53 bytes"},
		{"wrong scheme", "public-url", "ftp://x.corp.example", "write https://HOST"},
		{"https lists", "public-http-url", "https://pki.corp.example", "write http://HOST"},
		{"no port", "listen", "localhost", "write ADDRESS:PORT"},
		{"no file", "tls-certificate", "/nowhere/tls.crt", "/nowhere/tls.crt"},
		{"unknown directory", "directory", "nis", "choose active-directory, ldap, builtin"},
		{"no domain", "domain", "corp example", "write a domain such as corp.example"},
		{"no mail host", "mail-host", "smtp://mail", "write a host name"},
		{"no database", "database-file", "/nowhere/database", "/nowhere/database"},
		{"unknown CA", "ca", "third", "choose own, company"},
		{"unknown zone", "time-zone", "Mars/Base", "Europe/Berlin"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			folder := t.TempDir()
			r := certportal(t, "", append(setupFlags(map[string]string{tt.flag: tt.value}), "--config", filepath.Join(folder, "certportal.yaml"), "--data", filepath.Join(folder, "data"))...)
			if r.code != exitUsage || !strings.Contains(r.err, tt.want) || !strings.Contains(r.err, "--"+tt.flag) {
				t.Errorf("exit %d, want %d and %q in\n%s", r.code, exitUsage, tt.want, r.err)
			}
			if left := testkit.Must(os.ReadDir(folder))(t); len(left) > 0 {
				t.Errorf("written: %v", left)
			}
		})
	}
}

// TestSetupNamesAllThatIsMissing: who writes the flags of a script gets them in one try.
func TestSetupNamesAllThatIsMissing(t *testing.T) {
	folder := t.TempDir()
	r := certportal(t, "", "setup", "--ask-nothing", "--organization=Contoso", "--mail-host=mail.corp.example", "--config", filepath.Join(folder, "certportal.yaml"), "--data", filepath.Join(folder, "data"))
	want := "--public-url, --public-http-url, --domain, --servers, --directory-user, --directory-password-file, --admin-group, --mail-from, --operators"
	if r.code != exitUsage || !strings.Contains(r.err, want) {
		t.Errorf("exit %d, want %d and %q in\n%s", r.code, exitUsage, want, r.err)
	}
	if left := testkit.Must(os.ReadDir(folder))(t); len(left) > 0 {
		t.Errorf("written: %v", left)
	}
}

// script is what a person types: some answers wrong first, each with the sentence that
// setup says then.
type script struct{ lines, wants []string }

func (s *script) wrong(answer, want string) {
	s.lines, s.wants = append(s.lines, answer), append(s.wants, want)
}

func (s *script) right(answers ...string) { s.lines = append(s.lines, answers...) }

// TestSetupAsks answers questions wrong first, then right, with a real domain controller, a
// mail server and PostgreSQL behind the answers.
func TestSetupAsks(t *testing.T) {
	dc, mail, database := samba.Lease(t), smtpserver.Start(t, smtpserver.Config{Ways: []string{"PLAIN"}, MustLogin: true}), fixture.EmptyPostgres(t)
	var s script
	s.wrong("", "this is needed")
	s.wrong(strings.Repeat("x", 60), "at most 53 bytes")
	s.right("Contoso")
	s.wrong("ftp://x", "write https://HOST")
	s.right("certificates.corp.example")
	s.wrong("https://pki.corp.example", "write http://HOST")
	s.right("localhost") // the name of this machine alone: the three questions come again
	s.wrong("perhaps", "Answer yes or no.")
	s.right("yes", "", "", "pki.corp.example")
	s.wrong("localhost", "write ADDRESS:PORT")
	s.right("127.0.0.1:0", "127.0.0.1:0")
	s.wrong("/nowhere/tls.crt", "/nowhere/tls.crt: no such file")
	s.right("")
	s.wrong("http://acme.corp.example", "write the address of the directory")
	s.right("https://acme.corp.example/dir")
	s.wrong("no", "choose true")
	s.right("true")
	s.wrong("pki", "write one bare address")
	s.right("")
	s.wrong("/nowhere/ca.pem", "/nowhere/ca.pem: no such file")
	s.right("")
	s.wrong("/nowhere/root.cer", "/nowhere/root.cer: no such file")
	s.right(dc.CAFile)
	domain(&s, dc)
	s.wrong("smtp://mail", "write a host name")
	s.right(mail.Host())
	s.wrong("none", "choose starttls, tls")
	s.right("")
	s.wrong("many", "write a whole number")
	s.right(strconv.Itoa(mail.Port()))
	s.wrong("certificates", "write one address")
	s.right("portal@corp.example", smtpserver.User, smtpserver.Password, mail.CAFile())
	s.wrong("Anna <anna@corp.example>", "write one bare address")
	s.right("pki@corp.example")
	s.wrong("postgres://portal@127.0.0.1:1/none", "failed: database")
	s.right("yes", database)
	s.wants = append(s.wants, "the server answers and lets the portal in")
	s.wrong("third", "choose own, company")
	s.right("company")
	s.wrong("Mars/Base", "write an area and a place")
	s.right("Europe/Berlin")

	folder := t.TempDir()
	file := filepath.Join(folder, "certportal.yaml")
	r := certportal(t, strings.Join(s.lines, "\n")+"\n", "setup", "--config", file, "--data", filepath.Join(folder, "data"))
	if r.code != exitDone {
		t.Fatalf("exit %d\n%s%s", r.code, r.out, r.err)
	}
	rest := r.out
	for _, want := range append(s.wants, "certportal ca csr") {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("does not say %q, or not in its place, in\n%s", want, r.out)
		}
		rest = after
	}
	for _, secret := range []string{samba.ReaderPassword, smtpserver.Password, database} {
		if text := string(testkit.Must(os.ReadFile(file))(t)); strings.Contains(text, secret) {
			t.Errorf("the settings hold the secret %q", secret)
		}
	}
	for _, name := range []string{"ca-passphrase", "directory-password", "mail-password", "database"} {
		if info := testkit.Must(os.Stat(filepath.Join(folder, name)))(t); info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	if text := string(testkit.Must(os.ReadFile(file))(t)); !strings.Contains(text, "  - name: Root of the mail server\n    file: "+dc.CAFile+"\n") {
		t.Errorf("no anchor in\n%s", text)
	}
	if out := mustRun(t, "config", "check", "--config", file); !strings.Contains(out, "settings are well formed") {
		t.Errorf("config check finds\n%s", out)
	}
}

// domain answers the questions about Active Directory: all once more after a wrong password.
func domain(s *script, dc *samba.DC) {
	s.wrong("nis", "choose active-directory, ldap, builtin")
	s.right("") // Active Directory
	s.wrong("corp example", "write a domain")
	s.right(samba.Domain)
	s.wrong("http://dc1", "write ldaps://HOST")
	s.right(dc.URL())
	s.wrong("/nowhere/ca.pem", "no such file")
	s.right(dc.CAFile, samba.Reader, "of another account", "", "")
	s.wrong("CN=Domain Users,CN=Users,"+samba.Base, "wrong password, or no such account")
	s.right("yes", "", "", "", "", "", samba.ReaderPassword, "", "", "")
}

// TestSetupEndsEarly stops in the middle: nothing is written.
func TestSetupEndsEarly(t *testing.T) {
	folder := t.TempDir()
	r := certportal(t, "Contoso\ncertificates.corp.example\n", "setup", "--config", filepath.Join(folder, "certportal.yaml"), "--data", filepath.Join(folder, "data"))
	if r.code != exitFailed || !strings.Contains(r.err, "nothing was written") {
		t.Errorf("exit %d\n%s", r.code, r.err)
	}
	if left := testkit.Must(os.ReadDir(folder))(t); len(left) > 0 {
		t.Errorf("written: %v", left)
	}
}
