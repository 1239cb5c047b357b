package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"certportal/ca"
	"certportal/cmd/certportal/internal/app"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/daemon"
)

// phoneOf enrols a device of a person whose key is their own.
func phoneOf(t *testing.T, p *app.App, person portal.PersonID, name string, device portal.DeviceID) (*x509.Certificate, portal.DeviceID, error) {
	t.Helper()
	key, err := ca.ECP256.Generate()
	if err != nil {
		t.Fatal(err)
	}
	done, err := p.Registrar.EnrollKey(t.Context(), enroll.Request{
		By: portal.Actor{Person: person, Role: portal.Employee}, Name: name, Platform: portal.Android, Device: device, Renew: device != "",
		Idempotent: fmt.Sprint(name, device),
	}, key.Public())
	if err != nil {
		return nil, "", err
	}
	recorded, err := p.DB.Certificate(t.Context(), done.Serial)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(recorded.DER)
	if err != nil {
		t.Fatal(err)
	}
	return leaf, done.Device, nil
}

// verify has OpenSSL verify a certificate with all lists, those of the data folder.
func verify(t *testing.T, data string, leaf *x509.Certificate) string {
	t.Helper()
	dir := t.TempDir()
	args := []string{"verify", "-crl_check_all", "-CAfile", filepath.Join(data, "ca", "root.crt")}
	for _, name := range []string{"root", "issuing", "issuing-2"} {
		if _, err := os.Stat(filepath.Join(data, "ca", name+".crt")); err != nil {
			continue
		}
		list := filepath.Join(dir, name+".crl")
		mustRun(t, "--data", data, "ca", "crl", "--issuer", name, "--out", list, "--pem")
		args = append(args, "-CRLfile", list, "-untrusted", filepath.Join(data, "ca", name+".crt"))
	}
	out, _ := exec.Command(daemon.Program("openssl"), append(args, writeFile(t, dir, "leaf.pem", string(ca.PEM(leaf))))...).CombinedOutput()
	return string(out)
}

// started opens the portal of a folder, with one person.
func started(t *testing.T, data string) (*app.App, portal.PersonID) {
	t.Helper()
	p, err := openApp(t, data)
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := p.Builtin.Accounts(t.Context())
	if err != nil || len(accounts) != 1 {
		t.Fatal(accounts, err)
	}
	return p, accounts[0].ID
}

