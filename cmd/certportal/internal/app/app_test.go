package app

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

	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
)

// open wires a portal in a folder, on free ports, with an EC hierarchy.
func open(t *testing.T, data string) (*App, error) {
	t.Helper()
	return openWith(t, data, fixture.FastCA())
}

func openWith(t testing.TB, data string, environ map[string]string) (*App, error) {
	t.Helper()
	s, err := config.Load("", environ)
	if err != nil {
		t.Fatal(err)
	}
	s.Data, s.Listen, s.ListenHTTP, s.ListenOps, s.ListenCheck = data, "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	p, err := Open(t.Context(), Program{Version: "test"}, s, &config.Terminal{In: strings.NewReader(""), Out: io.Discard}, slog.New(slog.DiscardHandler))
	if err != nil {
		return p, errors.Join(err, p.Close())
	}
	t.Cleanup(func() { p.Close() })
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
	go func() { ended <- p.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

func (p *App) client() *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(p.CA.Folder.Root())
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
		{p.Public.HTTPS.String() + "/login", http.StatusOK},
		{p.Public.HTTPS.String() + "/crl/issuing.crl", http.StatusOK},
		{p.Public.HTTP.String() + "/crl/issuing.crl", http.StatusOK},
		{p.Public.HTTP.String() + "/crl/root.crl", http.StatusOK},
		{p.Public.HTTP.String() + "/ca/issuing.cer", http.StatusOK},
		{p.Public.HTTP.String() + "/ca/chain.p7b", http.StatusOK},
		{p.Public.HTTP.String() + "/login", http.StatusPermanentRedirect},
		{p.Public.HTTPS.String() + "/nothing", http.StatusNotFound},
	}
	for _, tt := range tests {
		if got := status(t, c, tt.address); got != tt.want {
			t.Errorf("%s: status %d, want %d", tt.address, got, tt.want)
		}
	}
}

func TestA14_PlainHTTPTakesNoForm(t *testing.T) {
	p := serving(t, t.TempDir())
	resp, err := http.Post(p.Public.HTTP.String()+"/login", "application/x-www-form-urlencoded", strings.NewReader("username=a&password=b"))
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
	entries, err := first.DB.Entries(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var actions []string
	for _, e := range entries {
		actions = append(actions, string(e.Action))
	}
	// The TLS certificate, and that of the OCSP signer.
	const each = " certificate.reserved certificate.issued"
	if got, want := strings.Join(actions, " "), "ca.created ca.added"+each+each; got != want {
		t.Errorf("ledger %q, want %q", got, want)
	}
	if err := first.Close(); err != nil {
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

func TestWrongPassphraseSeals(t *testing.T) {
	data := t.TempDir()
	first, err := open(t, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "ca-passphrase"), []byte("not the passphrase\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := serving(t, data)
	if p.CA.Sealed == nil {
		t.Fatal("the CA is open")
	}
	if p.CA.Secret == first.CA.Secret || p.CA.Secret.IsZero() {
		t.Error("a sealed portal has the secret of the open one, or none")
	}
	c := p.client()
	for _, address := range []string{p.Public.HTTPS.String() + "/login", p.Public.HTTP.String() + "/crl/issuing.crl"} {
		if got, want := status(t, c, address), http.StatusOK; got != want {
			t.Errorf("%s: status %d, want %d", address, got, want)
		}
	}
	anna, err := p.Builtin.Add(t.Context(), directory.NewAccount{
		Login: "anna", UPN: "anna@corp.example", Password: "correct horse",
	}, audit.Entry{At: p.Now(), Actor: "test"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Registrar.Enroll(t.Context(), enroll.Request{
		By: portal.Actor{Person: anna.ID}, Name: "phone", Platform: portal.Android, Idempotent: "1",
	})
	var outage *portal.Outage
	if !errors.As(err, &outage) || outage.Part != portal.PartIssuer {
		t.Errorf("Enroll: %v, want an outage of the issuer", err)
	}
}

// TestSecretIsThatOfTheInstallation: the same after a restart and on a replica with a
// copy of the CA's folder, and another for each installation.
func TestSecretIsThatOfTheInstallation(t *testing.T) {
	data := t.TempDir()
	var secrets []portal.Secret
	for _, folder := range []string{data, data, t.TempDir()} {
		p, err := open(t, folder)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, p.CA.Secret)
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if secrets[0] != secrets[1] || secrets[0].IsZero() {
		t.Error("a restart brings another secret, or none")
	}
	if secrets[0] == secrets[2] {
		t.Error("two installations have one secret")
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
			if err := p.Close(); err != nil {
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

// The other way round: an empty database beside a CA would make every revoked
// certificate good again with its first list.
func TestA12_LostDatabaseStopsTheStart(t *testing.T) {
	data := t.TempDir()
	p, err := open(t, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
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
	if _, ok, err := db.Latest(t.Context(), localca.IssuingName, false, 0); ok || err != nil {
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
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, data); err != nil {
		t.Errorf("start after the first ended: %v", err)
	}
}
