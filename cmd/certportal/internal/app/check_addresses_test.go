package app

import (
	"crypto/x509"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

func TestAddressesOfAServingPortal(t *testing.T) {
	p := serving(t, t.TempDir())
	for _, check := range p.addressChecks() {
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

// listOf signs a list of a number by the issuing CA.
func (p *App) listOf(t *testing.T, number int64) []byte {
	t.Helper()
	der, err := p.CA.Issuing.CRL(ca.CRLConfig{
		Number: big.NewInt(number), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// What stands on the way and spoils the list is named.
func TestAddressesThatAnswerWrongly(t *testing.T) {
	p, err := open(t, t.TempDir())
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
		{"something huge", answers(crl, make([]byte, maxParsed+1)), portal.FindingFailed, "another list of"},
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
			f := p.checkListAddress(t.Context(), localca.IssuingName, localca.CRLURL(p.Public.HTTP, localca.IssuingName))
			if f.State != tt.state || !strings.Contains(f.Text, tt.words) {
				t.Errorf("got %s: %q, want %s %q", f.State, f.Text, tt.state, tt.words)
			}
		})
	}
	server := httptest.NewServer(answers("application/pkix-cert", p.CA.Folder.Root().Raw))
	p.Public.HTTP, _ = url.Parse(server.URL)
	found := p.checkCertificateAddresses(t.Context())
	if found[0].State != portal.FindingFailed || !strings.Contains(found[0].Text, "another certificate") || found[1].State != portal.FindingOK {
		t.Errorf("got %v", found)
	}
	server.Close()
	if f := p.checkListAddress(t.Context(), localca.IssuingName, server.URL); f.State != portal.FindingFailed || !strings.Contains(f.Text, "refused") {
		t.Errorf("nobody there: got %s %q", f.State, f.Text)
	}
}

// A test certificate goes the whole way, and is revoked in the end.
func TestTrial(t *testing.T) {
	p := serving(t, t.TempDir())
	by := audit.Entry{Actor: "ada", Role: string(portal.Admin), At: time.Now()}
	findings := authorityDesk{p}.TestIssue(t.Context(), by)
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

// Whatever fails on the way, nothing is left that works.
func TestTrialLeavesNothingBehind(t *testing.T) {
	p, err := open(t, t.TempDir()) // nobody answers at its addresses
	if err != nil {
		t.Fatal(err)
	}
	p.https.Close()
	p.http.Close()
	before, err := p.DB.AdminStats(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	trial := &trial{p: p, by: audit.Entry{Actor: "ada", Role: "admin"}}
	if _, err := trial.issue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := trial.cleanUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := p.DB.AdminStats(t.Context(), time.Now())
	if err != nil || after.Working != before.Working {
		t.Errorf("working certificates: got %d, %v, want %d", after.Working, err, before.Working)
	}
	p.CA.Issuing, p.CA.Sealed = nil, http.ErrServerClosed
	if f := (authorityDesk{p}).TestIssue(t.Context(), trial.by); len(f) != 1 || f[0].State != portal.FindingFailed {
		t.Errorf("sealed: got %v", f)
	}
}
