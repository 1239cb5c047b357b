package release

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"software.sslmate.com/src/go-pkcs12"

	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

const public = "https://certificates.corp.example"

// settings are what "certportal setup" wrote, and what was added by hand.
type settings struct{ text, listen string }

// setup answers all questions by flags, as root right after the installation.
func (m machine) setup(ops string) settings {
	m.t.Helper()
	s := settings{listen: testkit.Must(daemon.FreeAddress())(m.t)}
	out := m.run("certportal", "setup", "--ask-nothing", "--organization=Contoso", "--public-url="+public, "--public-http-url=pki.corp.example",
		"--listen="+s.listen, "--listen-http=127.0.0.1:0", "--directory=builtin", "--domain=corp.example")
	if !strings.Contains(out, "systemctl enable --now certportal") {
		m.t.Errorf("setup does not name the next step:\n%s", out)
	}
	if got, want := m.run("stat", "-c", "%a %U", "/etc/certportal/ca-passphrase", "/etc/certportal/certportal.yaml", "/var/lib/certportal"), "600 root\n644 root\n700 certportal\n"; got != want {
		m.t.Errorf("owners: got %q, want %q", got, want)
	}
	file := filepath.Join(m.root, "etc/certportal/certportal.yaml")
	s.text = string(testkit.Must(os.ReadFile(file))(m.t)) + "\nlisten_check: 127.0.0.1:0\nlisten_ops: " + ops + "\nca: {root_key: ec-p256, issuing_key: ec-p256}\n"
	m.write("etc/certportal/certportal.yaml", s.text)
	return s
}

// enrol adds a person, who signs in and fetches a certificate.
func (m machine) enrol(s settings) {
	m.t.Helper()
	out := m.run("runuser", "-u", "certportal", "--", "certportal", "user", "add", "anna", "--upn", "anna@corp.example", "--config", "/etc/certportal/certportal.yaml")
	_, password, found := strings.Cut(out, "password: ")
	if !found {
		m.t.Fatalf("no password in\n%s", out)
	}
	c := m.client(s)
	if status, _, _ := m.post(c, "/login", url.Values{"username": {"anna"}, "password": {strings.TrimSpace(password)}}); status != http.StatusSeeOther {
		m.t.Fatalf("signing in: status %d", status)
	}
	request := m.find(m.get(c, "/new"), `name="request" value="([^"]+)"`)
	status, to, body := m.post(c, "/new", url.Values{"name": {"Phone"}, "platform": {"android"}, "request": {request}})
	if status != http.StatusSeeOther {
		m.t.Fatalf("POST /new: status %d\n%s", status, body)
	}
	page := m.get(c, to)
	shown := m.find(page, `(?s)id="install-password"[^>]*>(.*?)</bdi>`)
	install := strings.Join(strings.Fields(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(shown, "")), "")
	_, leaf, _, err := pkcs12.DecodeChain([]byte(m.get(c, m.find(page, `href="(/d/[^"]+)"`))), install)
	if err != nil {
		m.t.Fatalf("opening the file with %q: %v", install, err)
	}
	if got, want := leaf.Subject.CommonName, "anna@corp.example"; got != want {
		m.t.Errorf("the certificate is for %q, want %q", got, want)
	}
}

// client reaches the portal under its public name, and trusts its root.
func (m machine) client(s settings) *http.Client {
	m.t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(testkit.Must(os.ReadFile(filepath.Join(m.root, "var/lib/certportal/ca/root.crt")))(m.t)) {
		m.t.Fatal("root.crt holds no certificate")
	}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, s.listen)
	}
	return &http.Client{
		Jar:           testkit.Must(cookiejar.New(nil))(m.t),
		Transport:     &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: roots}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (m machine) get(c *http.Client, path string) string {
	m.t.Helper()
	status, to, body := m.do(c, testkit.Must(http.NewRequestWithContext(m.t.Context(), http.MethodGet, public+path, nil))(m.t))
	if status != http.StatusOK {
		m.t.Fatalf("GET %s: status %d, to %q\n%s", path, status, to, body)
	}
	return body
}

// post sends a form as a page of the portal does.
func (m machine) post(c *http.Client, path string, form url.Values) (status int, to, body string) {
	m.t.Helper()
	req := testkit.Must(http.NewRequestWithContext(m.t.Context(), http.MethodPost, public+path, strings.NewReader(form.Encode())))(m.t)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", public)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return m.do(c, req)
}

func (m machine) do(c *http.Client, req *http.Request) (status int, to, body string) {
	m.t.Helper()
	req.Header.Set("User-Agent", "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36")
	resp := testkit.Must(c.Do(req))(m.t)
	defer resp.Body.Close()
	text := testkit.Must(io.ReadAll(resp.Body))(m.t)
	return resp.StatusCode, resp.Header.Get("Location"), string(text)
}

// find is the part of a page that a pattern has in parentheses.
func (m machine) find(page, pattern string) string {
	m.t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(page)
	if found == nil {
		m.t.Fatalf("%s is not in\n%s", pattern, page)
	}
	return found[1]
}
