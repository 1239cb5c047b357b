package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// ranPortal is the folder of a portal that ran and ended, so that its ledger is
// sealed.
func ranPortal(t *testing.T) string {
	t.Helper()
	data := t.TempDir()
	p, err := openApp(t, data)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(ctx) }()
	answer, err := http.Get(p.Public.HTTP.JoinPath("ca", "root.cer").String())
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return data
}

// asAdministratorOfTheDatabase changes what the portal does not let change.
func asAdministratorOfTheDatabase(t *testing.T, data string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file://"+filepath.Join(data, "portal.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func verdictOf(t *testing.T, code int, args ...string) verdict {
	t.Helper()
	r := certportal(t, "", args...)
	if r.code != code {
		t.Fatalf("exit %d, want %d\n%s%s", r.code, code, r.out, r.err)
	}
	var v verdict
	if err := json.Unmarshal([]byte(r.out), &v); err != nil {
		t.Fatalf("%v: %s", err, r.out)
	}
	return v
}

func TestAuditVerify(t *testing.T) {
	data := ranPortal(t)
	out := mustRun(t, "--data", data, "audit", "verify", "--certificates")
	if !strings.Contains(out, "entries verified") || !strings.Contains(out, "1 seals") || !strings.Contains(out, "no fault") {
		t.Errorf("got %s", out)
	}
	verify := []string{"--data", data, "audit", "verify", "--json"}
	v := verdictOf(t, exitDone, verify...)
	if !v.OK || v.Seals != 1 || !v.SealsChecked || v.LastSeal == "" || v.Entries == 0 {
		t.Errorf("whole: got %+v", v)
	}
	kept := v.Head
	mustRun(t, append(verify, "--head", kept, "--head", v.LastSeal)...)
	if r := certportal(t, "", append(verify, "--head", "nonsense")...); r.code != exitUsage {
		t.Errorf("nonsense for a head: exit %d", r.code)
	}
	other := verdictOf(t, exitFailed, append(verify, "--head", "1:"+strings.Repeat("00", 32))...)
	if other.OK || other.Fault != string(audit.KnownDiffers) {
		t.Errorf("another head: got %+v", other)
	}
}

// A flipped byte is found where it is, in words and for programs.
func TestA19_AuditVerifySaysWhere(t *testing.T) {
	data := ranPortal(t)
	asAdministratorOfTheDatabase(t, data, "DROP TRIGGER ledger_is_not_rewritten", "UPDATE ledger SET actor = 'sysTem' WHERE seq = 3")
	v := verdictOf(t, exitFailed, "--data", data, "audit", "verify", "--json")
	if v.OK || v.FirstBad != 3 || v.Fault != string(audit.Altered) || !strings.Contains(v.Why, "entry 3") {
		t.Errorf("got %+v", v)
	}
	r := certportal(t, "", "--data", data, "audit", "verify")
	if r.code != exitFailed || !strings.Contains(r.out, "BROKEN: entry 3") || !strings.Contains(r.err, "does not verify") {
		t.Errorf("exit %d: %s%s", r.code, r.out, r.err)
	}
}

// TestF11_AuditVerifyFindsAnAlteredCertificate flips a bit of a stored certificate, which no page
// of the database shows.
func TestF11_AuditVerifyFindsAnAlteredCertificate(t *testing.T) {
	data := ranPortal(t)
	verify := []string{"--data", data, "audit", "verify", "--json"}
	asAdministratorOfTheDatabase(t, data, `UPDATE certificates SET der = CAST(substr(der, 1, length(der) - 1) || X'00' AS BLOB)
		WHERE serial = (SELECT max(serial) FROM certificates WHERE der IS NOT NULL AND serial NOT IN (SELECT serial FROM ledger_keys))`)
	if v := verdictOf(t, exitDone, verify...); !v.OK || v.Damaged != nil {
		t.Errorf("the audit log alone: got %+v", v)
	}
	v := verdictOf(t, exitFailed, append(verify, "--certificates")...)
	if v.OK || v.FirstBad != 0 || len(v.Damaged) != 1 || !strings.Contains(v.Damaged[0], `CA "issuing" of its row did not sign`) {
		t.Errorf("got %+v", v)
	}
}

// TestF11_AuditVerifyFindsARowOfAnotherCA has rows that name another CA of the portal, and a CRL
// that is in force for longer than it says.
func TestF11_AuditVerifyFindsARowOfAnotherCA(t *testing.T) {
	data := ranPortal(t)
	mustRun(t, "--data", data, "ca", "next")
	verify := []string{"--data", data, "audit", "verify", "--json", "--certificates"}
	verdictOf(t, exitDone, verify...)
	asAdministratorOfTheDatabase(t, data, "DROP TRIGGER certificates_keep_their_authority",
		"UPDATE certificates SET authority = 'issuing-2' WHERE serial = (SELECT max(serial) FROM certificates WHERE der IS NOT NULL)",
		"UPDATE crls SET next_update = next_update + 60000 WHERE issuer = 'issuing' AND der IS NOT NULL")
	v := verdictOf(t, exitFailed, verify...)
	all := strings.Join(v.Damaged, "\n")
	if v.OK || len(v.Damaged) != 2 || !strings.Contains(all, `CA "issuing-2" of its row did not sign`) || !strings.Contains(all, "its row differs from what was signed: nextUpdate") {
		t.Errorf("got %+v", v)
	}
}

