package app

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/succession"
	"certportal/internal/test/pgtest"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// next makes the next issuing CA of a portal that runs.
func next(t *testing.T, p *App, now time.Time) (string, *x509.Certificate) {
	t.Helper()
	term := &config.Terminal{In: strings.NewReader(""), Out: io.Discard}
	name, cert, err := localca.Next(t.Context(), p.Settings, p.DB, p.Public.HTTP, term, now)
	testkit.NoError(t, err)
	return name, cert
}

func activate(t *testing.T, p *App, name string) {
	t.Helper()
	entry := audit.Entry{At: p.Now(), Action: audit.CAActivated, Actor: "operator", Role: "operator", Object: name}
	testkit.NoError(t, p.DB.ActivateAuthority(t.Context(), name, p.Now(), entry))
}

// fetched gets a public file, once it is there.
func fetched(t *testing.T, address string) []byte {
	t.Helper()
	testkit.Eventually(t, address, func() bool { return status(t, http.DefaultClient, address) == http.StatusOK })
	resp := testkit.Must(http.Get(address))(t)
	body := testkit.Must(io.ReadAll(resp.Body))(t)
	testkit.NoError(t, resp.Body.Close())
	return body
}

// The next CA is made, published and activated while the portal runs. Then everything is
// issued by it, and lists and answers of both stay valid.
func TestNextAuthorityTakesOver(t *testing.T) {
	p := serving(t, t.TempDir())
	before := p.tls.leaf()
	name, cert := next(t, p, time.Now())
	testkit.Equal(t, "name", name, "issuing-2")
	first := p.CA.Folder.Issuing()
	testkit.Equal(t, "subject", cert.Subject.CommonName, first.Subject.CommonName+" 2")
	testkit.Equal(t, "list of the root", fmt.Sprint(cert.CRLDistributionPoints, cert.IssuingCertificateURL), fmt.Sprint(first.CRLDistributionPoints, first.IssuingCertificateURL))

	// Pending: its certificate and list are there, and it issues nothing.
	base := p.Public.HTTP.String()
	if got := fetched(t, base+"/ca/issuing-2.cer"); !bytes.Equal(got, cert.Raw) {
		t.Error("/ca/issuing-2.cer is another certificate")
	}
	list := testkit.Must(x509.ParseRevocationList(fetched(t, base+"/crl/issuing-2.crl")))(t)
	testkit.NoError(t, list.CheckSignatureFrom(cert))
	testkit.Equal(t, "issues", testkit.Must(p.CA.Active())(t).Name(), "issuing")
	if chain := fetched(t, base+"/ca/chain.pem"); bytes.Contains(chain, ca.PEM(cert)) {
		t.Error("the chain names a CA that does not issue")
	}

	testkit.Eventually(t, "answers about the next CA", func() bool { return p.ocsp.Has(name) })
	activate(t, p, name)
	testkit.Eventually(t, "the next CA issues", func() bool { return testkit.Must(p.CA.Active())(t).Name() == name })
	by := audit.Entry{Actor: "ada", Role: "admin"}
	for _, f := range p.doctor.TestIssue(t.Context(), by) { // chain, good and revoked at its own addresses
		if f.State != portal.FindingOK {
			t.Errorf("test certificate: %s: %s", f.What, f.Text)
		}
	}
	testkit.Equal(t, "answer about a certificate of the first CA", answerAbout(t, before, p.CA.Folder.Issuing()), ocsp.Good)
	testkit.Eventually(t, "the chain is that of the next CA", func() bool {
		return bytes.Equal(fetched(t, base+"/ca/chain.pem"), ca.PEM(cert, p.CA.Folder.Root()))
	})
	if got, body := p.onOps(t, "/readyz"); got != http.StatusOK {
		t.Errorf("ready: %d %s", got, body)
	}
	for _, check := range p.doctor.Checks() {
		for _, f := range check.Run(t.Context()) {
			if f.State == portal.FindingFailed {
				t.Errorf("%s: %s: %s %s", check.Name, f.What, f.State, f.Text)
			}
		}
	}
}

// answerAbout asks the OCSP address in a certificate.
func answerAbout(t *testing.T, cert, issuer *x509.Certificate) int {
	t.Helper()
	request := testkit.Must(ocsp.CreateRequest(cert, issuer, nil))(t)
	resp := testkit.Must(http.Post(cert.OCSPServer[0], "application/ocsp-request", bytes.NewReader(request)))(t)
	body := testkit.Must(io.ReadAll(resp.Body))(t)
	testkit.NoError(t, resp.Body.Close())
	return testkit.Must(ocsp.ParseResponseForCert(body, cert, issuer))(t).Status
}

