package main

import (
	"context"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/slapd"
)

func TestRevocationSettingsRefuse(t *testing.T) {
	const ldaps = "ldap: {url: 'ldaps://dc1.corp.example', dn: 'CN=a,DC=x', bind_dn: crl@corp.example"
	tests := []struct{ name, text, want string }{
		{"short life", "list_life: 23h", "revocation.list_life"},
		{"long life", "list_life: 241h", "revocation.list_life"},
		{"seldom", "list_every: 37h", "revocation.list_every"},
		{"all the time", "list_every: 1s", "revocation.list_every"},
		{"delta more seldom than complete", "delta_every: 2h", "revocation.delta_every"},
		{"delta all the time", "delta_every: 1s", "revocation.delta_every"},
		{"short answers", "ocsp_life: 1m", "revocation.ocsp_life"},
		{"folder somewhere", "folders: [pki]", "revocation.folders[0]"},
		{"folder twice", "folders: [/srv/pki, /srv/pki]", "revocation.folders[1]"},
		{"entry of no server", "ldap: {dn: 'CN=a,DC=x'}", "revocation.ldap"},
		{"over http", strings.Replace(ldaps, "ldaps:", "http:", 1) + "}", "revocation.ldap.url"},
		{"no name", strings.Replace(ldaps, "CN=a,DC=x", "a", 1) + "}", "revocation.ldap.dn"},
		{"no root name", ldaps + ", root_dn: a}", "revocation.ldap.root_dn"},
		{"nobody writes", strings.Replace(ldaps, "crl@corp.example", "''", 1) + "}", "bind_dn"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := load(t, "revocation: {"+tt.text+"}", nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("loading: %v, want it to name %s", err, tt.want)
			}
		})
	}
	for name, text := range map[string]string{
		"delta lists": "list_every: 12h, delta_every: 30m", "entries": ldaps + ", root_dn: 'CN=b,DC=x'}", "folders": "folders: [/srv/a, /srv/b]",
	} {
		if _, err := load(t, "revocation: {"+text+"}", nil); err != nil {
			t.Errorf("settings %s: %v", name, err)
		}
	}
}

// within runs a command on a data folder with one more variable.
func within(t *testing.T, data string, environ map[string]string, args ...string) result {
	t.Helper()
	for name, value := range fastCA() {
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

// issued records a certificate as a portal does before and after signing it.
func issued(t *testing.T, p *App) ca.Serial {
	t.Helper()
	serial, err := ca.NewSerial(nil)
	if err != nil {
		t.Fatal(err)
	}
	err = p.db.Reserve(t.Context(), enroll.Reservation{
		Serial: serial, Kind: portal.KindServer, Profile: "Server", PublicKey: [32]byte([]byte(serial.String())[:32]),
		NotBefore: p.now(), NotAfter: p.now().AddDate(0, 3, 0), Requested: p.now(),
		Entry: audit.Entry{At: p.now(), Action: audit.CertificateReserved, Actor: "test"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return serial
}

func revokedNow(t *testing.T, p *App, serial ca.Serial) {
	t.Helper()
	_, err := p.db.Revoke(t.Context(), enroll.Revocation{
		Serials: []ca.Serial{serial}, Cause: portal.Removed, At: p.now(),
		Entry: audit.Entry{At: p.now(), Action: audit.CertificateRevoked, Actor: "test"},
	})
	if err != nil {
		t.Fatal(err)
	}
	p.revoked()
}

// listedIn waits until the list served names a serial, and gives its number.
func listedIn(t *testing.T, p *App, serial ca.Serial) int64 {
	t.Helper()
	for {
		l, ok := p.lists.CRL(issuingName)
		if !ok {
			t.Fatal("no list")
		}
		if names(t, l, p, serial) {
			return l.Number
		}
		<-time.After(10 * time.Millisecond)
	}
}

func names(t *testing.T, l crl.List, p *App, serial ca.Serial) bool {
	t.Helper()
	crl, err := ca.ReadCRL(l.DER, p.authority.folder.Issuing())
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range crl.Revoked() {
		if err != nil {
			t.Fatal(err)
		}
		if r.Serial == serial {
			return true
		}
	}
	return false
}

// until waits for what a running portal does by itself.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for !done() {
		if t.Context().Err() != nil {
			t.Fatal("the test ended before")
		}
		<-time.After(10 * time.Millisecond)
	}
}

// TestF15_StartWithYesterdaysDatabase restores a copy and starts the portal: before
// anything is served, all that was revoked is revoked again.
func TestF15_StartWithYesterdaysDatabase(t *testing.T) {
	data := t.TempDir()
	p, err := open(t, data)
	if err != nil {
		t.Fatal(err)
	}
	first := issued(t, p)
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(data, "portal.db")
	yesterday, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	second, number := revokeAndIssue(t, data, first)
	if err := os.WriteFile(file, yesterday, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, rest := range []string{"-wal", "-shm"} {
		if err := os.Remove(file + rest); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if p, err = open(t, data); err != nil {
		t.Fatal(err)
	}
	l, _ := p.lists.CRL(issuingName)
	if l.Number <= number || !names(t, l, p, first) || !names(t, l, p, second) {
		t.Errorf("list %d after list %d names the revoked %v and the issued %v, want a later one with both",
			l.Number, number, names(t, l, p, first), names(t, l, p, second))
	}
	for _, serial := range []ca.Serial{first, second} {
		if s, err := p.db.Status(t.Context(), serial); err != nil || s.State != ocsp.Revoked {
			t.Errorf("state of %s: %v, %v, want revoked", serial, s.State, err)
		}
	}
}

// revokeAndIssue runs a portal, revokes one certificate, issues another, and waits until
// list and journal tell of both.
func revokeAndIssue(t *testing.T, data string, first ca.Serial) (second ca.Serial, number int64) {
	t.Helper()
	p, err := open(t, data)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.serve(ctx) }()
	revokedNow(t, p, first)
	number = listedIn(t, p, first)
	second = issued(t, p)
	p.journal.Nudge()
	until(t, func() bool {
		text, err := os.ReadFile(filepath.Join(data, "revocation.journal"))
		return err == nil && strings.Contains(string(text), second.String())
	})
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	return second, number
}

// A delta list is served like the others, from the address that complete lists name.
func TestDeltaListIsServed(t *testing.T) {
	environ := fastCA()
	environ["CERTPORTAL_REVOCATION_DELTA_EVERY"] = "30m"
	p, err := openWith(t, t.TempDir(), environ)
	if err != nil {
		t.Fatal(err)
	}
	serveUntilEnd(t, p)
	serial := issued(t, p)
	revokedNow(t, p, serial)
	address := crlURL(p.public.http, issuingName+crl.DeltaSuffix)
	until(t, func() bool {
		l, ok := p.lists.CRL(issuingName + crl.DeltaSuffix)
		return ok && names(t, l, p, serial)
	})
	answer, err := p.client().Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	octets, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	crl, err := ca.ReadCRL(octets, p.authority.folder.Issuing())
	if err != nil || crl.Base.IsZero() || answer.Header.Get("Content-Type") != "application/pkix-crl" {
		t.Errorf("%s: %s, %v, want a delta list", address, answer.Status, err)
	}
	if complete, _ := p.lists.CRL(issuingName); names(t, complete, p, serial) {
		t.Error("the complete list was made anew, too")
	}
}