// A checkpoint whose key the CA did not certify proves nothing: the database has its key's
// certificate, but not the CA's key.
func TestA19_AForeignSealIsFound(t *testing.T) {
	data, other := ranPortal(t), ranPortal(t)
	if err := os.RemoveAll(filepath.Join(data, "ca")); err != nil {
		t.Fatal(err)
	}
	v := verdictOf(t, exitDone, "--data", data, "audit", "verify", "--json")
	if !v.OK || v.SealsChecked {
		t.Errorf("without the CA's certificate: got %+v", v)
	}
	if err := os.Rename(filepath.Join(other, "ca"), filepath.Join(data, "ca")); err != nil {
		t.Fatal(err)
	}
	v = verdictOf(t, exitFailed, "--data", data, "audit", "verify", "--json")
	if v.OK || v.Fault != string(audit.CheckpointForged) {
		t.Errorf("with another CA: got %+v", v)
	}
}

// A certificate that was brought back to life beside the portal does not fit the
// ledger.
func TestA12_RevivedCertificatesDoNotFitTheLedger(t *testing.T) {
	data := ranPortal(t)
	asAdministratorOfTheDatabase(t, data, "DELETE FROM ledger_keys",
		"DELETE FROM certificates WHERE serial = (SELECT max(serial) FROM certificates)")
	v := verdictOf(t, exitFailed, "--data", data, "audit", "verify", "--json", "--certificates")
	if v.OK {
		t.Errorf("got %+v", v)
	}
}

func TestAuditExport(t *testing.T) {
	data := ranPortal(t)
	file := filepath.Join(t.TempDir(), "ledger.jsonl")
	export := []string{"--data", data, "audit", "export"}
	mustRun(t, append(export, "--out", file)...)
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, mode %v", err, info.Mode())
	}
	text, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	var checker audit.Checker
	var last audit.Entry
	for lines := bufio.NewScanner(text); lines.Scan(); {
		e, err := audit.ParseJSON(lines.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if broken := checker.Next(e); broken != nil {
			t.Fatal(broken)
		}
		last = e
	}
	if last.Action != audit.LogExported || last.Role != "operator" {
		t.Errorf("the export does not tell of itself: %+v", last)
	}
	mustRun(t, "--data", data, "audit", "verify", "--head", checker.Head.String())
	if r := certportal(t, "", append(export, "--out", file)...); r.code != exitFailed {
		t.Errorf("an export over another: exit %d", r.code)
	}
	if out := mustRun(t, append(export, "--until", "2020-01-01")...); out != "" {
		t.Errorf("before there was a portal: %s", out)
	}
	syslog := mustRun(t, append(export, "--format", "syslog", "--after", "1")...)
	if lines := strings.Split(strings.TrimSpace(syslog), "\n"); len(lines) < 3 || !strings.HasPrefix(lines[0], "<110>1 ") {
		t.Errorf("syslog: %s", syslog)
	}
	if r := certportal(t, "", append(export, "--since", "yesterday")...); r.code != exitUsage {
		t.Errorf("a moment that is none: exit %d", r.code)
	}
}

// TestC2_AuditVerifyFindsAnUnlawfulCertificate has a certificate of the portal's own CA for
// its own key that may also sign certificates: its row and its signature are right.
func TestC2_AuditVerifyFindsAnUnlawfulCertificate(t *testing.T) {
	data := ranPortal(t)
	folder := testkit.Must(ca.OpenFolder(filepath.Join(data, "ca")))(t)
	passphrase := bytes.TrimSpace(testkit.Must(os.ReadFile(filepath.Join(data, "ca-passphrase")))(t))
	key := testkit.Must(folder.IssuingKey(ca.Passphrase(passphrase)))(t)
	db := fixture.Plain(t, filepath.Join(data, "portal.db"))
	var serial string
	var der []byte
	testkit.NoError(t, db.QueryRow(`SELECT serial, der FROM certificates WHERE der IS NOT NULL AND serial NOT IN (SELECT serial FROM ledger_keys)
		ORDER BY serial LIMIT 1`).Scan(&serial, &der))
	cert := testkit.Must(x509.ParseCertificate(der))(t)
	cert.KeyUsage |= x509.KeyUsageCertSign
	dirty := testkit.Must(x509.CreateCertificate(rand.Reader, cert, folder.Issuing(), cert.PublicKey, key))(t)
	testkit.Must(db.Exec("UPDATE certificates SET der = $1 WHERE serial = $2", dirty, serial))(t)

	v := verdictOf(t, exitFailed, "--data", data, "audit", "verify", "--json", "--certificates")
	if v.OK || v.Damaged != nil || len(v.Unlawful) != 1 {
		t.Fatalf("got %+v", v)
	}
	testkit.Contains(t, "unlawful", v.Unlawful[0], serial)
	r := certportal(t, "", "--data", data, "audit", "verify", "--certificates")
	testkit.Contains(t, "in words", r.out, "certportal revoke --serial")
	testkit.Contains(t, "in words", r.err, "breaks a rule")
}
