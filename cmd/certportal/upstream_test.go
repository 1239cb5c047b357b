package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/ca/upstream"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/standin/step"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// What a CA elsewhere cannot revoke is listed until an operator confirms it.
func TestUpstreamCommands(t *testing.T) {
	data := t.TempDir()
	p, err := openApp(t, data)
	testkit.NoError(t, err)
	testkit.NoError(t, p.Close())
	if out := mustRun(t, "--data", data, "upstream", "revocations"); !strings.Contains(out, "Every revocation is confirmed") {
		t.Errorf("before: %s", out)
	}
	clock := testkit.NewRunningClock()
	company := fixture.NewUpstreamCA(t, clock.Now)
	company.OnRevoke = func() error { return upstream.ErrUnsupported }
	elsewhere := fixture.NewPortalAt(t, clock, "sqlite:"+filepath.Join(data, "portal.db"), func(c *enroll.Config) { c.Upstream = company.Upstream("company") })
	anna := elsewhere.Add("anna", fixture.SIDPrefix+"1101")
	done := elsewhere.MustEnroll(anna, "Phone", "form")
	ctx := context.WithoutCancel(t.Context())
	testkit.NoError(t, elsewhere.Block(ctx, fixture.Employee(anna), enroll.Block{Person: anna.ID, Device: done.Device, Cause: portal.Lost}))
	testkit.NoError(t, elsewhere.SweepUpstream(ctx))
	testkit.NoError(t, elsewhere.DB.Close())

	serial := done.Serial.String()
	if out := mustRun(t, "--data", data, "upstream", "revocations"); !strings.Contains(out, serial) || !strings.Contains(out, "company") ||
		!strings.Contains(out, "keyCompromise (1)") {
		t.Errorf("open: %s", out)
	}
	if out := mustRun(t, "--data", data, "list", "--authority", "upstream-company"); !strings.Contains(out, serial) {
		t.Errorf("list: %s", out)
	}
	for _, wrong := range []string{"4f", "xyz"} {
		if r := certportal(t, "", "--data", data, "upstream", "confirm", wrong); r.code == exitDone {
			t.Errorf("%s is confirmed", wrong)
		}
	}
	mustRun(t, "--data", data, "upstream", "confirm", strings.ToUpper(serial))
	if out := mustRun(t, "--data", data, "upstream", "revocations"); strings.Contains(out, serial) {
		t.Errorf("confirmed: %s", out)
	}
}

// A test of a CA elsewhere is run beside the portal, and its steps are printed.
func TestUpstreamTestCommand(t *testing.T) {
	data := t.TempDir()
	company := step.Start(t)
	key := testkit.Must(company.Key())(t)
	write := func(name string, pems ...*x509.Certificate) {
		var text []byte
		for _, cert := range pems {
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
		}
		testkit.NoError(t, os.WriteFile(filepath.Join(data, name), text, 0o600))
	}
	write("chain.pem", company.Chain...)
	write("server.pem", company.TLS)
	testkit.NoError(t, os.WriteFile(filepath.Join(data, "key.jwk"), []byte(key), 0o600))
	p, err := openApp(t, data)
	testkit.NoError(t, err)
	testkit.NoError(t, p.Close())
	mustRun(t, "--data", data, "user", "add", "anna", "--upn", "anna@corp.example")
	settings := filepath.Join(data, "settings.yaml")
	text := fmt.Sprintf(`data: %[1]s
upstreams:
  - name: company
    kind: step-ca
    url: %[2]s
    chain: %[1]s/chain.pem
    server_ca_file: %[1]s/server.pem
    provisioner: %[3]s
    provisioner_key_file: %[1]s/key.jwk
`, data, company.URL, step.Provisioner)
	testkit.NoError(t, os.WriteFile(settings, []byte(text), 0o600))
	out := mustRun(t, "--config", settings, "upstream", "test", "company", "--person", "anna@corp.example")
	for _, want := range []string{"for anna@corp.example", "answered:  issued", "it is what was asked for", ", confirmed ", "result:    passed"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q: %s", want, out)
		}
	}
	if r := certportal(t, "", "--config", settings, "upstream", "test", "company", "--person", "anna@corp.example", "--refusal"); r.code == exitDone || !strings.Contains(r.err, "company is not AD CS") {
		t.Errorf("a refusal that this CA cannot pass: %d, %s", r.code, r.err)
	}
	for _, wrong := range [][]string{{"other", "--person", "anna@corp.example"}, {"company", "--person", "ben@corp.example"}} {
		if r := certportal(t, "", append([]string{"--config", settings, "upstream", "test"}, wrong...)...); r.code == exitDone {
			t.Errorf("%q: %s", wrong, r.out)
		}
	}
	if company.Submits() != 1 {
		t.Errorf("%d requests were sent", company.Submits())
	}
}

