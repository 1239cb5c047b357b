package relyingparty_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"certportal/ca"
	"certportal/ca/ocsp"
	"certportal/internal/deliver"
	"certportal/internal/test/daemon"
	"certportal/internal/test/relyingparty"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

const (
	docPage   = "relying-parties.md"
	docFolder = "/var/lib/pki"
)

func TestDocsSayWhatIsTried(t *testing.T) {
	for name, start := range kinds() {
		a := newAuthority(t)
		c := a.config()
		c.Lists = a.list(1)
		s := start(t, c)
		testkit.DocsAgree(t, docPage, strings.ToLower(name), docFolder, s.Config(), s.Folder())
	}
}

// publisher serves CRLs as the portal does.
type publisher struct {
	mu    sync.Mutex
	files map[string][]byte
}

func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	file, ok := p.files[r.URL.Path]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	_, _ = w.Write(file)
}

func (p *publisher) publish(t *testing.T, lists []string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files = map[string][]byte{}
	for i, name := range []string{"root", "issuing"} {
		block, _ := pem.Decode([]byte(lists[i]))
		if block == nil {
			t.Fatalf("list of %s: %q", name, lists[i])
		}
		p.files["/crl/"+name+".crl"] = block.Bytes
	}
}

func (p *publisher) change(change func(files map[string][]byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p.files)
}

// fetcher is the script of the docs, in a folder of its own.
type fetcher struct {
	t              *testing.T
	folder, script string
}

func newFetcher(t *testing.T, url, authorities string) *fetcher {
	t.Helper()
	for _, program := range []string{"curl", "openssl"} {
		if daemon.Program(program) == "" {
			daemon.Need(t, program+" is not installed")
		}
	}
	f := &fetcher{t: t, folder: t.TempDir()}
	f.script = strings.NewReplacer("http://pki.corp.example:8080", url, docFolder, f.folder, "systemctl reload apache2", "touch reloaded").
		Replace(testkit.DocBlocks(t, docPage, "sh")[0])
	testkit.NoError(t, os.WriteFile(filepath.Join(f.folder, "authorities.pem"), []byte(authorities), 0o600))
	return f
}

// run runs the script, and reports whether it reloaded the server.
func (f *fetcher) run() (reloaded bool, err error) {
	f.t.Helper()
	cmd := exec.Command("sh", "-c", f.script)
	out, err := cmd.CombinedOutput()
	f.t.Logf("%s", out)
	mark := filepath.Join(f.folder, "reloaded")
	if os.Remove(mark) == nil {
		reloaded = true
	}
	return reloaded, err
}

func (f *fetcher) lists() string {
	f.t.Helper()
	return string(testkit.Must(os.ReadFile(filepath.Join(f.folder, "lists.pem")))(f.t))
}

// TestTheScriptOfTheDocs runs the script that fetches CRLs: it replaces the file when
// there are new ones, and never by anything but CRLs of the CA.
func TestTheScriptOfTheDocs(t *testing.T) {
	p := fixture.NewLivePortal(t)
	anna := p.Add("anna", fixture.SIDPrefix+"1101")
	phone := p.Deliver(anna, "Phone", deliver.FormatLegacy)
	served := &publisher{}
	served.publish(t, p.Lists())
	server := httptest.NewServer(served)
	defer server.Close()
	f := newFetcher(t, server.URL, string(ca.PEM(p.Hierarchy.Root, p.Hierarchy.Issuing)))

	reloaded, err := f.run()
	if err != nil || !reloaded || strings.Count(f.lists(), "BEGIN X509 CRL") != 2 {
		t.Fatalf("first run: reloaded %t, %v:\n%s", reloaded, err, f.lists())
	}
	first := f.lists()
	if reloaded, err = f.run(); err != nil || reloaded {
		t.Errorf("nothing new: reloaded %t, %v", reloaded, err)
	}
	p.Lose(anna, phone)
	served.publish(t, p.Lists())
	if reloaded, err = f.run(); err != nil || !reloaded || f.lists() == first {
		t.Errorf("a revocation: reloaded %t, %v", reloaded, err)
	}
	now := f.lists()
	for name, change := range map[string]func(map[string][]byte){
		"truncated":     func(files map[string][]byte) { files["/crl/issuing.crl"] = files["/crl/issuing.crl"][:100] },
		"of another CA": func(files map[string][]byte) { files["/crl/issuing.crl"] = foreignList(t) },
		"missing":       func(files map[string][]byte) { delete(files, "/crl/root.crl") },
	} {
		served.publish(t, p.Lists())
		served.change(change)
		if reloaded, err := f.run(); err == nil || reloaded || f.lists() != now {
			t.Errorf("%s: reloaded %t, %v, file replaced: %t", name, reloaded, err, f.lists() != now)
		}
	}
	s := relyingparty.Apache(t, portalConfig(t, p, now))
	if got := s.Ask(keyPair(t, phone), tls.VersionTLS13); got.Admitted || !strings.Contains(got.Why, "revoked") {
		t.Errorf("Apache with the fetched lists: %s, want refused: revoked", got)
	}
}

