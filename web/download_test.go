package web_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/web"
)

// file is an enrolled device with its file.
type file struct {
	*testPortal
	owner          *browser
	device         string
	href, password string
	anonymous      *browser // has the address, and no cookie
}

func newFile(t *testing.T, platform string, change ...func(*web.Config)) file {
	t.Helper()
	p := newPortal(t, change...)
	f := file{testPortal: p, owner: p.signedIn("anna", iPhone), anonymous: p.browser(linux)}
	f.device = f.owner.enrol("Annas Telefon", platform)
	f.href, f.password = f.owner.download(f.device)
	return f
}

// readsLeft is how often the file can still be read whole.
func (f file) readsLeft() int {
	f.t.Helper()
	pickup, err := f.registrar.Pickup(f.t.Context(), enroll.Token(strings.Split(f.href, "/")[2]))
	if err != nil {
		f.t.Fatal(err)
	}
	return pickup.ReadsLeft
}

// sweep lets the time of the file pass and has the portal clear up.
func (f file) sweep() {
	f.t.Helper()
	f.clock.Advance(enroll.PickupLife + time.Minute)
	if err := f.registrar.Sweep(f.t.Context(), f.registrar.Stale()); err != nil {
		f.t.Fatal(err)
	}
}

// certificate is that of the device, as the store knows it.
func (f file) certificate() portal.Certificate {
	f.t.Helper()
	id := portal.DeviceID(strings.TrimPrefix(f.device, "/devices/"))
	device, err := f.registrar.Device(f.t.Context(), "id-of-anna", id)
	if err != nil {
		f.t.Fatal(err)
	}
	return device.Certificate
}

func TestA16_FileHeaders(t *testing.T) {
	t.Parallel()
	f := newFile(t, "android")
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		got := f.anonymous.do(method, f.href, nil)
		want := map[string]string{
			"Content-Type": "application/x-pkcs12", "Cache-Control": "no-store",
			"X-Content-Type-Options": "nosniff", "Content-Encoding": "",
			"Content-Disposition": `attachment; filename="Example-Annas-Telefon-1.p12"; filename*=UTF-8''Example-Annas%20Telefon-1.p12`,
		}
		for name, value := range want {
			if got.header.Get(name) != value {
				t.Errorf("%s %s: got %q, want %q", method, name, got.header.Get(name), value)
			}
		}
		if got.status != 200 || len(got.header.Values("Set-Cookie")) != 0 {
			t.Errorf("%s: got %d, cookies %q", method, got.status, got.header.Values("Set-Cookie"))
		}
	}
}

func TestA16_FiveReads(t *testing.T) {
	t.Parallel()
	f := newFile(t, "ios")
	var first []byte
	for i := range enroll.MaxReads {
		got := f.anonymous.get(f.href)
		if got.status != 200 {
			t.Fatalf("read %d: got %d, want 200", i+1, got.status)
		}
		if first == nil {
			first = got.body
		}
		if !bytes.Equal(got.body, first) {
			t.Errorf("read %d gives another file", i+1)
		}
	}
	got := f.anonymous.get(f.href)
	if got.status != 410 || bytes.Contains(got.body, []byte("Annas Telefon")) {
		t.Errorf("sixth read: got %d, want 410 without the name: %s", got.status, got.text())
	}
	mine := f.owner.get(f.href)
	if mine.status != 410 || !strings.Contains(mine.text(), "Annas Telefon") {
		t.Errorf("sixth read by the owner: got %d, want 410 with the name: %s", mine.status, mine.text())
	}
	page := f.owner.get(f.device + "/install")
	if page.id("download") != nil || page.id("install-password") == nil {
		t.Error("after five reads the page must show the password, and no link")
	}
	if got := f.entries(audit.PickupRead); got != enroll.MaxReads {
		t.Errorf("ledger: got %d reads, want %d", got, enroll.MaxReads)
	}
}

