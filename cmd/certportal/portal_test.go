package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/store"
)

// open wires a portal in a folder, on free ports, with an EC hierarchy.
func open(t *testing.T, data string) (*App, error) {
	t.Helper()
	return openWith(t, data, fastCA())
}

func openWith(t *testing.T, data string, environ map[string]string) (*App, error) {
	t.Helper()
	s, err := loadSettings("", environ)
	if err != nil {
		t.Fatal(err)
	}
	s.Data, s.Listen, s.ListenHTTP, s.ListenOps = data, "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	p, err := newPortal(t.Context(), &s, &terminal{in: strings.NewReader(""), out: io.Discard}, slog.New(slog.DiscardHandler))
	if err != nil {
		return p, errors.Join(err, p.close())
	}
	t.Cleanup(func() { p.close() })
	return p, nil
}

// serving runs a portal until the test ends.
func serving(t *testing.T, data string) *App {
	t.Helper()
	p, err := open(t, data)
	if err != nil {
		t.Fatal(err)
	}
	serveUntilEnd(t, p)
	return p
}

func serveUntilEnd(t *testing.T, p *App) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

func (p *App) client() *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(p.authority.folder.Root())
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func status(t *testing.T, c *http.Client, address string) int {
	t.Helper()
	resp, err := c.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestServeAnswersOnBothSides(t *testing.T) {
	p := serving(t, t.TempDir())
	c := p.client()
	tests := []struct {
		address string
		want    int
	}{
		{p.public.https.String() + "/login", http.StatusOK},
		{p.public.https.String() + "/crl/issuing.crl", http.StatusOK},
		{p.public.http.String() + "/crl/issuing.crl", http.StatusOK},
		{p.public.http.String() + "/crl/root.crl", http.StatusOK},
		{p.public.http.String() + "/ca/issuing.cer", http.StatusOK},
		{p.public.http.String() + "/ca/chain.p7b", http.StatusOK},
		{p.public.http.String() + "/login", http.StatusPermanentRedirect},
		{p.public.https.String() + "/nothing", http.StatusNotFound},
	}
	for _, tt := range tests {
		if got := status(t, c, tt.address); got != tt.want {
			t.Errorf("%s: status %d, want %d", tt.address, got, tt.want)
		}
	}
}

func TestA14_PlainHTTPTakesNoForm(t *testing.T) {
	p := serving(t, t.TempDir())
	resp, err := http.Post(p.public.http.String()+"/login", "application/x-www-form-urlencoded", strings.NewReader("username=a&password=b"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got, want := resp.StatusCode, http.StatusNotFound; got != want {
		t.Errorf("status %d, want %d", got, want)
	}
}

func TestTLSCertificateIsRecordedAndKept(t *testing.T) {
	data := t.TempDir()
	first, err := open(t, data)
	if err != nil {
		t.Fatal(err)
	}
	serial := first.tls.current.Load().Leaf.SerialNumber
	entries, err := first.db.Entries(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, e := range entries {
		actions = append(actions, string(e.Action))
	}
	// The TLS certificate, and that of the OCSP signer.
	const each = " certificate.reserved certificate.issued"
	if got, want := strings.Join(actions, " "), "ca.created"+each+each; got != want {
		t.Errorf("ledger %q, want %q", got, want)
	}
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	second, err := open(t, data)
	if err != nil {
		t.Fatal(err)
	}
	if second.tls.current.Load().Leaf.SerialNumber.Cmp(serial) != 0 {
		t.Error("a restart made another TLS certificate")
	}
}

// A TLS certificate that an administrator revoked, or that a restored database does not
// know, makes way for another.
func TestRevokedTLSCertificateIsReplaced(t *testing.T) {
	p, err := open(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	before := p.tls.current.Load().Leaf.SerialNumber
	serial, err := ca.SerialOf(before)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.db.Revoke(t.Context(), enroll.Revocation{
		Serials: []ca.Serial{serial}, Cause: portal.Withdrawn, At: time.Now(), Entry: audit.Entry{At: time.Now(), Actor: "ada"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.tls.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.tls.current.Load().Leaf.SerialNumber.Cmp(before) == 0 {
		t.Error("the portal goes on with a revoked TLS certificate")
	}
}

func TestWrongPassphraseSeals(t *testing.T) {
	data := t.TempDir()
	first, err := open(t, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "ca-passphrase"), []byte("not the passphrase\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := serving(t, data)
	if p.authority.sealed == nil {
		t.Fatal("the CA is open")
	}
	c := p.client()
	for _, address := range []string{p.public.https.String() + "/login", p.public.http.String() + "/crl/issuing.crl"} {
		if got, want := status(t, c, address), http.StatusOK; got != want {
			t.Errorf("%s: status %d, want %d", address, got, want)
		}
	}
	anna, err := p.builtin.Add(t.Context(), directory.NewAccount{
		Login: "anna", UPN: "anna@corp.example", Password: "correct horse",
	}, audit.Entry{At: p.now(), Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.registrar.Enroll(t.Context(), enroll.Request{
		By: portal.Actor{Person: anna.ID}, Name: "phone", Platform: portal.Android, Idempotent: "1",
	})
	var outage *portal.Outage
	if !errors.As(err, &outage) || outage.Part != portal.PartIssuer {
		t.Errorf("Enroll: %v, want an outage of the issuer", err)
	}
}

func TestBrokenFilesStopTheStart(t *testing.T) {
	tests := []struct {
		name, file, content, want string
	}{
		{"damaged CA certificate", "ca/issuing.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "issuing.crt"},
		{"no database", "portal.db", "this is not a database, however long it is, and it never was one", "database"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data := t.TempDir()
			p, err := open(t, data)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.close(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(data, tt.file), []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := open(t, data); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("start: %v, want it to name %s", err, tt.want)
			}
		})
	}
}

func TestFirstAdministratorIsPrintedOnce(t *testing.T) {
	p, err := open(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	i := &invocation{io: streams{out: &out, err: io.Discard}}
	for range 2 {
		if err := p.firstAdministrator(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := strings.Count(out.String(), "password "), 1; got != want {
		t.Errorf("%d passwords printed, want %d:\n%s", got, want, out.String())
	}
	_, rest, _ := strings.Cut(out.String(), "password ")
	password, _, _ := strings.Cut(rest, "\n")
	person, err := p.builtin.Authenticate(t.Context(), "admin", password)
	if err != nil || !person.Has(portal.Admin) {
		t.Errorf("signing in with the printed password: %+v, %v", person, err)
	}
}

// A lost CA folder beside records that know a CA must not be filled with a new
// CA: everything issued so far would fail.
func TestLostCAFolderStopsTheStart(t *testing.T) {
	data := t.TempDir()
	p, err := open(t, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(data, "ca"), filepath.Join(data, "lost")); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, data); err == nil || !strings.Contains(err.Error(), "restore them from a backup") {
		t.Errorf("start without the folder: %v", err)
	}
	if r := certportal(t, "", "--data", data, "ca", "init"); r.code != exitFailed || !strings.Contains(r.err, "nothing was created") {
		t.Errorf("ca init without the folder: exit %d, %s", r.code, r.err)
	}
	if err := os.Rename(filepath.Join(data, "lost"), filepath.Join(data, "ca")); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, data); err != nil {
		t.Errorf("start with the folder again: %v", err)
	}
}

// The other way round: an empty database beside a CA would make every revoked
// certificate good again with its first list.
func TestA12_LostDatabaseStopsTheStart(t *testing.T) {
	data := t.TempDir()
	p, err := open(t, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(data, "portal.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no database: %v", err)
	}
	for _, file := range files {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := open(t, data); err == nil || !strings.Contains(err.Error(), "nothing was published") {
		t.Fatalf("start with an empty database: %v", err)
	}
	db, err := store.Open(t.Context(), store.Config{URL: filepath.Join(data, "portal.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, ok, err := db.Latest(t.Context(), issuingName, false, 0); ok || err != nil {
		t.Errorf("a list was published: %v, %v", ok, err)
	}
}

func TestSecondPortalOnAFolderIsRefused(t *testing.T) {
	data := t.TempDir()
	first, err := open(t, data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, data); err == nil || !strings.Contains(err.Error(), "another portal runs") {
		t.Errorf("second start: %v", err)
	}
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, data); err != nil {
		t.Errorf("start after the first ended: %v", err)
	}
}

func TestA20_DemoLeavesRealFoldersAlone(t *testing.T) {
	i := &invocation{io: streams{out: io.Discard, err: io.Discard}}
	tests := []struct {
		name     string
		live     func(p *App) error
		accounts int
	}{
		{"with accounts", func(p *App) error { return p.firstAdministrator(t.Context(), i) }, 1},
		{"with a directory elsewhere", func(p *App) error {
			// Somebody came; that the directory knew them not is enough.
			_, err := p.signIn.Assert(t.Context(), portal.Claim{UPN: "anna@corp.example"}, portal.Actor{})
			var refusal *portal.Refusal
			if errors.As(err, &refusal) {
				return nil
			}
			return err
		}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := open(t, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.live(p); err != nil {
				t.Fatal(err)
			}
			if err := p.samplePeople(t.Context(), i); err == nil || !strings.Contains(err.Error(), "not of a demo") {
				t.Errorf("samplePeople: %v", err)
			}
			accounts, err := p.builtin.Accounts(t.Context())
			if err != nil || len(accounts) != tt.accounts {
				t.Errorf("%d accounts, %v, want %d", len(accounts), err, tt.accounts)
			}
		})
	}
}

func TestDemoPasswordsAreTrueAfterAChange(t *testing.T) {
	p, err := open(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	i := &invocation{io: streams{out: &out, err: io.Discard}}
	if err := p.samplePeople(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	if err := p.builtin.SetPassword(t.Context(), "anna", "something else", byOperator()); err != nil {
		t.Fatal(err)
	}
	if err := p.samplePeople(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	known, err := readPeople(p.settings.path("people.json"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.builtin.Authenticate(t.Context(), "anna", known["anna"]); err != nil {
		t.Errorf("the printed password: %v", err)
	}
}