// A CA that issued where it had to deny is an error that says how to restrict it.
func TestUpstreamTestPrintsAFailedRefusal(t *testing.T) {
	var out strings.Builder
	i := &invocation{cli: &commands{}, io: streams{out: &out}}
	err := i.printTrial(enroll.Trial{Kind: enroll.TrialRefusal, Authority: "upstream-company", State: enroll.UpstreamTooLate}, time.UTC)
	if err == nil || !strings.Contains(err.Error(), "ESC3") || !strings.Contains(out.String(), "result:    failed") {
		t.Errorf("%v, printed:\n%s", err, out.String())
	}
}

// The script is for a CA with a host that revokes, and it is shown when that asked.
func TestRevocationScript(t *testing.T) {
	dir := t.TempDir()
	p, err := openApp(t, dir)
	testkit.NoError(t, err)
	testkit.NoError(t, p.Close())
	settings := filepath.Join(dir, "certportal.yaml")
	testkit.NoError(t, os.WriteFile(settings, []byte("data: "+dir+"\norganization: Contoso\npublic_url: https://certificates.corp.example\nlisten_revoker: :8445\nupstreams:\n"+
		"- {name: company, kind: certsrv, url: 'https://ca.corp.example/certsrv', template: T, chain: /c, user: u, password_file: /p, revoker_certificate: /r}\n"+
		"- {name: no-adcs, kind: est, url: 'https://ca.corp.example', chain: /c, user: u, password_file: /p, revoker_certificate: /r}\n"+
		"- {name: by-hand, kind: est, url: 'https://ca.corp.example', chain: /c, user: u, password_file: /p}\n"), 0o600))
	if out := mustRun(t, "--config", settings, "upstream", "revocation-script", "company"); !strings.Contains(out, "'https://certificates.corp.example:8445'") {
		t.Errorf("script: %.300s", out)
	}
	file := filepath.Join(dir, "revoke.ps1")
	mustRun(t, "--config", settings, "upstream", "revocation-script", "company", "--out", file)
	if text := testkit.Must(os.ReadFile(file))(t); !strings.Contains(string(text), "-Execute") {
		t.Error("the file is not the script")
	}
	for _, wrong := range []string{"by-hand", "no-adcs", "other"} {
		if r := certportal(t, "", "--config", settings, "upstream", "revocation-script", wrong); r.code == exitDone {
			t.Errorf("there is a script for %s", wrong)
		}
	}
	if out := mustRun(t, "--config", settings, "upstream", "revocations"); !strings.Contains(out, "The host of company last asked what to revoke: never.") || strings.Contains(out, "host of by-hand") {
		t.Errorf("before it asked: %s", out)
	}
	db := fixture.Open(t, "sqlite:"+filepath.Join(dir, "portal.db"))
	testkit.NoError(t, db.NoteRevokerAsked(t.Context(), "upstream-company", time.Date(2026, 11, 29, 10, 30, 0, 0, time.UTC)))
	testkit.NoError(t, db.Close())
	if out := mustRun(t, "--config", settings, "upstream", "revocations"); !strings.Contains(out, "last asked what to revoke: 2026-11-29") {
		t.Errorf("after it asked: %s", out)
	}
}
