package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/internal/portal"
	"certportal/internal/test/pgtest"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// writeSettings writes a settings file in which all names were chosen, and more.
func writeSettings(t *testing.T, more string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "certportal.yml")
	text := "data: " + filepath.Join(t.TempDir(), "data") + `
organization: Contoso
public_url: https://certificates.corp.example
public_http_url: http://pki.corp.example
listen: 127.0.0.1:0
listen_http: 127.0.0.1:0
listen_ops: 127.0.0.1:0
listen_check: 127.0.0.1:0
ca: {root_key: ec-p256, issuing_key: ec-p256}
` + more
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// named adds chosen names, free ports and a data folder to an environment.
func named(t *testing.T, environ map[string]string) map[string]string {
	t.Helper()
	for key, value := range map[string]string{
		"ORGANIZATION": "Contoso", "PUBLIC_URL": "https://certificates.corp.example", "PUBLIC_HTTP_URL": "http://pki.corp.example",
		"LISTEN": "127.0.0.1:0", "LISTEN_HTTP": "127.0.0.1:0", "LISTEN_OPS": "127.0.0.1:0", "DATA": t.TempDir(),
	} {
		environ["CERTPORTAL_"+key] = value
	}
	return environ
}

// TestServeMakesNoCAUnderDefaults starts without settings. A demo, ca init and a portal
// that has its CA are not stopped.
func TestServeMakesNoCAUnderDefaults(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	r := certportal(t, "", "--data", data, "serve")
	for _, want := range []string{"organization", "public_http_url", "certportal ca init", "certportal demo"} {
		if r.code != exitFailed || !strings.Contains(r.err, want) {
			t.Errorf("exit %d, does not say %q:\n%s", r.code, want, r.err)
		}
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("the refused start made a data folder")
	}
	s, err := (&invocation{cli: &commands{Data: data}, environ: fixture.FastCA()}).settings()
	if err != nil {
		t.Fatal(err)
	}
	if r := certportal(t, "", "--data", data, "ca", "init"); r.code != exitDone || !strings.Contains(r.err, "warning: public_http_url: it is not set") {
		t.Errorf("ca init under defaults: exit %d, %s", r.code, r.err)
	}
	if err := namesChosen(s); err != nil {
		t.Errorf("with a CA: %v", err)
	}
	file := writeSettings(t, "")
	if s, err = (&invocation{cli: &commands{ConfigFile: file}}).settings(); err != nil {
		t.Fatal(err)
	}
	if err := namesChosen(s); err != nil {
		t.Errorf("with names: %v", err)
	}
}

