package main

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/cmd/certportal/internal/doctor"
	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// planted is what a bundle must not hold.
func planted() map[string]string {
	return map[string]string{
		"name": "Zacharias Quillfeather", "given name": "Zacharias", "login": "zquill", "upn": "zquill@people.example", "mail": "zach@mail.example",
		"sid":        "S-1-5-21-1111111111-2222222222-3333333333-4321",
		"passphrase": "canary passphrase of the keys", "mail password": "canary-of-mail", "directory password": "canary-of-directory",
		"openid secret": "canary-of-openid", "database password": "canary-of-database",
		"helpdesk mail": "desk@helpdesk.example", "helpdesk phone": "+49 30 1234567", "operator": "olga@operators.example",
		"mail user": "smtp-account-canary",
	}
}

// plantedPortal makes an installation full of secrets and names, and gives its environment.
func plantedPortal(t *testing.T) map[string]string {
	t.Helper()
	p, folder := planted(), t.TempDir()
	secret := func(name string) string {
		file := filepath.Join(folder, strings.ReplaceAll(name, " ", "-"))
		if err := os.WriteFile(file, []byte(p[name]+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	environ := fixture.FastCA()
	for key, value := range map[string]string{
		"DATA": filepath.Join(folder, "data"), "ORGANIZATION": "Contoso", "LISTEN": "127.0.0.1:0", "LISTEN_HTTP": "127.0.0.1:0", "LISTEN_OPS": "127.0.0.1:0", "LISTEN_CHECK": "",
		"PUBLIC_URL": "https://certificates.corp.example", "PUBLIC_HTTP_URL": "http://pki.corp.example",
		"CA_PASSPHRASE_FILE": secret("passphrase"), "MAIL_HOST": "127.0.0.1", "MAIL_PORT": "1", "MAIL_FROM": "portal@corp.example", "MAIL_USER": p["mail user"],
		"MAIL_PASSWORD_FILE": secret("mail password"), "MAIL_OPERATORS": p["operator"], "OPENID_ISSUER": "https://127.0.0.1:1",
		"OPENID_CLIENT_ID": "client", "OPENID_CLIENT_SECRET_FILE": secret("openid secret"), "HELPDESK_MAIL": p["helpdesk mail"], "HELPDESK_PHONE": p["helpdesk phone"],
	} {
		environ["CERTPORTAL_"+key] = value
	}
	s, err := (&invocation{cli: &commands{}, environ: environ}).settings()
	testkit.NoError(t, err)
	app := openSettings(t, s)
	_, err = app.Builtin.Add(t.Context(), directory.NewAccount{
		Login: p["login"], Name: p["name"], GivenName: p["given name"], UPN: p["upn"], Mail: p["mail"], SID: p["sid"], Roles: []portal.Role{portal.Admin}, Password: "long enough 1",
	}, byOperator())
	testkit.NoError(t, err)
	testkit.NoError(t, app.Close())
	return environ
}

func TestA16_SupportBundleHoldsNoSecretsAndNoPeople(t *testing.T) {
	t.Parallel()
	environ := plantedPortal(t)
	texts := bundled(t, environ)
	for name, want := range map[string]string{
		"checks.json": `"name": "mail"`, "settings.json": `"mail.operators": "(1 set)"`, "versions.json": `"go": "go1`, "counts.json": `"accounts of the built-in directory": 1`,
		"alerts.json": "", "events.json": `"action": "ca.created"`, "README.txt": "start here",
	} {
		if text, ok := texts[name]; !ok || !strings.Contains(text, want) {
			t.Errorf("%s: want %s in\n%s", name, want, text)
		}
	}
	var report doctor.Report
	if err := json.Unmarshal([]byte(texts["checks.json"]), &report); err != nil || report.State != portal.FindingFailed || len(report.Checks) < 15 {
		t.Errorf("checks.json: %v, %s, %d checks", err, report.State, len(report.Checks))
	}
	p := planted()
	environ["CERTPORTAL_DATABASE"] = "postgres://portal:" + p["database password"] + "@127.0.0.1:1/portal?sslmode=disable"
	if texts = bundled(t, environ); !strings.Contains(texts["settings.json"], `"database": "postgres:(set)"`) {
		t.Errorf("with a database that does not answer: %s", texts["settings.json"])
	}
}

// bundled writes a bundle and reads it again: no file in it holds what was planted.
func bundled(t *testing.T, environ map[string]string) map[string]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "support.zip")
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"doctor", "--bundle", file}, streams{strings.NewReader(""), &out, &errs}, environ)
	if code != 4 || !strings.Contains(errs.String(), "is written") { // mail and identity provider do not answer
		t.Fatalf("exit %d\n%s%s", code, out.String(), errs.String())
	}
	if info := testkit.Must(os.Stat(file))(t); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	archive := testkit.Must(zip.OpenReader(file))(t)
	defer archive.Close()
	texts := map[string]string{}
	for _, f := range archive.File {
		r := testkit.Must(f.Open())(t)
		texts[f.Name] = string(testkit.Must(io.ReadAll(r))(t))
		if strings.HasSuffix(f.Name, ".json") && !json.Valid([]byte(texts[f.Name])) {
			t.Errorf("%s is no JSON:\n%s", f.Name, texts[f.Name])
		}
		for what, text := range planted() {
			if strings.Contains(strings.ToLower(texts[f.Name]), strings.ToLower(text)) {
				t.Errorf("%s holds the %s", f.Name, what)
			}
		}
	}
	return texts
}

// A bundle that cannot be written leaves no file and says so.
func TestBundleThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for _, tt := range []struct {
		name, file string
		args       []string
	}{
		{"a folder that is not there", filepath.Join(folder, "gone", "support.zip"), nil},
		{"a folder in its place", folder, nil},
		{"settings that cannot be read", filepath.Join(folder, "support.zip"), []string{"--config", filepath.Join(folder, "gone.yaml")}},
	} {
		r := certportal(t, "", append([]string{"doctor", "--data", t.TempDir(), "--bundle", tt.file}, tt.args...)...)
		if r.code != exitFailed || strings.Contains(r.err, "is written:") && !strings.Contains(r.err, "no bundle") {
			t.Errorf("%s: exit %d, %s", tt.name, r.code, r.err)
		}
	}
	if left := testkit.Must(os.ReadDir(folder))(t); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
