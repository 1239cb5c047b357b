package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"certportal/internal/test/testkit"
)

// report is the part of Lighthouse's answer that the bars speak of.
type report struct {
	Categories map[string]struct {
		Score *float64 // nil when an audit of the category could not run
	}
	Audits map[string]struct {
		ErrorMessage string // why it could not run
		NumericValue float64
		Details      struct{ Items json.RawMessage } // a list in most audits, not in all
	}
}

// complete reports whether every audit ran. On a busy machine one sometimes cannot: a page
// that reloads itself may do so before its content was read.
func (r report) complete() bool {
	for _, category := range r.Categories {
		if category.Score == nil {
			return false
		}
	}
	return len(r.Categories) > 0
}

// score is that of a category, 0 when it has none.
func (r report) score(category string) float64 {
	if s := r.Categories[category].Score; s != nil {
		return *s
	}
	return 0
}

// visit is a page for Lighthouse, with the cookies of who is signed in.
type visit struct{ name, path, cookie string }

// TestLighthouse holds the pages that every employee passes against the bars.
func TestLighthouse(t *testing.T) {
	slow(t)
	need(t, "chromium", "node")
	d := startDemo(t)
	c := d.visitor()
	d.signIn(c, d.person("employee"))
	result := d.enrolBy(c, "Anna's phone")
	cookie := cookieHeader(t, c, d)
	holdAgainstBars(t, d, []visit{
		{"login", "/login", ""},
		{"home", "/", cookie},
		{"new", "/new", cookie},
		{"result", result, cookie},
	})
}

// TestLighthouseOfALife does the same with the pages that come later: a certificate
// that ends soon, a phone that is lost and one that is blocked, a new phone that is
// set up by a code from the helpdesk or from the desktop. Their weight is a test of package
// page, and axe reads them in each run.
func TestLighthouseOfALife(t *testing.T) {
	slow(t)
	if testkit.Times(t, 1) == 1 {
		t.Skip("takes minutes: scripts/test long")
	}
	need(t, "chromium", "node")
	d := startDemo(t)
	c := d.visitor()
	d.signIn(c, d.person("employee"))
	kept, gone := d.newPhone(c, "Anna's phone"), d.newPhone(c, "Anna's former phone")
	// Returning a phone does not sign its owner out.
	d.report(c, gone, "returned")
	d.awaitRevoked(t, gone.serial)
	if _, err := d.post(t.Context(), c, "/handoff", nil); err != nil {
		t.Fatal(err)
	}
	d.age(12 * 24 * time.Hour)
	cookie := cookieHeader(t, c, d)
	holdAgainstBars(t, d, []visit{
		{"renew", kept.page + "/renew", cookie},
		{"lost", kept.page + "/lost", cookie},
		{"blocked", gone.page + "/lost", cookie},
		{"pickup", "/pickup", cookie},
		{"handoff", "/handoff", cookie},
	})
}

// holdAgainstBars wants of each page the scores of a phone on slow 4G, few bytes on
// the wire and few requests. The score of performance is a time of this machine: only
// "scripts/test long" holds it against its bar, as the median of five.
func holdAgainstBars(t *testing.T, d *demo, visits []visit) {
	t.Helper()
	tool := browserTool(t, "lighthouse", "cli", "index.js")
	for _, v := range visits {
		t.Run(v.name, func(t *testing.T) {
			r := lighthouse(t, tool, d.https+v.path, v.cookie, 5)
			for _, category := range []string{"accessibility", "best-practices"} {
				if got := r.score(category); got < 1 {
					t.Errorf("%s %.2f, want 1", category, got)
				}
			}
			if got, most := r.Audits["total-byte-weight"].NumericValue, 20.0*1024; got > most {
				t.Errorf("%.0f bytes on the wire, want at most %.0f", got, most)
			}
			if got, most := r.Audits["cumulative-layout-shift"].NumericValue, 0.01; got > most {
				t.Errorf("layout shift %.3f, want at most %.3f", got, most)
			}
			var requests []json.RawMessage
			if err := json.Unmarshal(r.Audits["network-requests"].Details.Items, &requests); err != nil {
				t.Fatal(err)
			}
			if got, most := len(requests), 3; got > most {
				t.Errorf("%d requests, want at most %d:\n%s", got, most, requests)
			}
			t.Logf("%.0f bytes, %d requests, LCP %.0f ms, TBT %.0f ms, performance %.2f",
				r.Audits["total-byte-weight"].NumericValue, len(requests), r.Audits["largest-contentful-paint"].NumericValue,
				r.Audits["total-blocking-time"].NumericValue, r.score("performance"))
			if testkit.Times(t, 1) > 1 {
				performanceOfFive(t, tool, d.https+v.path, v.cookie)
			}
		})
	}
}

