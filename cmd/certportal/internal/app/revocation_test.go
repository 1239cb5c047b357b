package app

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// issued records a certificate as a portal does before and after signing it.
func issued(t *testing.T, p *App) ca.Serial {
	t.Helper()
	serial, err := ca.NewSerial(nil)
	if err != nil {
		t.Fatal(err)
	}
	err = p.DB.Reserve(t.Context(), enroll.Reservation{
		Serial: serial, Kind: portal.KindServer, Profile: "Server", PublicKey: [32]byte([]byte(serial.String())[:32]),
		NotBefore: p.Now(), NotAfter: p.Now().AddDate(0, 3, 0), Requested: p.Now(),
		Entry: audit.Entry{At: p.Now(), Action: audit.CertificateReserved, Actor: "test"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return serial
}

func revokedNow(t *testing.T, p *App, serial ca.Serial) {
	t.Helper()
	_, err := p.DB.Revoke(t.Context(), enroll.Revocation{
		Serials: []ca.Serial{serial}, Cause: portal.Removed, At: p.Now(),
		Entry: audit.Entry{At: p.Now(), Action: audit.CertificateRevoked, Actor: "test"},
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
		l, ok := p.lists.CRL(localca.IssuingName)
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
	crl, err := ca.ReadCRL(l.DER, p.CA.Folder.Issuing())
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
	_, err = p.Builtin.Add(t.Context(), directory.NewAccount{
		Login: "ada", UPN: "ada@corp.example", Password: "correct horse", Roles: []portal.Role{portal.Admin},
	}, audit.Entry{At: p.Now(), Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(data, "portal.db")
	yesterday, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	second, number := revokeAndIssue(t, data, first)
	putBack(t, file, yesterday)
	if p, err = open(t, data); err != nil {
		t.Fatal(err)
	}
	l, _ := p.lists.CRL(localca.IssuingName)
	if l.Number <= number || !names(t, l, p, first) || !names(t, l, p, second) {
		t.Errorf("list %d after list %d names the revoked %v and the issued %v, want a later one with both",
			l.Number, number, names(t, l, p, first), names(t, l, p, second))
	}
	if h, err := p.DB.Halted(t.Context()); err != nil || h.Reason != admin.RestoredCopy {
		t.Errorf("halt: got %+v, %v, want that of an older copy", h, err)
	}
	alerts := p.doctor.Alerts(t.Context())
	restored := slices.IndexFunc(alerts, func(a admin.Alert) bool { return a.Key == "restored-accounts" })
	if restored < 0 || !alerts[restored].Critical || alerts[restored].Number != 1 || alerts[restored].Value != "ada" {
		t.Errorf("alerts: got %+v, want one with the built-in accounts to check", alerts)
	}
	for _, serial := range []ca.Serial{first, second} {
		if s, err := p.DB.Status(t.Context(), serial); err != nil || s.State != ocsp.Revoked {
			t.Errorf("state of %s: %v, %v, want revoked", serial, s.State, err)
		}
	}
}

// putBack replaces a database by a copy.
func putBack(t *testing.T, file string, copied []byte) {
	t.Helper()
	if err := os.WriteFile(file, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, rest := range []string{"-wal", "-shm"} {
		if err := os.Remove(file + rest); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

// TestF15_EndingFailsTheStart: the journal is lost, and only a published list knows that
// the database is an older copy. A start that cannot end what the copy brings back fails,
// and the next one ends it.
func TestF15_EndingFailsTheStart(t *testing.T) {
	data, environ := t.TempDir(), fixture.FastCA()
	environ["CERTPORTAL_REVOCATION_FOLDERS"] = t.TempDir()
	p := testkit.Must(openWith(t, data, environ))(t)
	first := issued(t, p)
	testkit.NoError(t, p.Close())
	file := filepath.Join(data, "portal.db")
	yesterday := testkit.Must(os.ReadFile(file))(t)
	p = testkit.Must(openWith(t, data, environ))(t)
	revokedNow(t, p, first)
	testkit.NoError(t, p.lists.Refresh(t.Context()))
	testkit.NoError(t, p.lists.Deliver(t.Context()))
	testkit.NoError(t, p.Close())

	putBack(t, file, yesterday)
	testkit.NoError(t, os.Remove(filepath.Join(data, "revocation.journal")))
	change := func(statement string) {
		db := testkit.Must(sql.Open("sqlite", "file://"+file))(t)
		_, err := db.ExecContext(t.Context(), statement)
		testkit.NoError(t, errors.Join(err, db.Close()))
	}
	change("CREATE TRIGGER broken BEFORE UPDATE ON halt BEGIN SELECT RAISE(ABORT, 'broken'); END")
	if _, err := openWith(t, data, environ); !errors.Is(err, errNotEnded) {
		t.Errorf("first start: %v, want that nothing is ended", err)
	}
	change("DROP TRIGGER broken")
	p = testkit.Must(openWith(t, data, environ))(t)
	if h, err := p.DB.Halted(t.Context()); err != nil || h.Reason != admin.RestoredCopy {
		t.Errorf("second start: halt %+v, %v, want that of an older copy", h, err)
	}
	if s, err := p.DB.Status(t.Context(), first); err != nil || s.State != ocsp.Revoked {
		t.Errorf("second start: state %v, %v, want revoked", s.State, err)
	}
}

// revokeAndIssue runs a portal, revokes one certificate, issues another, and waits until
// CRL and journal contain both.
func revokeAndIssue(t *testing.T, data string, first ca.Serial) (second ca.Serial, number int64) {
	t.Helper()
	p, err := open(t, data)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(ctx) }()
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
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return second, number
}

// A delta list is served like the others, from the address that complete lists name.
func TestDeltaListIsServed(t *testing.T) {
	environ := fixture.FastCA()
	environ["CERTPORTAL_REVOCATION_DELTA_EVERY"] = "30m"
	p, err := openWith(t, t.TempDir(), environ)
	if err != nil {
		t.Fatal(err)
	}
	serveUntilEnd(t, p)
	serial := issued(t, p)
	revokedNow(t, p, serial)
	address := localca.CRLURL(p.Public.HTTP, localca.IssuingName+crl.DeltaSuffix)
	until(t, func() bool {
		l, ok := p.lists.CRL(localca.IssuingName + crl.DeltaSuffix)
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
	crl, err := ca.ReadCRL(octets, p.CA.Folder.Issuing())
	if err != nil || crl.Base.IsZero() || answer.Header.Get("Content-Type") != "application/pkix-crl" {
		t.Errorf("%s: %s, %v, want a delta list", address, answer.Status, err)
	}
	if complete, _ := p.lists.CRL(localca.IssuingName); names(t, complete, p, serial) {
		t.Error("the complete list was made anew, too")
	}
}
