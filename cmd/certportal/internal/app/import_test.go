package app

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// companyCA is a root and a policy CA of a company that publishes over http.
type companyCA struct {
	root, policy *x509.Certificate
	key          crypto.Signer // of both
	server       *httptest.Server
	files        map[string][]byte // by path
}

func newCompanyCA(t *testing.T) *companyCA {
	t.Helper()
	c := &companyCA{key: testkit.ECKey(t), files: map[string][]byte{}}
	c.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, ok := c.files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(file)
	}))
	t.Cleanup(c.server.Close)
	c.root = c.certify(t, "Company Root", nil, c.key.Public())
	c.policy = c.certify(t, "Company Policy", c.root, c.key.Public())
	c.files["/Company Root.crt"], c.files["/Company Policy.crt"] = c.root.Raw, c.policy.Raw
	c.publish(t, c.root, time.Now().AddDate(0, 1, 0))
	c.publish(t, c.policy, time.Now().AddDate(0, 1, 0))
	return c
}

func (c *companyCA) certify(t *testing.T, name string, parent *x509.Certificate, pub crypto.PublicKey) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, SubjectKeyId: []byte(name),
		NotBefore: time.Now().Add(-time.Second), NotAfter: time.Now().AddDate(5, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if parent == nil {
		parent = template
	} else {
		at := c.server.URL + "/" + strings.ReplaceAll(parent.Subject.CommonName, " ", "%20")
		template.CRLDistributionPoints, template.IssuingCertificateURL = []string{at + ".crl"}, []string{at + ".crt"}
	}
	raw := testkit.Must(x509.CreateCertificate(rand.Reader, template, parent, pub, c.key))(t)
	return testkit.Must(x509.ParseCertificate(raw))(t)
}

// publish makes the revocation list of a CA.
func (c *companyCA) publish(t *testing.T, by *x509.Certificate, until time.Time, revoked ...*x509.Certificate) {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(time.Now().UnixNano()), ThisUpdate: until.AddDate(0, -2, 0), NextUpdate: until}
	for _, cert := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: time.Now()})
	}
	c.files["/"+by.Subject.CommonName+".crl"] = testkit.Must(x509.CreateRevocationList(rand.Reader, list, by, c.key))(t)
}

// installation is a data folder with a request, and the certificate that was made of it.
type installation struct {
	settings *config.Settings
	cert     *x509.Certificate
	given    string // file with the whole chain
}

func (c *companyCA) installation(t *testing.T) installation {
	t.Helper()
	s := testkit.Must(config.Load("", fixture.FastCA()))(t)
	s.Data = t.TempDir()
	db := testkit.Must(Program{}.OpenStore(t.Context(), s, slog.New(slog.DiscardHandler)))(t)
	defer db.Close()
	r := testkit.Must(localca.RequestAuthority(t.Context(), s, db, noTerminal(), "CN=Phones CA,O=Corp", "", time.Now()))(t)
	in := installation{settings: s, given: filepath.Join(t.TempDir(), "given.pem")}
	template := c.certify(t, "Phones CA", c.policy, r.Request.Request.PublicKey)
	template.Subject, template.RawSubject = r.Request.Request.Subject, r.Request.Request.RawSubject
	template.MaxPathLen, template.MaxPathLenZero = 0, true
	raw := testkit.Must(x509.CreateCertificate(rand.Reader, template, c.policy, r.Request.Request.PublicKey, c.key))(t)
	in.cert = testkit.Must(x509.ParseCertificate(raw))(t)
	testkit.NoError(t, os.WriteFile(in.given, ca.PEM(c.root, c.policy, in.cert), 0o600))
	return in
}

func noTerminal() *config.Terminal {
	return &config.Terminal{In: strings.NewReader(""), Out: io.Discard}
}

// check is what an import finds; finish carries it out.
func (in installation) check(t *testing.T, finish bool) *localca.Import {
	t.Helper()
	db := testkit.Must(Program{}.OpenStore(t.Context(), in.settings, slog.New(slog.DiscardHandler)))(t)
	defer db.Close()
	found := testkit.Must(localca.CheckImport(t.Context(), in.settings, db, in.given, "", time.Now()))(t)
	if finish {
		testkit.Must(found.Finish(t.Context(), in.settings, db, noTerminal(), time.Now()))(t)
	}
	return found
}

