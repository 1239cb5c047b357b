package e2e

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/test/samba"
	"certportal/internal/test/testkit"
	"certportal/store"
)

// startWithAD runs the portal against a domain controller, with the five lines
// of settings that this takes.
func startWithAD(t *testing.T, dc *samba.DC, env ...string) *demo {
	t.Helper()
	d := &demo{t: t, dir: t.TempDir(), ready: "Root SHA-256"}
	password := filepath.Join(d.dir, "directory-password")
	write(t, password, samba.ReaderPassword+"\n")
	config := filepath.Join(d.dir, "certportal.yaml")
	write(t, config, fmt.Sprintf(`organization: Example Company
directory:
  kind: active-directory
  domain: %s
  servers: [%s]
  user: %s
  password_file: %s
`, samba.Domain, dc.URL(), samba.Reader, password))
	private(t, password)
	d.args = []string{"serve", "--config", config, "--data", filepath.Join(d.dir, "data")}
	makeCA(t, d.args[1:], env...)
	d.start(append(env, "CERTPORTAL_LISTEN=127.0.0.1:0", "CERTPORTAL_LISTEN_HTTP=127.0.0.1:0",
		"CERTPORTAL_DIRECTORY_CA_FILE="+dc.CAFile, "CERTPORTAL_CERTIFICATES_PREPARED_KEYS=0")...)
	t.Cleanup(func() { d.stop(syscall.SIGTERM) })
	return d
}

// makeCA runs "ca init": serve makes no CA while public_http_url is a default, which it is
// on a free port.
func makeCA(t testing.TB, where []string, env ...string) {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"ca", "init"}, where...)...)
	cmd.Env = append(testkit.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ca init: %v\n%s", err, out)
	}
}

// private lets only the owner read a file with a secret.
func private(t *testing.T, file string) {
	t.Helper()
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
}

// attempt sends the sign-in form and gives status and page.
func (d *demo) attempt(c *http.Client, username, password string) (int, string) {
	d.t.Helper()
	return d.submit(c, "/login", url.Values{"username": {username}, "password": {password}})
}

// submit sends a form and gives status and page.
func (d *demo) submit(c *http.Client, path string, form url.Values) (int, string) {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.https+path, strings.NewReader(form.Encode()))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", d.https)
	status, page, err := do(c, req)
	if err != nil {
		d.t.Fatal(err)
	}
	return status, page
}

func heading(page string) string {
	m := regexp.MustCompile(`(?s)<h1[^>]*>(.*?)</h1>`).FindStringSubmatch(page)
	if m == nil {
		return ""
	}
	return strings.TrimSpace(tags.ReplaceAllString(m[1], ""))
}

// TestActiveDirectory is the way of an employee of a company with Active
// Directory: from each spelling of the login name to a certificate with that
// account's UPN and objectSid.
func TestActiveDirectory(t *testing.T) {
	need(t, "chromium", "openssl")
	dc := samba.Start(t)
	anna := dc.AddUser(t, samba.User{
		Login: "aschmidt", UPN: "Anna.Schmidt@mail.example.test", Name: "Anna Schmidt", GivenName: "Anna",
		Mail: "anna.schmidt@mail.example.test",
	})
	d := startWithAD(t, dc, "CERTPORTAL_DIRECTORY_UPN_SUFFIXES=mail.example.test,"+samba.Domain)
	for _, spelling := range []string{
		"Anna.Schmidt@mail.example.test", "anna.schmidt@MAIL.example.test", "aschmidt", " ASCHMIDT ",
		`CORP\aschmidt`, `corp.example.test\aschmidt`, "aschmidt@corp.example.test", "aschmidt@corp",
	} {
		if status, page := d.attempt(d.visitor(), spelling, samba.Password); status != http.StatusSeeOther {
			t.Errorf("%q: status %d, %q", spelling, status, heading(page))
		}
	}

	b := openTab(t, look{agent: androidUA})
	b.signIn(d, person{Username: `CORP\aschmidt`, Password: samba.Password})
	b.press(`main a[href^="/new"]`)
	b.press(`main form .btn`)
	password := strings.Join(strings.Fields(b.text("#install-password")), "")
	file, _ := b.download("#download")
	leaf := openFile(t, file, password)
	checkIdentity(t, leaf, dc.Values(t, anna.DN, "userPrincipalName")[0], anna.SID)
	if got, want := leaf.EmailAddresses, []string{"anna.schmidt@mail.example.test"}; len(got) != 1 || got[0] != want[0] {
		t.Errorf("mail addresses %q, want %q", got, want)
	}
}