func TestFileRunsOut(t *testing.T) {
	t.Parallel()
	f := newFile(t, "ios")
	f.clock.Advance(enroll.PickupLife)
	if got := f.anonymous.get(f.href); got.status != 410 {
		t.Errorf("after 15 minutes: got %d, want 410", got.status)
	}
	// The session is idle by then; its person signs in again.
	f.clock.Advance(-time.Minute)
	f.owner.get("/")
	f.clock.Advance(2 * time.Minute)
	if page := f.owner.get(f.device + "/install"); page.id("install-password") == nil {
		t.Errorf("after 16 minutes: the password is gone: %d %s", page.status, page.text())
	}
	f.clock.Advance(14 * time.Minute)
	if page := f.owner.get(f.device + "/install"); page.status != 200 || page.id("install-password") != nil {
		t.Errorf("after 30 minutes: got %d, or the password still shows", page.status)
	}
}

// TestUncounted holds what does not use the link up.
func TestUncounted(t *testing.T) {
	t.Parallel()
	f := newFile(t, "ios")
	whole := f.anonymous.get(f.href)
	etag, size := whole.header.Get("ETag"), len(whole.body)
	tests := []struct {
		name    string
		method  string
		headers []string
		status  int
	}{
		{"head", http.MethodHead, nil, 200},
		{"prefetch", http.MethodGet, []string{"Sec-Purpose", "prefetch;prerender"}, 503},
		{"prefetch of old", http.MethodGet, []string{"Purpose", "prefetch"}, 503},
		{"prefetch of Firefox", http.MethodGet, []string{"X-Moz", "prefetch"}, 503},
		{"preview of Safari", http.MethodGet, []string{"X-Purpose", "preview"}, 503},
		{"first bytes", http.MethodGet, []string{"Range", "bytes=0-9"}, 206},
		{"rest", http.MethodGet, []string{"Range", "bytes=10-", "If-Range", etag}, 206},
		{"behind the end", http.MethodGet, []string{"Range", "bytes=" + strconv.Itoa(size) + "-"}, 416},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := f.anonymous.do(tt.method, f.href, nil, tt.headers...)
			if got.status != tt.status || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("got %d, %q, want %d, no-store", got.status, got.header.Get("Cache-Control"), tt.status)
			}
			if tt.status == 503 && len(got.body) != 0 {
				t.Error("something was delivered")
			}
		})
	}
	if got := f.readsLeft(); got != enroll.MaxReads-1 {
		t.Errorf("got %d reads left, want the first alone counted", got)
	}
	// Pieces are recorded, though they do not count.
	if got := f.entries(audit.PickupRead); got != 3 {
		t.Errorf("ledger: got %d reads, want the whole one and two pieces", got)
	}
	first := f.anonymous.get(f.href, "Range", "bytes=0-99").body
	rest := f.anonymous.get(f.href, "Range", "bytes=100-").body
	if !bytes.Equal(append(first, rest...), whole.body) {
		t.Error("two ranges do not make the file")
	}
}

// TestCounted holds that no spelling of the whole file is free.
func TestCounted(t *testing.T) {
	t.Parallel()
	f := newFile(t, "ios")
	for _, headers := range [][]string{
		{"Range", "bytes=0-"}, {"Range", "bytes=0-0,1-"}, {"Range", "bytes=1-", "If-Range", `"other"`},
		{"Range", "bytes=-999999"}, {"If-None-Match", "*"},
	} {
		if got := f.anonymous.get(f.href, headers...); got.status != 200 {
			t.Errorf("%q: got %d, want 200", headers, got.status)
		}
	}
	if got := f.anonymous.get(f.href); got.status != 410 {
		t.Errorf("after five: got %d, want 410", got.status)
	}
}