func performanceOfFive(t *testing.T, tool, address, cookie string) {
	t.Helper()
	var scores []float64
	for range 5 {
		scores = append(scores, lighthouse(t, tool, address, cookie, 3).score("performance"))
	}
	slices.Sort(scores)
	if got, want := scores[2], 0.98; got < want {
		t.Errorf("performance %v, median %.2f, want %.2f", scores, got, want)
	}
}

func lighthouse(t *testing.T, tool, address, cookie string, tries int) report {
	t.Helper()
	headers, err := json.Marshal(map[string]string{"Cookie": cookie})
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "report.json")
	chrome, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", tool, address, "--quiet", "--output=json", "--output-path="+out,
		"--extra-headers="+string(headers), "--only-categories=performance,accessibility,best-practices",
		"--skip-audits=charset", // reads the page again, which the page of a hand-off has replaced by then
		"--chrome-flags=--headless=new --no-sandbox --disable-dev-shm-usage --disable-gpu --disable-quic --ignore-certificate-errors --no-first-run --disable-background-networking --disable-component-update --disable-sync")
	cmd.Env = append(os.Environ(), "CHROME_PATH="+chrome)
	text, err := cmd.CombinedOutput()
	if err != nil && tries > 1 {
		// On a busy machine the browser sometimes does not record the first paint.
		t.Logf("lighthouse: %v\n%s", err, text)
		return lighthouse(t, tool, address, cookie, tries-1)
	}
	if err != nil {
		t.Fatalf("lighthouse: %v\n%s", err, text)
	}
	content, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(content, &r); err != nil {
		t.Fatal(err)
	}
	if !r.complete() && tries > 1 {
		for name, audit := range r.Audits {
			if audit.ErrorMessage != "" {
				t.Logf("lighthouse: %s: %s", name, audit.ErrorMessage)
			}
		}
		return lighthouse(t, tool, address, cookie, tries-1)
	}
	return r
}

func cookieHeader(t *testing.T, c *http.Client, d *demo) string {
	t.Helper()
	u, err := url.Parse(d.https)
	if err != nil {
		t.Fatal(err)
	}
	header := ""
	for _, cookie := range c.Jar.Cookies(u) {
		header += cookie.Name + "=" + cookie.Value + "; "
	}
	return header
}

// formToken finds the idempotency token in the form of /new.
var formToken = regexp.MustCompile(`name="request" value="([^"]+)"`)

// enrolBy asks for a certificate without a browser and gives the path of the
// result page.
func (d *demo) enrolBy(c *http.Client, name string) string {
	d.t.Helper()
	_, page, err := d.get(d.t.Context(), c, "/new")
	if err != nil {
		d.t.Fatal(err)
	}
	token := formToken.FindStringSubmatch(page)
	if token == nil {
		d.t.Fatalf("no token in the form:\n%s", page)
	}
	resp, err := d.post(d.t.Context(), c, "/new", url.Values{"name": {name}, "platform": {"android"}, "request": {token[1]}})
	if err != nil {
		d.t.Fatal(err)
	}
	if got, want := resp.StatusCode, http.StatusSeeOther; got != want {
		d.t.Fatalf("POST /new: status %d, want %d", got, want)
	}
	return resp.Header.Get("Location")
}