// portalConfig is that of a server which trusts a portal's CA.
func portalConfig(t *testing.T, p *fixture.LivePortal, lists string) relyingparty.Config {
	t.Helper()
	c := newAuthority(t).config()
	c.Authorities, c.Lists = string(ca.PEM(p.Hierarchy.Root, p.Hierarchy.Issuing)), lists
	return c
}

// keyPair opens a file as delivered.
func keyPair(t *testing.T, d fixture.Delivered) *tls.Certificate {
	t.Helper()
	key, leaf, chain, err := pkcs12.DecodeChain(d.File, d.Password)
	testkit.NoError(t, err)
	pair := &tls.Certificate{PrivateKey: key, Leaf: leaf}
	for _, cert := range append([]*x509.Certificate{leaf}, chain...) {
		pair.Certificate = append(pair.Certificate, cert.Raw)
	}
	return pair
}

func foreignList(t *testing.T) []byte {
	t.Helper()
	block, _ := pem.Decode([]byte(newAuthority(t).list(1)))
	return block.Bytes
}

// TestC5_BehindNginx asks through nginx with the locations of the docs: what arrives is
// what was asked, with its slashes and escapes, and nothing else is passed on.
func TestC5_BehindNginx(t *testing.T) {
	var mu sync.Mutex
	var arrived string
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		arrived = r.RequestURI
	}))
	defer backend.Close()
	locations := strings.ReplaceAll(testkit.DocBlocks(t, "running.md", "nginx")[0], "http://127.0.0.1:8080", backend.URL)
	front := relyingparty.Forward(t, locations)
	request := []byte("\x30\x0a\xff\xff\xff\xff\xfb\xef\xbe\xff\xff\x01")
	text := base64.StdEncoding.EncodeToString(request)
	ask := func(path string) (status int, got string) {
		t.Helper()
		mu.Lock()
		arrived = ""
		mu.Unlock()
		resp := testkit.Must(http.Get(front + path))(t)
		defer resp.Body.Close()
		mu.Lock()
		defer mu.Unlock()
		return resp.StatusCode, arrived
	}
	for _, path := range []string{"/ocsp/" + text, "/ocsp//" + text, "/ocsp/" + strings.NewReplacer("/", "%2F", "+", "%2b").Replace(text)} {
		status, got := ask(path)
		raw, err := ocsp.DecodeGET(strings.TrimPrefix(got, "/ocsp"))
		if status != http.StatusOK || got != path || err != nil || !bytes.Equal(raw, request) {
			t.Errorf("%s: status %d, %q arrived: %x, %v", path, status, got, raw, err)
		}
	}
	for path, want := range map[string]int{
		"/ocsp": 200, "/crl/issuing.crl": 200, "/ca": 200, "/ca/root.cer": 200, "/scep?operation=GetCACaps": 200,
		"/": 404, "/login": 404, "/scepter": 404, "/cat": 404, "/ocspx": 404,
	} {
		if status, got := ask(path); status != want || (got == path) != (want == http.StatusOK) {
			t.Errorf("%s: status %d, %q arrived, want %d", path, status, got, want)
		}
	}
}
