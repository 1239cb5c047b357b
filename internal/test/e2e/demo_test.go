package e2e

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(daemon.Main(m, &binary)) }

// need skips aloud when a counterpart is absent; on CI nothing may be.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", p)
		}
		t.Skipf("%s is not installed", p)
	}
}

// slow skips what takes long in a quick run.
func slow(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("left out of a quick run")
	}
}

// demo is a running program with its sample people.
type demo struct {
	t     testing.TB
	dir   string
	https string
	http  string
	cmd   *exec.Cmd
	args  []string
	log   *os.File
	ready string // in the line that says all is up; default the end of the table of people

	program string // default binary
}

// startDemo runs the demo on free ports and waits until it says it is ready.
func startDemo(t *testing.T, env ...string) *demo {
	t.Helper()
	d := &demo{t: t, dir: t.TempDir()}
	d.args = []string{"demo", "--listen", "127.0.0.1:0", "--data", d.dir}
	d.start(env...)
	t.Cleanup(func() { d.stop(syscall.SIGTERM) })
	return d
}

func (d *demo) start(env ...string) {
	d.t.Helper()
	d.cmd = exec.Command(cmp.Or(d.program, binary), d.args...)
	// The stories ask for more certificates than a person may in an hour.
	d.cmd.Env = append(append(testkit.Environ(), "CERTPORTAL_CERTIFICATES_PER_HOUR=100000"), env...)
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if d.log, err = os.OpenFile(filepath.Join(d.dir, "stderr.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.cmd.Stderr = d.log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.readAddresses(out)
}

// readAddresses takes both addresses from what the program prints, up to the end
// of the table of people, and lets the rest run on.
func (d *demo) readAddresses(out io.Reader) {
	d.t.Helper()
	address := regexp.MustCompile(`https?://[0-9.:]+`)
	ready := d.ready
	if ready == "" {
		ready = "people.json"
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		switch found := address.FindString(lines.Text()); {
		case strings.HasPrefix(found, "https:"):
			d.https = found
		case found != "":
			d.http = found
		case strings.Contains(lines.Text(), ready):
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return
		}
	}
	d.t.Fatalf("the demo ended before it was ready:\n%s", d.stderr())
}

func (d *demo) stderr() string {
	text, err := os.ReadFile(filepath.Join(d.dir, "stderr.log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// stop sends a signal and waits for the end.
func (d *demo) stop(signal os.Signal) {
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Signal(signal)
	_ = d.cmd.Wait()
	_ = d.log.Close()
	d.cmd = nil
}

type person struct{ Role, Username, Password string }

func (d *demo) person(role string) person {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.dir, "people.json"))
	if err != nil {
		d.t.Fatal(err)
	}
	var people []person
	if err := json.Unmarshal(text, &people); err != nil {
		d.t.Fatal(err)
	}
	for _, p := range people {
		if p.Role == role {
			return p
		}
	}
	d.t.Fatalf("no %s among the sample people", role)
	return person{}
}

// roots are the portal's root, fetched as a phone would, over plain http.
func (d *demo) roots() *x509.CertPool {
	d.t.Helper()
	resp, err := http.Get(d.http + "/ca/root.pem")
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	pem, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		d.t.Fatalf("root.pem holds no certificate: %q", pem)
	}
	return pool
}

// visitor is an HTTP client with a cookie jar that trusts the portal's root and
// shows redirects as they are.
func (d *demo) visitor() *http.Client {
	d.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	return &http.Client{
		Jar: jar, Timeout: 30 * time.Second,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: d.roots()}, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// signIn signs a person in and fails the test if that does not work.
func (d *demo) signIn(c *http.Client, p person) {
	d.t.Helper()
	resp, err := d.post(d.t.Context(), c, "/login", url.Values{"username": {p.Username}, "password": {p.Password}})
	if err != nil {
		d.t.Fatal(err)
	}
	if got, want := resp.StatusCode, http.StatusSeeOther; got != want {
		d.t.Fatalf("signing in as %s: status %d, want %d", p.Username, got, want)
	}
}

// post sends a form the way a same-origin page does; the body is read and closed.
func (d *demo) post(ctx context.Context, c *http.Client, path string, form url.Values) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.https+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", d.https)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp, err
}

// get fetches a page.
func (d *demo) get(ctx context.Context, c *http.Client, path string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.https+path, nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("User-Agent", androidUA)
	return do(c, req)
}

// do sends a request and gives status and body.
func do(c *http.Client, req *http.Request) (int, string, error) {
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}