// A portal under a company's root is ready, all its checks are fine, and it serves the
// company's certificates and no list of a root. Its first certificates are issued in the
// second in which the CA begins.
func TestServingUnderACompanysRoot(t *testing.T) {
	company := newCompanyCA(t)
	in := company.installation(t)
	if found := in.check(t, true); len(found.Problems) > 0 {
		t.Fatalf("import: %v", found.Problems)
	}
	p := serving(t, in.settings.Data)
	for path, want := range map[string][]byte{
		"/ca/root.cer": company.root.Raw, "/ca/issuing.cer": in.cert.Raw, "/ca/intermediate-1.cer": company.policy.Raw,
		"/ca/chain.pem": ca.PEM(in.cert, company.policy, company.root),
	} {
		resp := testkit.Must(http.Get(p.Public.HTTP.String() + path))(t)
		got := testkit.Must(io.ReadAll(resp.Body))(t)
		if err := resp.Body.Close(); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: status %d, another content", path, resp.StatusCode)
		}
	}
	for path, want := range map[string]int{"/ca": 200, "/crl/issuing.crl": 200, "/crl/root.crl": 404} {
		testkit.Equal(t, path, status(t, http.DefaultClient, p.Public.HTTP.String()+path), want)
	}
	testkit.Equal(t, "page over TLS", status(t, p.client(), p.Public.HTTPS.String()+"/login"), 200)
	if got, body := p.onOps(t, "/readyz"); got != http.StatusOK {
		t.Errorf("ready: %d %s", got, body)
	}
	for _, f := range p.findings(t) {
		if f.State == portal.FindingFailed || strings.Contains(f.What, "root.crl") {
			t.Errorf("%s: %s %s", f.What, f.State, f.Text)
		}
	}
	for _, f := range p.doctor.TestIssue(t.Context(), audit.Entry{Actor: "ada", Role: "admin"}) {
		if f.State != portal.FindingOK {
			t.Errorf("test certificate: %s: %s", f.What, f.Text)
		}
	}
	if _, err := p.doctor.PublishNow(t.Context(), localca.RootName); err == nil {
		t.Error("a list of the company's root was published")
	}
}

// The addresses in the chain are asked at the import.
func TestImportAsksForTheLists(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*companyCA, installation)
		level  ca.ImportLevel
		want   string
	}{
		{"all well", func(*companyCA, installation) {}, ca.ImportNote, ""},
		{"ended", func(c *companyCA, _ installation) { c.publish(t, c.root, time.Now().Add(-time.Hour)) }, ca.ImportWarning, `"Company Policy": `},
		{"unreachable", func(c *companyCA, _ installation) { c.server.Close() }, ca.ImportNote, "The revocation list"},
		{"not there", func(c *companyCA, _ installation) { delete(c.files, "/Company Policy.crl") }, ca.ImportNote, "404"},
		{"of another CA", func(c *companyCA, _ installation) { c.files["/Company Policy.crl"] = c.files["/Company Root.crl"] }, ca.ImportWarning, `"Phones CA"`},
		{"new CA revoked", func(c *companyCA, in installation) { c.publish(t, c.policy, time.Now().AddDate(0, 1, 0), in.cert) }, ca.ImportError, `"Phones CA" is revoked`},
		{"policy CA revoked", func(c *companyCA, _ installation) { c.publish(t, c.root, time.Now().AddDate(0, 1, 0), c.policy) }, ca.ImportError, `"Company Policy" is revoked`},
		{"issuer not there", func(c *companyCA, _ installation) { delete(c.files, "/Company Root.crt") }, ca.ImportNote, "AIA"},
	} {
		t.Run(test.name, func(t *testing.T) {
			company := newCompanyCA(t)
			in := company.installation(t)
			test.change(company, in)
			found := in.check(t, false)
			var all strings.Builder
			for _, p := range found.Problems {
				all.WriteString(p.Text + " " + p.Ask + "\n")
			}
			if found.Level() != test.level || !strings.Contains(all.String(), test.want) || (test.want == "") != (all.Len() == 0) {
				t.Errorf("level %d: %s", found.Level(), all.String())
			}
		})
	}
}