// A planned CA becomes active by itself, also when its moment passed while the portal did
// not run.
func TestPlannedAuthorityTakesOver(t *testing.T) {
	data := t.TempDir()
	p := testkit.Must(open(t, data))(t)
	name, _ := next(t, p, time.Now())
	testkit.NoError(t, p.CA.Line.Refresh(t.Context()))
	entry := audit.Entry{At: p.Now(), Action: audit.CAScheduled, Actor: "operator", Role: "operator", Object: name}
	at := p.Now().Add(100 * time.Millisecond)
	testkit.NoError(t, p.DB.ScheduleAuthority(t.Context(), name, at, entry))
	testkit.Equal(t, "before its moment", testkit.Must(p.CA.Active())(t).Name(), "issuing")
	testkit.NoError(t, p.Close())
	testkit.Eventually(t, "the moment of the plan", func() bool { return time.Now().After(at) })

	p = serving(t, data)
	testkit.Equal(t, "after it", testkit.Must(p.CA.Active())(t).Name(), name)
	// The TLS certificate of the first CA serves on, and is verified with its chain.
	resp := testkit.Must(p.client().Get(p.Public.HTTPS.String() + "/login"))(t)
	testkit.NoError(t, resp.Body.Close())
}

// A portal starts in the last weeks of a CA that another one followed, and after its end,
// and answers about its certificates until then.
func TestStartNearTheEndOfTheFirstCA(t *testing.T) {
	for left, answered := range map[int]bool{20: true, -20: false} { // days
		data := t.TempDir()
		s := testkit.Must(config.Load("", fixture.FastCA()))(t)
		s.Data, s.Listen, s.ListenHTTP = data, "127.0.0.1:0", "127.0.0.1:0"
		db := testkit.Must(OpenStore(t.Context(), s, slog.New(slog.DiscardHandler)))(t)
		term := &config.Terminal{In: strings.NewReader(""), Out: io.Discard}
		base := testkit.Must(url.Parse("http://pki.example"))(t)
		made := time.Now().AddDate(0, 0, left).Add(-5 * 365 * 24 * time.Hour)
		a, _, err := localca.Create(t.Context(), s, db, base, term, made)
		testkit.NoError(t, err)
		testkit.NoError(t, a.Follow(t.Context(), db, time.Now, slog.New(slog.DiscardHandler), nil))
		name, _, err := localca.Next(t.Context(), s, db, base, term, time.Now())
		testkit.NoError(t, err)
		testkit.NoError(t, a.Line.Refresh(t.Context()))
		entry := audit.Entry{At: time.Now(), Action: audit.CAActivated, Actor: "operator", Role: "operator", Object: name}
		testkit.NoError(t, db.ActivateAuthority(t.Context(), name, time.Now(), entry))
		testkit.NoError(t, db.Close())

		p := serving(t, data)
		testkit.Equal(t, "issues", testkit.Must(p.CA.Active())(t).Name(), name)
		testkit.Equal(t, fmt.Sprint("answers with days left: ", left), p.ocsp.Has("issuing"), answered)
		if got, body := p.onOps(t, "/readyz"); got != http.StatusOK {
			t.Errorf("%d days: ready: %d %s", left, got, body)
		}
	}
}

// A clock that is four years ahead: the first CA's certificates would be longer than it is
// valid, the next one's are not shortened.
func TestTheNextAuthorityIsInTime(t *testing.T) {
	p := testkit.Must(open(t, t.TempDir()))(t)
	later := time.Now().AddDate(4, 1, 0)
	name, _ := next(t, p, later)
	testkit.NoError(t, p.CA.Line.Refresh(t.Context()))
	p.Now = func() time.Time { return later }
	profile := testkit.Must(ca.NewProfile(ca.ProfileConfig{Name: "User"}))(t)
	subject := ca.Subject{UPN: "anna@corp.example"}
	key := testkit.ECKey(t).Public()
	_, err := p.CA.Issuer().Prepare(profile, subject, key, later)
	var short *ca.ValidityError
	if !errors.As(err, &short) {
		t.Errorf("under the first CA: got %v, want a ValidityError", err)
	}
	activate(t, p, name)
	testkit.NoError(t, p.CA.Line.Refresh(t.Context()))
	prepared := testkit.Must(p.CA.Issuer().Prepare(profile, subject, key, later))(t)
	testkit.Equal(t, "issuer", prepared.Issuer(), name)
	if left := prepared.NotAfter().Sub(later); left < 364*24*time.Hour {
		t.Errorf("validity is shortened to %s", left)
	}
	first, _ := p.CA.Line.Named("issuing")
	testkit.Equal(t, "state of the first", first.Record.State, succession.Retiring)
	if _, err := p.CA.IssuerOf("issuing"); err != nil { // signs lists and OCSP signers
		t.Error(err)
	}
}