// TestConfigCheckOfAnInstallation goes from defaults to a portal that can start, with a
// port that is taken on the way.
func TestConfigCheckOfAnInstallation(t *testing.T) {
	check := func(args ...string) result { return certportal(t, "", append([]string{"config", "check"}, args...)...) }
	if r := check("--data", t.TempDir()); r.code != exitFailed || !strings.Contains(r.out, "failed   public_http_url") || !strings.Contains(r.out, "failed   organization") {
		t.Errorf("defaults: exit %d\n%s%s", r.code, r.out, r.err)
	}
	file := writeSettings(t, "")
	r := check("--config", file)
	if r.code != exitDone || !strings.Contains(r.out, "there is no CA in") || !strings.Contains(r.out, "if there was one, restore it") {
		t.Errorf("names chosen: exit %d\n%s%s", r.code, r.out, r.err)
	}
	mustRun(t, "ca", "init", "--config", file)
	if r := check("--config", file); r.code != exitDone || strings.Contains(r.out, "there is no CA in") {
		t.Errorf("with a CA: exit %d\n%s%s", r.code, r.out, r.err)
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	taken := strings.Replace(string(text), "listen: 127.0.0.1:0", "listen: "+busy.Addr().String(), 1)
	if err := os.WriteFile(file, []byte(taken), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := check("--config", file); r.code != exitFailed || !strings.Contains(r.out, "in use by another program") {
		t.Errorf("port in use: exit %d\n%s%s", r.code, r.out, r.err)
	}
	if r := certportal(t, "", "serve", "--config", file); r.code != exitFailed || !strings.Contains(r.err, "listen: "+busy.Addr().String()+" is in use by another program") {
		t.Errorf("start with a port in use: exit %d, %s", r.code, r.err)
	}
	if r := check("--config", file, "--offline"); r.code != exitDone || strings.Contains(r.out, "in use") {
		t.Errorf("offline: exit %d\n%s%s", r.code, r.out, r.err)
	}
}

// TestConfigCheckGoesOnAfterMistakes has a mistake in the pages and a port that is taken:
// one run names both.
func TestConfigCheckGoesOnAfterMistakes(t *testing.T) {
	file := writeSettings(t, "pages: {accent: blue}\nrevocation: {folders: [/nowhere/lists]}\ndirectory: {kind: novell}\nexchange: {host: 'https://mail'}\n")
	r := certportal(t, "", "config", "check", "--config", file)
	for _, want := range []string{"line 10: pages.accent", "line 12: directory.kind", "left out"} {
		if r.code != exitFailed || !strings.Contains(r.out+r.err, want) {
			t.Errorf("exit %d, does not say %q:\n%s%s", r.code, want, r.out, r.err)
		}
	}
	if !strings.Contains(r.out, "failed   revocation.folders[0]") {
		t.Errorf("the folder was not tried:\n%s", r.out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	one := strings.NewReplacer("127.0.0.1:0\nlisten_http: 127.0.0.1:0", ":18443\nlisten_http: :18443", "Contoso", "Company").Replace(string(text))
	if err := os.WriteFile(file, []byte(one), 0o600); err != nil {
		t.Fatal(err)
	}
	r = certportal(t, "", "config", "check", "--config", file)
	for _, want := range []string{"line 6: listen_http: found \":18443\": it is the port of listen too", "failed   organization", "tls.certificate", "there is no CA in"} {
		if !strings.Contains(r.out+r.err, want) {
			t.Errorf("with one port twice it does not say %q:\n%s%s", want, r.out, r.err)
		}
	}
}

// TestConfigCheckNamesEachMistakeOnce: a mistake in one address hides no port that is taken,
// and is not reported a second time by what the address is needed for.
func TestConfigCheckNamesEachMistakeOnce(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	file := writeSettings(t, "tls: {certificate: /nowhere/tls.crt}\n")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.NewReplacer("listen: 127.0.0.1:0", "listen: localhost", "listen_http: 127.0.0.1:0", "listen_http: "+busy.Addr().String()).Replace(string(text))
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	r := certportal(t, "", "config", "check", "--config", file)
	all := r.out + r.err
	if !strings.Contains(all, busy.Addr().String()+" is in use by another program") || !strings.Contains(all, "there is no CA in") {
		t.Errorf("other classes are missing:\n%s", all)
	}
	for _, once := range []string{"localhost", "listen:", "tls.key", "tls.certificate: open"} {
		if n := strings.Count(strings.ReplaceAll(all, "key of tls.certificate", ""), once); n != 1 {
			t.Errorf("%q is there %d times, want once:\n%s", once, n, all)
		}
	}
}

// TestConfigCheckFindsAPortalThatRuns takes the ports of a running portal for its own.
func TestConfigCheckFindsAPortalThatRuns(t *testing.T) {
	p, err := openApp(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	environ := fixture.FastCA()
	environ["CERTPORTAL_LISTEN_HTTP"], environ["CERTPORTAL_LISTEN"], environ["CERTPORTAL_LISTEN_OPS"] = p.Public.HTTP.Host, p.Public.HTTPS.Host, "127.0.0.1:0"
	var out, errs strings.Builder
	run(t.Context(), []string{"--data", p.Settings.Data, "config", "check"}, streams{strings.NewReader(""), &out, &errs}, environ)
	if !strings.Contains(out.String(), p.Public.HTTPS.Host+" is in use, as a portal runs on") {
		t.Errorf("got\n%s%s", out.String(), errs.String())
	}
}

// TestPeopleShowKnowsPauses locks a person out of new browsers. Each role is named once.
func TestPeopleShowKnowsPauses(t *testing.T) {
	data := t.TempDir()
	p, err := openApp(t, data)
	if err != nil {
		t.Fatal(err)
	}
	mustRun(t, "--data", data, "user", "add", "anna", "--role", "employee,helpdesk")
	if out := mustRun(t, "--data", data, "people", "show", "anna"); !strings.Contains(strings.Join(strings.Fields(out), " "), "sign-in pauses none") ||
		strings.Count(out, "employee") != strings.Count(out, "employee number")+1 {
		t.Errorf("before:\n%s", out)
	}
	var refusal *portal.Refusal
	for try := 0; try < 50 && !errors.As(err, &refusal); try++ {
		if _, err = p.SignIn.Authenticate(t.Context(), "anna", "wrong", portal.Actor{Address: "192.0.2.66"}); err == nil {
			t.Fatal("a wrong password was taken")
		}
	}
	out := mustRun(t, "--data", data, "people", "show", "anna")
	until := time.Now().UTC().Format("2006-01-02")
	if !strings.Contains(out, "browsers new to the account until "+until[:4]) || !strings.Contains(out, " UTC") {
		t.Errorf("after five wrong passwords:\n%s", out)
	}
}

// The check asks a database server, and warns of one that is reached without verified TLS.
func TestConfigCheckAsksTheDatabase(t *testing.T) {
	var server pgtest.Server
	t.Cleanup(server.Stop)
	here := server.Database(t)
	for address, want := range map[string]string{
		here: "the server answers and lets the portal in, which makes its tables at the first start",
		strings.Replace(here, "portal@", "stranger@", 1):          `role "stranger" does not exist`,
		"postgres://portal@db.invalid/portal?sslmode=require":     "the connection to db.invalid is not verified by TLS",
		"postgres://portal@db.invalid/portal?sslmode=verify-full": "db.invalid",
	} {
		r := certportal(t, "", "--config", writeSettings(t, "database: "+address+"\n"), "config", "check")
		testkit.Contains(t, address, r.out, want)
		failed := false
		for line := range strings.Lines(r.out) {
			failed = failed || strings.HasPrefix(line, "failed") && strings.Fields(line)[1] == "database"
		}
		testkit.Equal(t, address+": failed", failed, address != here)
	}
}