// TestA13_RevokeIssuing is the story of a stolen key: after the command no certificate of
// the CA verifies, nothing is issued until the next CA is active, and then all can renew.
func TestA13_RevokeIssuing(t *testing.T) {
	data := t.TempDir()
	run := func(args ...string) []string { return append([]string{"--data", data, "ca"}, args...) }
	mustRun(t, run("init")...)
	mustRun(t, "--data", data, "user", "add", "anna")
	p, anna := started(t, data)
	leaf, device, err := phoneOf(t, p, anna, "phone", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if out := verify(t, data, leaf); !strings.Contains(out, "leaf.pem: OK") {
		t.Fatalf("before: %s", out)
	}

	// What is not confirmed is not done.
	for _, test := range []struct {
		input, confirm, want string
		code                 int
	}{
		{"", "issuing-2", "is not issuing", exitUsage}, {"yes\n", "", "is not issuing", exitUsage}, {"", "", "nothing was revoked", exitFailed},
	} {
		args := run("revoke-issuing", "--reason", "keyCompromise")
		if test.confirm != "" {
			args = append(args, "--confirm", test.confirm)
		}
		if r := certportal(t, test.input, args...); r.code != test.code || !strings.Contains(r.err, test.want) {
			t.Errorf("%+v: exit %d, %s", test, r.code, r.err)
		}
	}
	safe := filepath.Join(t.TempDir(), "root.key")
	mustRun(t, run("export-root-key", "--to", safe)...)
	revoke := run("revoke-issuing", "--reason", "keyCompromise", "--confirm", "issuing")
	if r := certportal(t, "", revoke...); r.code != exitFailed || !strings.Contains(r.err, "copy it back as root.key") || !strings.Contains(r.err, "certportal halt") {
		t.Errorf("without the root's key: exit %d, %s", r.code, r.err)
	}
	if shown := shownJSON(t, data); shown.Authorities[0].State != "active" || shown.Authorities[0].Devices != 1 {
		t.Errorf("before: %+v", shown.Authorities[0])
	}
	if err := os.Rename(safe, filepath.Join(data, "ca", "root.key")); err != nil {
		t.Fatal(err)
	}

	out := mustRun(t, revoke...)
	for _, want := range []string{"issuing is revoked, since", "1 certificates of 1 people", "of the root names it", "NTAuthCertificates", "-delstore NTAuth",
		"certportal ca next", "certportal ca activate NAME", "export-root-key"} {
		if !strings.Contains(out, want) {
			t.Errorf("does not print %q:\n%s", want, out)
		}
	}
	if out := verify(t, data, leaf); !strings.Contains(out, "certificate revoked") || strings.Contains(out, "OK") {
		t.Errorf("afterwards: %s", out)
	}
	before := shownJSON(t, data).Lists[0].Number
	if out := mustRun(t, revoke...); !strings.Contains(out, "was revoked already") {
		t.Errorf("again: %s", out)
	}
	if got := shownJSON(t, data).Lists[0].Number; got != before {
		t.Errorf("the second run made list %d after %d", got, before)
	}
	renewAfterRevocation(t, data, anna, leaf, device)
}

// renewAfterRevocation goes on with a portal whose only CA was revoked.
func renewAfterRevocation(t *testing.T, data string, anna portal.PersonID, leaf *x509.Certificate, device portal.DeviceID) {
	t.Helper()
	p, _ := started(t, data) // it starts, and issues nothing
	var refusal *portal.Refusal
	if _, _, err := phoneOf(t, p, anna, "tablet", ""); !errors.As(err, &refusal) || refusal.Reason != portal.NoAuthority {
		t.Errorf("enrolling: got %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "--data", data, "ca", "next")
	mustRun(t, "--data", data, "ca", "crl", "--publish")
	if out := mustRun(t, "--data", data, "ca", "revoke-issuing", "issuing", "--reason", "keyCompromise"); !strings.Contains(out, "certportal ca activate issuing-2") {
		t.Errorf("with a pending CA: %s", out)
	}
	mustRun(t, "--data", data, "ca", "activate", "issuing-2")
	p, _ = started(t, data)
	devices, err := p.DB.Devices(t.Context(), anna)
	if err != nil || len(devices) != 1 || devices[0].State(p.Now()) != portal.StateVoid {
		t.Errorf("devices: %+v, %v", devices, err)
	}
	next, _, err := phoneOf(t, p, anna, "phone", device)
	if err != nil {
		t.Fatal("renewing:", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if out := verify(t, data, next); !strings.Contains(out, "leaf.pem: OK") {
		t.Errorf("the next certificate: %s", out)
	}
	if out := verify(t, data, leaf); !strings.Contains(out, "certificate revoked") {
		t.Errorf("the first certificate: %s", out)
	}
	if out := mustRun(t, "--data", data, "ca", "show"); !strings.Contains(out, "revoked: it issues nothing") {
		t.Errorf("shown: %s", out)
	}
}

// Under the company's root the command stops issuing and says what the company's CA must do,
// in its own words, which OpenSSL then does.
func TestRevokeIssuingUnderACompanysRoot(t *testing.T) {
	data, dir := t.TempDir(), t.TempDir()
	csr := filepath.Join(dir, "phones.csr")
	mustRun(t, "--data", data, "ca", "csr", "--out", csr, "--subject", "CN=Corp Phones CA,O=Corp")
	signed := opensslCompany(t, dir, csr)
	mustRun(t, "--data", data, "ca", "import", "--cert", signed.cert, "--chain", signed.chain)
	out := mustRun(t, "--data", data, "ca", "revoke-issuing", "--reason", "cACompromise", "--confirm", "issuing")
	folder, err := ca.OpenFolder(filepath.Join(data, "ca"))
	if err != nil {
		t.Fatal(err)
	}
	cert := folder.Issuing()
	serial, err := ca.SerialOf(cert.SerialNumber)
	if err != nil {
		t.Fatal(err)
	}
	sha1 := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(strings.SplitN(tool(t, dir, "openssl", "x509", "-in", "sub.pem", "-noout", "-fingerprint", "-sha1"), "=", 2)[1]), ":", ""))
	for _, want := range []string{
		"certutil -revoke " + serial.String() + " 2\n", "certutil -crl\n", "serial number  " + serial.String(), "issuer         " + cert.Issuer.String(),
		"subject        CN=Corp Phones CA,O=Corp", "SHA-1          " + sha1, "SHA-256        " + ca.Fingerprint(cert), "cACompromise (2)",
		"openssl ca -revoke issuing.crt -crl_reason CACompromise", "openssl ca -gencrl", "certportal ca csr", "-delstore NTAuth " + sha1,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("does not print %q:\n%s", want, out)
		}
	}
	if shown := shownJSON(t, data); shown.Authorities[0].State != "revoked" {
		t.Errorf("state: %s", shown.Authorities[0].State)
	}

	// The line for OpenSSL, at the CA that issued.
	writeFile(t, dir, "index.txt", "")
	writeFile(t, dir, "number", "01")
	writeFile(t, dir, "ca.cnf", "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=number\ndefault_md=sha256\ndefault_crl_days=30\ncertificate=policy.pem\nprivate_key=policy.key\n")
	tool(t, dir, "openssl", "ca", "-config", "ca.cnf", "-revoke", filepath.Join(data, "ca", "issuing.crt"), "-crl_reason", "CACompromise")
	tool(t, dir, "openssl", "ca", "-config", "ca.cnf", "-gencrl", "-out", "policy.crl")
	if listed := tool(t, dir, "openssl", "crl", "-in", "policy.crl", "-noout", "-text"); !strings.Contains(strings.ToLower(listed), serial.String()) {
		t.Errorf("list of the company: %s", listed)
	}
}
