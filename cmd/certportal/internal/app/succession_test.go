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
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/succession"
	"certportal/internal/test/daemon"
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
	for _, f := range p.findings(t) {
		if f.State == portal.FindingFailed {
			t.Errorf("%s: %s %s", f.What, f.State, f.Text)
		}
	}
}

// findings are those of all checks but that of the disk, which is the machine's own.
func (p *App) findings(t *testing.T) []portal.Finding {
	t.Helper()
	var list []portal.Finding
	for _, check := range p.doctor.Checks() {
		if check.Name != "disk" {
			list = append(list, check.Run(t.Context())...)
		}
	}
	return list
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

// A plan that is due and cannot be carried out, as no key opens, stops neither the start nor
// the lists.
func TestDuePlanOfASealedCAWaits(t *testing.T) {
	data := t.TempDir()
	p := testkit.Must(open(t, data))(t)
	name, _ := next(t, p, time.Now())
	testkit.NoError(t, p.CA.Line.Refresh(t.Context()))
	entry := audit.Entry{At: p.Now(), Action: audit.CAScheduled, Actor: "operator", Role: "operator", Object: name}
	testkit.NoError(t, p.DB.ScheduleAuthority(t.Context(), name, p.Now(), entry))
	testkit.NoError(t, p.Close())
	testkit.NoError(t, os.WriteFile(p.Settings.DefaultPassphraseFile(), []byte("another one\n"), 0o600))
	p = serving(t, data)
	testkit.Equal(t, "list", status(t, p.client(), p.Public.HTTP.String()+"/crl/issuing.crl"), http.StatusOK)
	if of, ok := p.CA.Line.Active(); !ok || of.Name != "issuing" {
		t.Errorf("active: got %s", of.Name)
	}
}

// A CA that another machine made active has its files there alone: this one cannot answer for
// its certificates, and the balancer must send nothing here, lists included.
func TestNotReadyWithoutTheFilesOfACA(t *testing.T) {
	p := serving(t, t.TempDir())
	testkit.Eventually(t, "ready", func() bool { code, _ := p.onOps(t, "/readyz/plain"); return code == http.StatusOK })
	other := fixture.NewHierarchy(t, ca.ECP256, p.Now()).Issuing
	r := succession.RecordOf(ca.Authority{Name: "issuing-2", Certificate: other}, p.Now())
	testkit.NoError(t, p.DB.AddAuthority(t.Context(), r, fixture.NewEntry(p.Now(), audit.CAAdded, "")))
	testkit.NoError(t, p.CA.Line.Refresh(t.Context()))
	code, body := p.onOps(t, "/readyz/plain")
	testkit.Equal(t, "while it is pending: "+body, code, http.StatusOK)
	activate(t, p, "issuing-2")
	testkit.NoError(t, p.CA.Line.Refresh(t.Context()))
	for _, path := range []string{"/readyz", "/readyz/plain"} {
		testkit.Eventually(t, path+" is red", func() bool {
			code, body := p.onOps(t, path)
			return code == http.StatusServiceUnavailable && strings.Contains(body, "issuing-2 are not on this machine")
		})
	}
}

// A portal starts in the last weeks of a CA that another one followed, and after its end,
// and answers about its certificates until then.
func TestStartNearTheEndOfTheFirstCA(t *testing.T) {
	for left, answered := range map[int]bool{20: true, -20: false} { // days
		data := t.TempDir()
		s := testkit.Must(config.Load("", fixture.FastCA()))(t)
		s.Data, s.Listen, s.ListenHTTP = data, "127.0.0.1:0", "127.0.0.1:0"
		db := testkit.Must(Program{}.OpenStore(t.Context(), s, slog.New(slog.DiscardHandler)))(t)
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

// The first CA is four years old but for a day. A person's certificate of it, its list and
// its answers stay good after the next one took over, and a lost phone is in both.
func TestFourYearsLater(t *testing.T) {
	data := t.TempDir()
	s := testkit.Must(config.Load("", fixture.FastCA()))(t)
	s.Data, s.Listen, s.ListenHTTP = data, "127.0.0.1:0", "127.0.0.1:0"
	db := testkit.Must(Program{}.OpenStore(t.Context(), s, slog.New(slog.DiscardHandler)))(t)
	base := testkit.Must(url.Parse("http://" + testkit.Must(daemon.FreeAddress())(t)))(t)
	_, _, err := localca.Create(t.Context(), s, db, base, noTerminal(), time.Now().AddDate(0, 0, 1-4*365))
	testkit.NoError(t, err)
	testkit.NoError(t, db.Close())
	p := serving(t, data)
	people := employees(t, p, 2)
	kept, lost := testkit.Must(p.enrolment(t, people[0], "kept"))(t), testkit.Must(p.enrolment(t, people[1], "lost"))(t)
	name, cert := next(t, p, time.Now())
	testkit.Eventually(t, "its list", func() bool { _, there, err := p.DB.Latest(t.Context(), name, false, 0); return err == nil && there })
	activate(t, p, name)
	testkit.Eventually(t, "the next CA issues", func() bool { return testkit.Must(p.CA.Active())(t).Name() == name })

	renewed := testkit.Must(p.enrolment(t, people[0], "new phone"))(t)
	testkit.Equal(t, "the new phone is of", p.issuerOf(t, renewed), name)
	testkit.Equal(t, "the phone before of", p.issuerOf(t, kept), "issuing")
	first := p.CA.Folder.Issuing()
	testkit.Equal(t, "answer about the phone before", answerAbout(t, p.certificate(t, kept), first), ocsp.Good)
	testkit.Equal(t, "answer about the new phone", answerAbout(t, p.certificate(t, renewed), cert), ocsp.Good)

	by := portal.Actor{Person: people[1].ID, Role: portal.Employee}
	testkit.NoError(t, p.Registrar.Block(t.Context(), by, enroll.Block{Person: people[1].ID, Device: lost.Device, Cause: portal.Lost}))
	testkit.Equal(t, "answer about the lost phone", answerAbout(t, p.certificate(t, lost), first), ocsp.Revoked)
	testkit.Eventually(t, "the list of the first CA has the lost phone alone", func() bool {
		list := testkit.Must(x509.ParseRevocationList(fetched(t, p.Public.HTTP.String()+"/crl/issuing.crl")))(t)
		testkit.NoError(t, list.CheckSignatureFrom(first))
		if left := time.Until(list.NextUpdate); left < 24*time.Hour {
			t.Errorf("the list ends in %s", left)
		}
		return slices.ContainsFunc(list.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool { return e.SerialNumber.Cmp(lost.Serial.Big()) == 0 })
	})
	list := testkit.Must(x509.ParseRevocationList(fetched(t, p.Public.HTTP.String()+"/crl/"+name+".crl")))(t)
	testkit.NoError(t, list.CheckSignatureFrom(cert))
	testkit.Equal(t, "entries in the list of the next CA", len(list.RevokedCertificateEntries), 0)
}

// certificate reads what was recorded.
func (p *App) certificate(t *testing.T, e enroll.Enrolment) *x509.Certificate {
	t.Helper()
	return testkit.Must(x509.ParseCertificate(testkit.Must(p.DB.Certificate(t.Context(), e.Serial))(t).DER))(t)
}
