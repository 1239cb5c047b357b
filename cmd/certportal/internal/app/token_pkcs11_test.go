//go:build pkcs11

package app

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/softhsm"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// inTokens is the environment of a portal whose keys are in tokens.
func inTokens(h *softhsm.HSM, root, issuing string, kind ca.KeyKind) map[string]string {
	environ := fixture.FastCA()
	environ["CERTPORTAL_CA_PKCS11_MODULE"] = h.Module
	if root != "" {
		environ["CERTPORTAL_CA_PKCS11_ROOT_TOKEN"], environ["CERTPORTAL_CA_PKCS11_ROOT_PIN_FILE"] = root, h.PINFile
	}
	if issuing != "" {
		environ["CERTPORTAL_CA_PKCS11_ISSUING_TOKEN"], environ["CERTPORTAL_CA_PKCS11_ISSUING_PIN_FILE"] = issuing, h.PINFile
	}
	environ["CERTPORTAL_CA_ROOT_KEY"], environ["CERTPORTAL_CA_ISSUING_KEY"] = string(kind), string(kind)
	return environ
}

// person adds a person, and gives a way to enrol devices of theirs.
func person(t testing.TB, p *App) func(name string) (*x509.Certificate, error) {
	t.Helper()
	anna := testkit.Must(p.Builtin.Add(t.Context(), directory.NewAccount{
		Login: "anna", UPN: "anna@corp.example", Password: "correct horse",
	}, audit.Entry{At: p.Now(), Actor: "test"}))(t)
	return func(name string) (*x509.Certificate, error) {
		done, err := p.Registrar.Enroll(t.Context(), enroll.Request{
			By: portal.Actor{Person: anna.ID}, Name: name, Platform: portal.Android, Idempotent: name,
		})
		if err != nil {
			return nil, err
		}
		return x509.ParseCertificate(testkit.Must(p.DB.Certificate(t.Context(), done.Serial))(t).DER)
	}
}

// TestTokenHoldsRootAndIssuing is a portal whose CA keys are in two tokens: certificates,
// lists and answers verify in OpenSSL, after a restart too.
func TestTokenHoldsRootAndIssuing(t *testing.T) {
	for _, kind := range []ca.KeyKind{ca.RSA3072, ca.ECP384} {
		t.Run(string(kind), func(t *testing.T) {
			h := softhsm.New(t, "Root", "Issuing")
			data, dir, environ := t.TempDir(), t.TempDir(), inTokens(h, "Root", "Issuing", kind)
			first := testkit.Must(openWith(t, data, environ))(t)
			secret := first.CA.Secret
			testkit.NoError(t, first.Close())
			for _, name := range []string{"root.key", "issuing.key"} {
				if file := testkit.Must(os.ReadFile(filepath.Join(data, "ca", name)))(t); !bytes.HasPrefix(file, []byte("-----BEGIN CERTPORTAL TOKEN KEY")) {
					t.Errorf("%s holds\n%s", name, file)
				}
			}
			p := testkit.Must(openWith(t, data, environ))(t)
			if p.CA.Secret != secret {
				t.Error("a restart brings another secret")
			}
			serveUntilEnd(t, p)
			leaf := testkit.Must(person(t, p)("phone"))(t)
			lists := append(pemList(fetched(t, p.Public.HTTP.String()+"/crl/root.crl")), pemList(fetched(t, p.Public.HTTP.String()+"/crl/issuing.crl"))...)
			for name, content := range map[string][]byte{
				"root.pem": ca.PEM(p.CA.Folder.Root()), "issuing.pem": ca.PEM(p.CA.Folder.Issuing()), "leaf.pem": ca.PEM(leaf), "lists.pem": lists,
			} {
				testkit.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
			}
			openssl(t, dir, "leaf.pem: OK", "verify", "-x509_strict", "-crl_check_all", "-purpose", "sslclient",
				"-CAfile", "root.pem", "-untrusted", "issuing.pem", "-CRLfile", "lists.pem", "leaf.pem")
			openssl(t, dir, "leaf.pem: good", "ocsp", "-issuer", "issuing.pem", "-cert", "leaf.pem", "-CAfile", "root.pem",
				"-url", leaf.OCSPServer[0], "-no_nonce")
		})
	}
}