func TestConcurrentReads(t *testing.T) {
	t.Parallel()
	f := newFile(t, "ios")
	status := make([]int, 20)
	var wg sync.WaitGroup
	for i := range status {
		wg.Go(func() { status[i] = f.anonymous.get(f.href).status })
	}
	wg.Wait()
	count := map[int]int{}
	for _, s := range status {
		count[s]++
	}
	if count[200] != enroll.MaxReads || count[410] != len(status)-enroll.MaxReads {
		t.Errorf("got %v, want %d files and the rest 410", count, enroll.MaxReads)
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	f := newFile(t, "android")
	page := f.owner.get(f.device + "/install")
	if href := attr(page.id("download"), "href"); !strings.HasSuffix(href, "?format=legacy") {
		t.Errorf("Android of unknown version: got %q, want the older file", href)
	}
	modern := f.owner.get(f.device+"/install", "User-Agent", android, "Sec-CH-UA-Platform-Version", `"15.0.0"`)
	if href := attr(modern.id("download"), "href"); !strings.HasSuffix(href, "?format=modern") {
		t.Errorf("Android 15: got %q, want the newer file", href)
	}
	plain, _, _ := strings.Cut(f.href, "?")
	for _, format := range []string{"legacy", "modern"} {
		got := f.anonymous.get(plain + "?format=" + format)
		if _, _, _, err := pkcs12.DecodeChain(got.body, f.password); err != nil {
			t.Errorf("%s: %v", format, err)
		}
	}
	if got := f.anonymous.get(plain + "?format=p12"); got.status != 400 {
		t.Errorf("unknown format: got %d, want 400", got.status)
	}
	if got := f.anonymous.get(strings.TrimSuffix(plain, ".p12") + ".exe"); got.status != 404 {
		t.Errorf("other ending: got %d, want 404", got.status)
	}
	if got := f.anonymous.get("/d/" + strings.Repeat("A", 43) + "/x.p12"); got.status != 404 {
		t.Errorf("unknown token: got %d, want 404", got.status)
	}
	if got := f.owner.get(f.device+"/install?p=linux", "User-Agent", linux); attr(got.id("download"), "href") == "" ||
		!strings.HasSuffix(attr(got.id("download"), "href"), "modern") {
		t.Error("steps for Linux offer the older file")
	}
}

// The steps are those of the phone's maker, which Chrome names on request only.
func TestStepsOfTheMaker(t *testing.T) {
	t.Parallel()
	f := newFile(t, "android")
	const path = "Install from phone storage. Choose VPN & app user certificate"
	for _, tt := range []struct {
		name, agent, model, query string
		want                      bool
	}{
		{"Pixel", android, `"Pixel 9"`, "", false},
		{"Galaxy in Chrome", android, `"SM-S911B"`, "", true},
		{"no model", android, "", "", false},
		{"Samsung Internet", "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36", "", "", true},
		{"steps for another system", android, `"SM-S911B"`, "?p=linux", false},
		{"not a phone", linux, `"SM-S911B"`, "", false},
		{"hostile", android, `"<SM-"`, "", false},
	} {
		got := f.owner.get(f.device+"/install"+tt.query, "User-Agent", tt.agent, "Sec-CH-UA-Model", tt.model)
		if got.status != 200 || strings.Contains(got.text(), path) != tt.want {
			t.Errorf("%s: got %d, Samsung's path %t, want %t", tt.name, got.status, !tt.want, tt.want)
		}
		if ask := got.header.Get("Accept-CH"); !strings.Contains(ask, "Sec-CH-UA-Model") {
			t.Errorf("%s: the browser is asked for %q", tt.name, ask)
		}
	}
}

// TestA16_NoSecretsKept greps everything the portal wrote for what must not be
// there: token, install password, cookie, password, query.
func TestA16_NoSecretsKept(t *testing.T) {
	t.Parallel()
	f := newFile(t, "ios")
	f.anonymous.get(f.href)
	f.anonymous.get(strings.Replace(f.href, ".p12", "", 1)) // an address that is nearly right
	token := strings.Split(f.href, "/")[2]
	f.anonymous.get("/d/" + token)
	f.owner.get("/help?secret=in-the-query")
	f.owner.post("/new?secret=in-the-query")
	secrets := map[string]string{
		"token": token, "install password": f.password, "cookie": f.owner.cookie(sessionCookie),
		"password": password, "query": "in-the-query",
	}
	places := map[string][]byte{"log": []byte(f.log.String())}
	files, err := filepath.Glob(f.file + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("got files %v, %v", files, err)
	}
	for _, name := range files {
		if places[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	for place, content := range places {
		for what, secret := range secrets {
			if secret == "" || bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s stands in %s (or is empty)", what, place)
			}
		}
	}
	if !strings.Contains(f.log.String(), "route=/d/{token}/{file}") {
		t.Error("the log does not name the route")
	}
}