// Two replicas on PostgreSQL change to the next CA while people enrol: no enrolment fails,
// and each certificate is recorded under the CA that signed it.
func TestReplicasChangeUnderLoad(t *testing.T) {
	var server pgtest.Server
	t.Cleanup(server.Stop)
	environ := fixture.FastCA()
	environ["CERTPORTAL_DATABASE"] = server.Database(t)
	data := t.TempDir()
	a := testkit.Must(openWith(t, data, environ))(t)
	other := t.TempDir()
	testkit.NoError(t, os.CopyFS(filepath.Join(other, "ca"), os.DirFS(filepath.Join(data, "ca"))))
	chmodKeys(t, other)
	passphrase := testkit.Must(os.ReadFile(a.Settings.DefaultPassphraseFile()))(t)
	testkit.NoError(t, os.WriteFile(filepath.Join(other, filepath.Base(a.Settings.DefaultPassphraseFile())), passphrase, 0o600))
	b := testkit.Must(openWith(t, other, environ))(t)
	serveUntilEnd(t, a)
	serveUntilEnd(t, b)
	name, _ := next(t, a, time.Now())
	testkit.NoError(t, os.CopyFS(filepath.Join(other, "new"), os.DirFS(filepath.Join(data, "ca"))))
	for _, ending := range []string{".key", ".chain", ".crt"} {
		from := filepath.Join(other, "new", name+ending)
		testkit.NoError(t, os.Chmod(from, 0o600))
		testkit.NoError(t, os.Rename(from, filepath.Join(other, "ca", name+ending)))
	}
	testkit.Eventually(t, "the other replica has the next CA", func() bool { _, ok := b.CA.Line.Named(name); return ok })

	const people, each = 6, 5
	var working sync.WaitGroup
	for n := range people {
		person := testkit.Must(a.Builtin.Add(t.Context(), directory.NewAccount{
			Login: fmt.Sprint("person", n), UPN: fmt.Sprintf("person%d@corp.example", n), Password: "correct horse",
		}, audit.Entry{At: a.Now(), Actor: "test"}))(t)
		p := []*App{a, b}[n%2]
		working.Go(func() {
			for k := range each {
				_, err := p.Registrar.Enroll(t.Context(), enroll.Request{
					By: portal.Actor{Person: person.ID}, Name: fmt.Sprint("phone ", k), Platform: portal.Android, Idempotent: fmt.Sprint(n, "-", k),
				})
				if err != nil {
					t.Errorf("person %d, phone %d: %v", n, k, err)
				}
				if n == 0 && k == each/2 {
					activate(t, a, name)
				}
			}
		})
	}
	working.Wait()
	for n := range people {
		devices := testkit.Must(a.DB.Devices(t.Context(), a.personOf(t, n)))(t)
		for _, d := range devices {
			cert := testkit.Must(x509.ParseCertificate(d.Certificate.DER))(t)
			of, ok := a.CA.Line.Of(cert)
			status := testkit.Must(a.DB.Status(t.Context(), d.Certificate.Serial))(t)
			if !ok || status.Issuer != of.Name || cert.CheckSignatureFrom(of.Certificate) != nil {
				t.Errorf("%s is recorded under %q and signed by %q", d.Certificate.Serial, status.Issuer, of.Name)
			}
		}
	}
}

// chmodKeys restores the modes of key files, which a copy does not have.
func chmodKeys(t *testing.T, data string) {
	t.Helper()
	for _, key := range testkit.Must(filepath.Glob(filepath.Join(data, "ca", "*.key")))(t) {
		testkit.NoError(t, os.Chmod(key, 0o600))
	}
}

func (p *App) personOf(t *testing.T, n int) portal.PersonID {
	t.Helper()
	accounts := testkit.Must(p.Builtin.Accounts(t.Context()))(t)
	for _, a := range accounts {
		if a.Person.Login == fmt.Sprint("person", n) {
			return a.Person.ID
		}
	}
	t.Fatalf("there is no person %d", n)
	return ""
}