func pemList(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// sealedAt reports whether the administrators see that nothing is issued.
func sealedAt(p *App, t *testing.T) bool {
	for _, a := range p.doctor.Alerts(t.Context()) {
		if a == (admin.Alert{Key: "sealed", Critical: true}) {
			return p.CA.Ready() != nil
		}
	}
	return false
}

// TestF23_TokenGoneSealsIssuing takes the token of a running portal away and brings it
// back: meanwhile nothing is issued and nothing is left half done, lists and answers are
// served, and people see an outage of the issuer.
func TestF23_TokenGoneSealsIssuing(t *testing.T) {
	h := softhsm.New(t, "Issuing")
	p := testkit.Must(openWith(t, t.TempDir(), inTokens(h, "", "Issuing", ca.ECP256)))(t)
	serveUntilEnd(t, p)
	enrol := person(t, p)
	leaf := testkit.Must(enrol("phone"))(t)
	list := fetched(t, p.Public.HTTP.String()+"/crl/issuing.crl")

	h.Remove()
	_, err := enrol("tablet")
	var outage *portal.Outage
	if !errors.As(err, &outage) || outage.Part != portal.PartIssuer {
		t.Errorf("without the token: %v, want an outage of the issuer", err)
	}
	testkit.Eventually(t, "the alert", func() bool { return sealedAt(p, t) })
	if _, err := enrol("laptop"); !errors.As(err, &outage) || !strings.Contains(err.Error(), "the CA is sealed") {
		t.Errorf("without the token: %v", err)
	}
	testkit.Equal(t, "ready", status(t, http.DefaultClient, "http://"+p.opsPort.Addr().String()+"/readyz"), http.StatusServiceUnavailable)
	if got := fetched(t, p.Public.HTTP.String()+"/crl/issuing.crl"); !bytes.Equal(got, list) {
		t.Error("the list is another one")
	}
	statusOf(t, asks(t, p.client(), leaf.OCSPServer[0], leaf, p.CA.Folder.Issuing()), leaf, p.CA.Folder.Issuing())
	for _, address := range []string{"/login", "/ca"} {
		testkit.Equal(t, address, status(t, p.client(), p.Public.HTTPS.String()+address), http.StatusOK)
	}

	h.Restore()
	testkit.Eventually(t, "the token is back", func() bool { return !sealedAt(p, t) && p.CA.Ready() == nil })
	testkit.Must(enrol("tablet again"))(t)
	wholeRecords(t, p, 2)
}

// wholeRecords checks that what was reserved becomes a certificate or is revoked, and that
// this many certificates of people are valid.
func wholeRecords(t *testing.T, p *App, want int) {
	t.Helper()
	for _, e := range fixture.EntriesOf(t, p.DB, audit.CertificateReserved) {
		serial := testkit.Must(ca.ParseSerial(e.Object))(t)
		var cert portal.Certificate
		testkit.Eventually(t, "no certificate is half done", func() bool {
			cert = testkit.Must(p.DB.Certificate(t.Context(), serial))(t)
			return cert.Status != portal.Pending
		})
		if cert.Status == portal.Issued && e.Detail["upn"] != "" {
			want--
		}
	}
	testkit.Equal(t, "valid certificates of people that are missing", want, 0)
}

// TestF23_TokenGoneInMidOperation lets the token fail in the middle of the signature of an
// enrolment: what was reserved is revoked, and the same form issues once when it is back.
func TestF23_TokenGoneInMidOperation(t *testing.T) {
	h := softhsm.New(t, "Issuing")
	fault := h.Faulty()
	p := testkit.Must(openWith(t, t.TempDir(), inTokens(h, "", "Issuing", ca.ECP256)))(t)
	serveUntilEnd(t, p)
	enrol := person(t, p)
	testkit.Must(enrol("phone"))(t)

	fault.Set("C_Sign", softhsm.DeviceRemoved, 0)
	if _, err := enrol("tablet"); err == nil || !strings.Contains(err.Error(), "the token is gone") {
		t.Errorf("got %v", err)
	}
	fault.Clear()
	testkit.Eventually(t, "the token is back", func() bool { return p.CA.Ready() == nil })
	testkit.Must(enrol("laptop"))(t)
	fault.Once("C_Sign", softhsm.SessionHandleInvalid)
	testkit.Must(enrol("watch"))(t)

	// A token that hangs delays no page.
	fault.Set("C_Sign", 0, 3*time.Second)
	done := make(chan error, 1)
	go func() { _, err := enrol("slow"); done <- err }()
	testkit.Equal(t, "page", status(t, p.client(), p.Public.HTTPS.String()+"/login"), http.StatusOK)
	select {
	case err := <-done:
		t.Errorf("the page waited for the token, which answered: %v", err)
	default:
	}
	testkit.NoError(t, <-done)
	wholeRecords(t, p, 4)
}

// TestF23_StartWithoutToken starts while the token is away, or refuses the PIN: the portal
// serves, sealed, and issues when the fault is mended, without a restart.
func TestF23_StartWithoutToken(t *testing.T) {
	h := softhsm.New(t, "Issuing")
	data, environ := t.TempDir(), inTokens(h, "", "Issuing", ca.ECP256)
	first := testkit.Must(openWith(t, data, environ))(t)
	secret := first.CA.Secret
	testkit.NoError(t, first.Close())
	for _, fault := range []struct {
		name, want  string
		does, mends func()
	}{
		{"token away", "the module answers with an error", h.Remove, h.Restore},
		{"wrong PIN", "the token refuses the PIN", func() { h.SetPIN("111111") }, func() { h.SetPIN(softhsm.PIN) }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			fault.does()
			p := testkit.Must(openWith(t, data, environ))(t)
			serveUntilEnd(t, p)
			if err := p.CA.Ready(); err == nil || !strings.Contains(err.Error(), fault.want) {
				t.Errorf("ready: %v, want %q", err, fault.want)
			}
			if p.CA.Secret != secret {
				t.Error("sessions of before do not count")
			}
			fault.mends()
			testkit.Eventually(t, "it is mended", func() bool { return p.CA.Ready() == nil })
		})
	}
}

