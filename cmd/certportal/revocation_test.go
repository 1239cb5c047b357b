package main

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/test/slapd"
	"certportal/internal/test/testkit/fixture"
)

// within runs a command on a data folder with one more variable.
func within(t *testing.T, data string, environ map[string]string, args ...string) result {
	t.Helper()
	for name, value := range fixture.FastCA() {
		if _, set := environ[name]; !set {
			environ[name] = value
		}
	}
	var out, errs strings.Builder
	code := run(t.Context(), append([]string{"--data", data}, args...), streams{in: strings.NewReader(""), out: &out, err: &errs}, environ)
	return result{code, out.String(), errs.String()}
}

func TestCACRLCommand(t *testing.T) {
	data, folder := t.TempDir(), t.TempDir()
	environ := map[string]string{"CERTPORTAL_REVOCATION_FOLDERS": folder, "CERTPORTAL_REVOCATION_DELTA_EVERY": "30m"}
	crl := func(args ...string) result {
		return within(t, data, environ, append([]string{"ca", "crl"}, args...)...)
	}
	if r := crl(); r.code != exitFailed || !strings.Contains(r.err, "ca init") {
		t.Errorf("without a CA: exit %d, %q", r.code, r.err)
	}
	if r := within(t, data, environ, "ca", "init"); r.code != exitDone {
		t.Fatal(r.err)
	}
	for _, want := range []string{"list of root", "list of issuing", "number  ", "next update", "entries      0", "bytes", "next publication at", "address of the delta list"} {
		if r := crl(); r.code != exitDone || !strings.Contains(r.out, want) {
			t.Errorf("exit %d, want %q in\n%s%s", r.code, want, r.out, r.err)
		}
	}
	before := crl("--issuer", "issuing").out
	if r := crl("--publish"); r.code != exitDone || !strings.Contains(r.out, "Published list") || !strings.Contains(r.out, "delta list to number") {
		t.Errorf("publishing: exit %d, %s%s", r.code, r.out, r.err)
	}
	if after := crl("--issuer", "issuing").out; after == before {
		t.Errorf("after publishing: %s", after)
	}
	for _, name := range []string{"root.crl", "issuing.crl", "issuing-delta.crl"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			t.Error(err)
		}
	}
	checkOut(t, crl)
	out := within(t, data, environ, "audit", "export", "--out", filepath.Join(t.TempDir(), "log"), "--format", "json")
	if out.code != exitDone {
		t.Errorf("exporting: %s", out.err)
	}
	if r := within(t, data, environ, "ca", "export-root-key", "--to", filepath.Join(t.TempDir(), "root.key")); r.code != exitDone {
		t.Fatal(r.err)
	}
	if r := crl("--publish"); r.code != exitDone || !strings.Contains(r.out, "not on this machine") {
		t.Errorf("publishing without the root's key: exit %d, %s%s", r.code, r.out, r.err)
	}
	if r := crl("--publish", "--issuer", "root"); r.code != exitFailed {
		t.Errorf("publishing the root's list without its key: exit %d, %s", r.code, r.out)
	}
}

// checkOut writes lists into files.
func checkOut(t *testing.T, crl func(...string) result) {
	t.Helper()
	der, text := filepath.Join(t.TempDir(), "a.crl"), filepath.Join(t.TempDir(), "root.pem")
	if r := crl("--out", der); r.code != exitDone {
		t.Errorf("writing: exit %d, %s", r.code, r.err)
	}
	if r := crl("--out", der); r.code != exitUsage {
		t.Errorf("writing over it: exit %d, %s", r.code, r.err)
	}
	if r := crl("--pem"); r.code != exitUsage {
		t.Errorf("PEM of nothing: exit %d, %s", r.code, r.err)
	}
	if r := crl("--out", text, "--pem", "--issuer", "root"); r.code != exitDone {
		t.Errorf("writing PEM: exit %d, %s", r.code, r.err)
	}
	octets, err := os.ReadFile(text)
	if err != nil {
		t.Fatal(err)
	}
	if block, _ := pem.Decode(octets); block == nil || block.Type != "X509 CRL" {
		t.Errorf("no PEM: %q", octets)
	}
}

func TestConfigCheckTriesThePlacesOfLists(t *testing.T) {
	data, folder := t.TempDir(), t.TempDir()
	s := slapd.Start(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(slapd.AdminPassword), 0o600); err != nil {
		t.Fatal(err)
	}
	dn := "cn=issuing," + slapd.Base
	environ := map[string]string{
		"CERTPORTAL_REVOCATION_FOLDERS": folder, "CERTPORTAL_REVOCATION_LDAP_URL": s.URL(), "CERTPORTAL_REVOCATION_LDAP_DN": dn,
		"CERTPORTAL_REVOCATION_LDAP_BIND_DN": slapd.Admin, "CERTPORTAL_REVOCATION_LDAP_PASSWORD_FILE": secret,
		"CERTPORTAL_REVOCATION_LDAP_CA_FILE": s.CAFile,
	}
	if r := within(t, data, environ, "config", "check"); r.code != exitFailed || !strings.Contains(r.out, "ca init") || !strings.Contains(r.out, folder+" takes files") {
		t.Errorf("without a CA: exit %d\n%s", r.code, r.out)
	}
	// Lists that cannot be copied keep no CA from being made.
	if r := within(t, data, map[string]string{}, "ca", "init"); r.code != exitDone {
		t.Fatal(r.err)
	}
	if r := within(t, data, environ, "config", "check"); r.code != exitFailed || !strings.Contains(r.out, "certificateRevocationList of "+dn) {
		t.Errorf("without the entry: exit %d\n%s", r.code, r.out)
	}
	conn, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Bind(slapd.Admin, slapd.AdminPassword); err != nil {
		t.Fatal(err)
	}
	add := ldap.NewAddRequest(dn, nil)
	add.Attribute("objectClass", []string{"cRLDistributionPoint"})
	if err := conn.Add(add); err != nil {
		t.Fatal(err)
	}
	if r := within(t, data, environ, "config", "check"); r.code != exitDone {
		t.Errorf("with the entry: exit %d\n%s%s", r.code, r.out, r.err)
	}
	if r := within(t, data, environ, "ca", "crl", "--publish"); r.code != exitDone || s.Value(t, dn, "certificateRevocationList;binary") == "" {
		t.Errorf("publishing: exit %d, %s%s", r.code, r.out, r.err)
	}
	environ["CERTPORTAL_REVOCATION_FOLDERS"] = filepath.Join(folder, "gone")
	if r := within(t, data, environ, "config", "check"); r.code != exitFailed || !strings.Contains(r.out, "gone") {
		t.Errorf("without the folder: exit %d\n%s", r.code, r.out)
	}
}
