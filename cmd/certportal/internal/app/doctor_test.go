package app

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/doctor"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/templates"
	"certportal/web/page"
)

func TestAddressesOfAServingPortal(t *testing.T) {
	p := serving(t, t.TempDir())
	for _, check := range p.doctor.Checks() {
		if check.Group != admin.AddressGroup {
			continue
		}
		found := check.Run(t.Context())
		if len(found) == 0 {
			t.Errorf("%s found nothing", check.Name)
		}
		for _, f := range found {
			if f.State != portal.FindingOK {
				t.Errorf("%s: %s: %s %s", check.Name, f.What, f.State, f.Text)
			}
		}
	}
}

// Every check has a title, a sentence for when it is fine and one that says what to do, in
// each language.
func TestChecksHaveWords(t *testing.T) {
	p, err := open(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p.Settings.OpenID.Issuer = "https://idp.example"
	var names []string
	for _, c := range doctor.New(p.doctorConfig()).Checks() {
		names = append(names, c.Name)
	}
	names = append(names, "directory", "mail", "ntauth", "company-lists") // which this portal does not have
	for _, language := range page.Languages() {
		text, err := templates.Files.ReadFile("locales/" + language + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var words map[string]json.RawMessage
		if err := json.Unmarshal(text, &words); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			for _, key := range []string{"", ".tried", ".fine", ".todo"} {
				if _, ok := words["admin.check."+name+key]; !ok {
					t.Errorf("%s: there is no admin.check.%s%s", language, name, key)
				}
			}
		}
	}
}

// listOf signs a list of a number by the issuing CA.
func (p *App) listOf(t *testing.T, number int64) []byte {
	t.Helper()
	der, err := testkit.Must(p.CA.Active())(t).CRL(ca.CRLConfig{
		Number: big.NewInt(number), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// A finding names what between client and portal spoils the CRL.
func TestAddressesThatAnswerWrongly(t *testing.T) {
	environ := fixture.FastCA()
	// The certificate of the issuing CA keeps this address, which refuses connections: the
	// portal's own listener would accept them and never answer, as nothing serves here.
	environ["CERTPORTAL_PUBLIC_HTTP_URL"] = "http://127.0.0.1:1"
	p, err := openWith(t, t.TempDir(), environ)
	if err != nil {
		t.Fatal(err)
	}
	held, _ := p.lists.CRL(localca.IssuingName)
	root, _ := p.lists.CRL(localca.RootName)
	answers := func(kind string, body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write(body)
		}
	}
	const crl = "application/pkix-crl"
	tests := []struct {
		name    string
		handler http.HandlerFunc
		state   portal.FindingState
		words   string
	}{
		{"the list in force", answers(crl, held.DER), portal.FindingOK, "the one in force"},
		{"a newer one", answers(crl, p.listOf(t, held.Number+1)), portal.FindingOK, "newer than the one this server knows"},
		{"an old one", answers(crl, p.listOf(t, 1)), portal.FindingFailed, "an old list, number 1;"},
		{"that of another authority", answers(crl, root.DER), portal.FindingFailed, "another authority signed"},
		{"no list", answers(crl, []byte("<html>sign in</html>")), portal.FindingFailed, "no revocation list"},
		{"something huge", answers(crl, make([]byte, 8<<20+1)), portal.FindingFailed, "another list of"},
		{"another media type", answers("text/plain", held.DER), portal.FindingWarning, `media type is "text/plain"`},
		{"a way to https", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://"+r.Host+r.URL.Path, http.StatusMovedPermanently)
		}, portal.FindingFailed, "301 Moved Permanently"},
		{"a closed door", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, portal.FindingFailed, "401"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(tt.handler)
			defer server.Close()
			if p.Public.HTTP, err = url.Parse(server.URL); err != nil {
				t.Fatal(err)
			}
			f := p.finding(t, "address-crl", localca.CRLURL(p.Public.HTTP, localca.IssuingName))
			if f.State != tt.state || !strings.Contains(f.Text, tt.words) {
				t.Errorf("got %s: %q, want %s %q", f.State, f.Text, tt.state, tt.words)
			}
		})
	}
	server := httptest.NewServer(answers("application/pkix-cert", p.CA.Folder.Root().Raw))
	p.Public.HTTP, _ = url.Parse(server.URL)
	issuing := p.finding(t, "address-ca", localca.CertificateURL(p.Public.HTTP, localca.IssuingName))
	if issuing.State != portal.FindingFailed || !strings.Contains(issuing.Text, "another certificate") {
		t.Errorf("certificate of the root in place of the issuing CA's: got %v", issuing)
	}
	if f := p.finding(t, "address-ca", localca.CertificateURL(p.Public.HTTP, localca.RootName)); f.State != portal.FindingOK {
		t.Errorf("certificate of the root: got %v", f)
	}
	server.Close()
	failed := 0
	for _, c := range doctor.New(p.doctorConfig()).Checks() {
		if c.Group != admin.AddressGroup || c.Name == "address-site" {
			continue
		}
		for _, f := range c.Run(t.Context()) {
			if f.State == portal.FindingFailed && strings.HasPrefix(f.What, p.Public.HTTP.String()) {
				failed++
			}
		}
	}
	if f := p.finding(t, "address-crl", p.Public.HTTP.String()); failed != 1 || f.State != portal.FindingFailed || !strings.Contains(f.Text, "refused") {
		t.Errorf("closed port: got %d failures, %s %q", failed, f.State, f.Text)
	}
}

// finding runs one check of a new doctor, and gives what it found of an address.
func (p *App) finding(t *testing.T, check, address string) portal.Finding {
	t.Helper()
	for _, c := range doctor.New(p.doctorConfig()).Checks() {
		if c.Name != check {
			continue
		}
		for _, f := range c.Run(t.Context()) {
			if f.What == address {
				return f
			}
		}
	}
	t.Fatalf("%s found nothing of %s", check, address)
	return portal.Finding{}
}

// A portal that runs without its passphrase reports this as a failure, unlike the command.
func TestLostPassphraseIsAFailure(t *testing.T) {
	data := t.TempDir()
	first := testkit.Must(open(t, data))(t)
	testkit.NoError(t, first.Close())
	testkit.NoError(t, os.Remove(filepath.Join(data, "ca-passphrase")))
	p := testkit.Must(open(t, data))(t)
	if f := p.finding(t, "ca", "issuing key"); f.State != portal.FindingFailed || f.Todo != "restore" || !strings.Contains(f.Text, "ca-passphrase") {
		t.Errorf("got %+v", f)
	}
}

// A test certificate goes the whole way, and is revoked in the end.
func TestTestIssuance(t *testing.T) {
	p := serving(t, t.TempDir())
	by := audit.Entry{Actor: "ada", Role: string(portal.Admin), At: time.Now()}
	findings := p.doctor.TestIssue(t.Context(), by)
	for _, f := range findings {
		if f.State != portal.FindingOK {
			t.Errorf("%s: %s", f.What, f.Text)
		}
	}
	if len(findings) != 5 || !strings.HasPrefix(findings[4].Text, "revoked") || !strings.Contains(findings[0].Text, ".invalid, serial ") {
		t.Fatalf("got %v", findings)
	}
	_, hex, _ := strings.Cut(findings[0].Text, "serial ")
	hex, _, _ = strings.Cut(hex, ",")
	serial, err := ca.ParseSerial(hex)
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.DB.CertificateDetail(t.Context(), serial, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if d.State != admin.Revoked || d.Kind != portal.KindServer || d.Person != "" || d.UPN != "" || d.RevokedBy != "ada" {
		t.Errorf("got %+v", d.Certificate)
	}
	cert, err := x509.ParseCertificate(d.DER)
	if err != nil || !strings.HasSuffix(cert.Subject.CommonName, ".invalid") {
		t.Errorf("got %v, %v", cert, err)
	}
}

// A test certificate is revoked when a later step fails.
func TestFailedTestIssuanceIsRevoked(t *testing.T) {
	p, err := open(t, t.TempDir()) // its addresses do not answer
	if err != nil {
		t.Fatal(err)
	}
	p.https.Close()
	p.http.Close()
	working := func() int {
		found, err := p.DB.Certificates(t.Context(), admin.Filter{State: admin.Working}, admin.Cursor{}, 100, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return len(found.Rows)
	}
	before := working()
	by := audit.Entry{Actor: "ada", Role: "admin"}
	if f := p.doctor.TestIssue(t.Context(), by); f[len(f)-1].State != portal.FindingFailed || f[0].State != portal.FindingOK {
		t.Errorf("closed ports: got %v", f)
	}
	if after := working(); after != before {
		t.Errorf("working certificates: got %d, want %d", after, before)
	}
	p.CA.Sealed = http.ErrServerClosed
	if f := p.doctor.TestIssue(t.Context(), by); len(f) != 1 || f[0].State != portal.FindingFailed {
		t.Errorf("sealed: got %v", f)
	}
}

// The ends of the CAs raise alerts at 180, 60 and 30 days before, and the log gets each
// step once and then daily.
func TestExpiryOfTheCA(t *testing.T) {
	p, err := open(t, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	var now time.Time
	p.Now, p.log = func() time.Time { return now }, slog.New(slog.NewTextHandler(&log, nil))
	d := doctor.New(p.doctorConfig())
	logExpiries := d.LogExpiries()
	end, name := p.CA.Folder.Issuing().NotAfter, p.CA.Folder.Issuing().Subject.CommonName
	steps := []struct {
		left  time.Duration
		ends  string // the alert about the issuing CA
		lines int    // in the log by then
	}{
		{3 * config.Days(365), "", 0},
		{config.Days(365 + 179), "ca-short false", 1},
		{config.Days(181), "ca-short true", 2}, // less than a month is left for full length
		{config.Days(179), "ca-ends false", 3},
		{config.Days(179) - time.Hour, "ca-ends false", 3},
		{config.Days(177), "ca-ends false", 4},
		{config.Days(59), "ca-ends true", 5},
		{config.Days(29), "ca-ends true", 6},
		{-time.Hour, "ca-ends true", 7},
	}
	for _, step := range steps {
		now = end.Add(-step.left)
		got := ""
		for _, c := range d.ExpiryAlerts() {
			if c.Value == name {
				got = fmt.Sprint(c.Key, " ", c.Critical)
			}
		}
		logExpiries(t.Context())
		if lines := strings.Count(log.String(), fmt.Sprintf("certificate=%q", name)); got != step.ends || lines != step.lines {
			t.Errorf("%v before the end: got %q and %d lines, want %q and %d", step.left, got, lines, step.ends, step.lines)
		}
	}
}