// TestSecretKeyOfTokens: without the file beside keys in a token nothing is derived anew.
func TestSecretKeyOfTokens(t *testing.T) {
	h := softhsm.New(t, "Issuing")
	data, environ := t.TempDir(), inTokens(h, "", "Issuing", ca.ECP256)
	testkit.NoError(t, testkit.Must(openWith(t, data, environ))(t).Close())
	file := filepath.Join(data, "ca", "secret.key")
	testkit.NoError(t, os.Rename(file, file+".away"))
	p := testkit.Must(openWith(t, data, environ))(t)
	if p.CA.Sealed == nil || !strings.Contains(p.CA.Sealed.Error(), "has no secret.key") || !strings.Contains(p.CA.Sealed.Error(), "copy it from another replica or a backup") {
		t.Errorf("sealed: %v", p.CA.Sealed)
	}
	testkit.NoError(t, p.Close())
	testkit.NoError(t, os.Rename(file+".away", file))
	testkit.NoError(t, os.Chmod(file, 0o640))
	s := testkit.Must(config.Load("", environ))(t)
	s.Data = data
	if err := s.CheckPermissions(); err == nil || !strings.Contains(err.Error(), "chmod 600 "+file) {
		t.Errorf("a secret.key that the group reads: %v", err)
	}
}

// TestFromFilesToToken moves a running portal: its next issuing CA is in a token, the first
// one stays in its file and goes on signing lists; the secret does not change.
func TestFromFilesToToken(t *testing.T) {
	h := softhsm.New(t, "Issuing")
	data := t.TempDir()
	first := testkit.Must(openWith(t, data, fixture.FastCA()))(t)
	secret := first.CA.Secret
	testkit.NoError(t, first.Close())
	p := testkit.Must(openWith(t, data, inTokens(h, "", "Issuing", ca.ECP256)))(t)
	serveUntilEnd(t, p)
	enrol := person(t, p)
	testkit.Must(enrol("phone"))(t)
	name, _ := next(t, p, time.Now())
	testkit.Eventually(t, "the next one is known", func() bool { _, ok := p.CA.Line.Named(name); return ok })
	if _, err := os.Stat(filepath.Join(data, "ca", "secret.key")); err == nil {
		t.Error("a folder with a software key got a secret.key")
	}
	activate(t, p, name)
	testkit.NoError(t, p.CA.Line.Refresh(t.Context()))
	testkit.Equal(t, "objects", h.Objects(), 2)
	cert := testkit.Must(enrol("tablet"))(t)
	of, _ := p.CA.Line.Of(cert)
	testkit.Equal(t, "issued by", of.Name, name)
	if p.CA.Secret != secret {
		t.Error("the secret changed")
	}
	// Without the token the first CA still signs its lists.
	h.Remove()
	testkit.Eventually(t, "the loss is noticed", func() bool { return p.CA.Ready() != nil })
	if _, err := p.CA.IssuerOf("issuing"); err != nil {
		t.Errorf("the CA with its key in a file: %v", err)
	}
	h.Restore()
	testkit.Eventually(t, "the token is back", func() bool { return p.CA.Ready() == nil })
}