func openFile(t *testing.T, file, password string) *x509.Certificate {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, leaf, _, err := pkcs12.DecodeChain(content, password)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// checkIdentity reads with OpenSSL, which knows nothing of the portal, what the
// certificate says its holder is.
func checkIdentity(t *testing.T, leaf *x509.Certificate, upn, sid string) {
	t.Helper()
	pem := filepath.Join(t.TempDir(), "leaf.pem")
	write(t, pem, pemOf(leaf))
	for extension, want := range map[string]string{"subjectAltName": "UPN::" + upn, "1.3.6.1.4.1.311.25.2": sid} {
		text := command(t, "openssl", "x509", "-in", pem, "-noout", "-text")
		if extension == "subjectAltName" {
			text = command(t, "openssl", "x509", "-in", pem, "-noout", "-ext", extension)
		}
		if !strings.Contains(text, want) {
			t.Errorf("%s does not show %q:\n%s", extension, want, text)
		}
	}
	if got := leaf.Subject.CommonName; got != upn {
		t.Errorf("subject CN=%q, want %q", got, upn)
	}
}

// TestSubCodesAreSentences shows what people read for each thing a domain
// controller can have against them, and that nothing of it is shown before sign-in.
func TestSubCodesAreSentences(t *testing.T) {
	dc := samba.Start(t)
	states := []struct {
		login   string
		bring   func(testing.TB, string)
		status  int
		heading string
	}{
		{"fine", func(testing.TB, string) {}, http.StatusSeeOther, ""},
		{"disabled", dc.Disable, http.StatusForbidden, "Your work account is switched off"},
		{"expired", dc.Expire, http.StatusForbidden, "Your work account has run out"},
		{"mustchange", dc.MustChange, http.StatusForbidden, "Your work password has run out"},
		{"locked", dc.Lock, http.StatusUnauthorized, "Sign in"},
	}
	for _, s := range states {
		s.bring(t, dc.AddUser(t, samba.User{Login: s.login}).DN)
	}
	d := startWithAD(t, dc)
	for _, s := range states {
		t.Run(s.login, func(t *testing.T) {
			// An unknown password first: the same page for all accounts.
			status, page := d.attempt(d.visitor(), s.login, "wrong password")
			if got, want := heading(page), "Sign in"; status != http.StatusUnauthorized || got != want {
				t.Errorf("wrong password: %d %q, want 401 %q", status, got, want)
			}
			status, page = d.attempt(d.visitor(), s.login, samba.Password)
			if got := heading(page); status != s.status || s.heading != "" && got != s.heading {
				t.Errorf("right password: %d %q, want %d %q", status, got, s.status, s.heading)
			}
		})
	}
}

// TestA3_DomainAdminsGetNothing signs in a domain administrator and uses no
// serial number on them.
func TestA3_DomainAdminsGetNothing(t *testing.T) {
	dc := samba.Start(t)
	boss := dc.AddUser(t, samba.User{Login: "boss"})
	dc.AddMember(t, dc.BySID(t, dc.SID+"-512").DN, boss.DN)
	d := startWithAD(t, dc)
	c := d.visitor()
	d.signIn(c, person{Username: "boss", Password: samba.Password})
	status, page := d.askFor(c, "Phone")
	if status != http.StatusForbidden {
		t.Errorf("POST /new: %d %q, want 403", status, heading(page))
	}
	d.stop(syscall.SIGTERM)
	entries, err := d.openStore(t).Entries(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, e := range entries {
		switch {
		case e.Action == audit.EnrolmentRefused:
			refused++
		case e.Action == audit.CertificateReserved && e.Person != "": // not the portal's own certificates
			t.Errorf("serial %s was used on %s", e.Object, e.Person)
		}
	}
	if refused != 1 {
		t.Errorf("%d refusals in the ledger, want 1", refused)
	}
}

// askFor sends the form of a new device, as the page offers it or against its refusal.
func (d *demo) askFor(c *http.Client, name string) (int, string) {
	d.t.Helper()
	_, page, err := d.get(d.t.Context(), c, "/new")
	if err != nil {
		d.t.Fatal(err)
	}
	request := "a-form-that-was-not-offered"
	if token := formToken.FindStringSubmatch(page); token != nil {
		request = token[1]
	}
	return d.submit(c, "/new", url.Values{"name": {name}, "platform": {"android"}, "request": {request}})
}

func (d *demo) openStore(t *testing.T) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{URL: filepath.Join(d.dir, "data", "portal.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// TestA11_LeaverInSamba disables an account under a session: enrolment ends with
// the next request, and the watch puts the certificate on the revocation list.
func TestA11_LeaverInSamba(t *testing.T) {
	dc := samba.Start(t)
	anna, bob := dc.AddUser(t, samba.User{Login: "anna"}), dc.AddUser(t, samba.User{Login: "bob"})
	d := startWithAD(t, dc, "CERTPORTAL_DIRECTORY_WATCH_EVERY=1s", "CERTPORTAL_DIRECTORY_WATCH_GRACE=1s")
	serials := map[string]ca.Serial{}
	visitors := map[string]*http.Client{}
	for _, login := range []string{"anna", "bob"} {
		c := d.visitor()
		d.signIn(c, person{Username: login, Password: samba.Password})
		_, serial, ok := d.tryEnrol(t.Context(), c, login+"-phone")
		if !ok {
			t.Fatalf("%s got no certificate\n%s", login, d.stderr())
		}
		serials[login], visitors[login] = serial, c
	}
	dc.Disable(t, anna.DN)
	resp, err := d.post(t.Context(), visitors["anna"], "/new", url.Values{"name": {"x"}, "platform": {"ios"}, "request": {"another-form-of-anna"}})
	if err != nil {
		t.Fatal(err)
	}
	// Refused, or the watch has ended the session already.
	if resp.StatusCode != http.StatusForbidden && resp.Header.Get("Location") != "/login?next=%2Fnew" {
		t.Errorf("POST /new of a disabled account: %d %s, want 403", resp.StatusCode, resp.Header.Get("Location"))
	}
	d.awaitRevoked(t, serials["anna"])
	if d.listed(t, serials["bob"]) {
		t.Errorf("bob (%s) is on the list too", bob.DN)
	}
}

// awaitRevoked waits until a serial is in the published CRL.
func (d *demo) awaitRevoked(t *testing.T, serial ca.Serial) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for !d.listed(t, serial) {
		select {
		case <-ctx.Done():
			t.Fatalf("%s is not on the list\n%s", serial, d.stderr())
		case <-look.C:
		}
	}
}

func (d *demo) listed(t *testing.T, serial ca.Serial) bool {
	t.Helper()
	list, err := x509.ParseRevocationList([]byte(fetch(t, d.http+"/crl/issuing.crl")))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list.RevokedCertificateEntries {
		if fmt.Sprintf("%x", e.SerialNumber) == strings.TrimLeft(serial.String(), "0") {
			return true
		}
	}
	return false
}
