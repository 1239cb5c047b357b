package web_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/html"

	"certportal/internal/audit"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/web"
)

// TestA9_PreviewsChangeNothing fetches every address of both pages repeatedly, as a
// link preview: nothing is used up, nothing changes, and no name is shown.
func TestA9_PreviewsChangeNothing(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	desktop := p.signedIn("anna", linux)
	s := desktop.offer()
	before := p.head()
	preview := p.browser("WhatsApp/2.23.20.0 A")
	for range 15 {
		for _, path := range []string{"/go", s.path, s.path + "?lang=de", strings.ToLower(s.path), "/go/" + s.code} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				got := preview.do(method, path, nil)
				if got.status != 200 || len(got.header.Values("Set-Cookie")) > 0 && !strings.Contains(path, "lang") {
					t.Fatalf("%s %s: got %d, cookies %q", method, path, got.status, got.header.Values("Set-Cookie"))
				}
				for _, personal := range []string{"Anna", "Muster", "anna", "example.com"} {
					if bytes.Contains(got.body, []byte(personal)) {
						t.Fatalf("%s %s names %q", method, path, personal)
					}
				}
			}
		}
	}
	if got := p.head(); got != before {
		t.Errorf("got %d ledger entries, want %d", got, before)
	}
	if got := p.browser(iPhone).post(s.path, "number", s.number); got.location() != "/new" {
		t.Errorf("the code after the previews: got %d to %q", got.status, got.location())
	}
}

func TestA9_WrongNumberBurnsTheCode(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	desktop, phone := p.signedIn("anna", linux), p.browser(iPhone)
	s := desktop.offer()
	got := phone.post(s.path, "number", s.wrong())
	if got.status != 403 || !strings.Contains(got.text(), "That was not the number") || phone.cookie("__Host-certportal") != "" {
		t.Errorf("wrong number: got %d: %s", got.status, got.text())
	}
	if !strings.Contains(got.text(), "Make a new one on the computer") {
		t.Errorf("the page names no next step: %s", got.text())
	}
	if got := phone.post(s.path, "number", s.number); got.status != 410 || phone.cookie("__Host-certportal") != "" {
		t.Errorf("right number after that: got %d", got.status)
	}
	if got := desktop.get("/handoff"); !strings.Contains(got.text(), "A wrong number was typed") || got.header.Get("Refresh") != "" {
		t.Errorf("desktop: %s", got.text())
	}
	if p.entries(audit.HandoffBurnt) != 1 || p.entries(audit.HandoffRedeemed) != 0 {
		t.Error("ledger: want one hand-off burnt and none redeemed")
	}
}

// TestA9_PhoneHasNoNumber: the phone's page is the same for every number.
func TestA9_PhoneHasNoNumber(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	desktop, phone := p.signedIn("anna", linux), p.browser(iPhone)
	pages, numbers := map[string]bool{}, map[string]bool{}
	for range 8 {
		s := desktop.offer()
		got := phone.get(s.path)
		body := strings.ReplaceAll(string(got.body), strings.TrimPrefix(s.path, "/go/"), "CODE")
		pages[body], numbers[s.number] = true, true
	}
	if len(pages) != 1 || len(numbers) < 2 {
		t.Errorf("%d pages for %d numbers, want one", len(pages), len(numbers))
	}
}

// TestA9_AllNumbersAtOnce sends many numbers at the same moment, the right one first:
// one of them counts.
func TestA9_AllNumbersAtOnce(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	s := p.signedIn("anna", linux).offer()
	results := make(chan answer, 12)
	for i := range cap(results) {
		number := s.number
		if i > 0 {
			number = fmt.Sprintf("%02d", i)
		}
		go func() {
			got, err := p.browser(iPhone).try(http.MethodPost, s.path, strings.NewReader("number="+number),
				"Content-Type", "application/x-www-form-urlencoded", "Origin", p.https.URL)
			if err != nil {
				t.Error(err)
			}
			results <- got
		}()
	}
	in, out := 0, 0
	for range cap(results) {
		switch got := <-results; got.status {
		case 303:
			in++
		case 403:
			out++
		case 410:
		default:
			t.Errorf("got %d: %s", got.status, got.text())
		}
	}
	if in+out != 1 || p.entries(audit.HandoffRedeemed) != in || p.entries(audit.HandoffBurnt) != out {
		t.Errorf("let in %d, turned away %d, want one of the two", in, out)
	}
}

// TestA9_DeadCodesLookAlike: who guesses learns nothing about codes that were.
func TestA9_DeadCodesLookAlike(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	desktop, phone := p.signedIn("anna", linux), p.browser(iPhone)
	dead := map[string]string{"unknown": "/go/22222222", "malformed": "/go/x"}
	redeemed := desktop.offer()
	phone.post(redeemed.path, "number", redeemed.number)
	burnt := desktop.offer()
	phone.post(burnt.path, "number", burnt.wrong())
	replaced := desktop.offer()
	expired := desktop.offer()
	p.clock.Advance(signin.HandoffLife)
	desktop.get("/")
	if got := desktop.get("/handoff"); !strings.Contains(got.text(), "This code has run out") || got.header.Get("Refresh") != "" {
		t.Errorf("desktop after ten minutes: %s", got.text())
	}
	gone := p.signedIn("ben", linux)
	signedOut := gone.offer()
	gone.post("/logout")
	for name, s := range map[string]shown{
		"redeemed": redeemed, "burnt": burnt, "replaced": replaced, "expired": expired, "signed out": signedOut,
	} {
		dead[name] = s.path
	}
	anonymous := p.browser(android)
	want := anonymous.get("/go/33333333")
	for name, path := range dead {
		for _, got := range []answer{anonymous.get(path), anonymous.post(path, "number", "47")} {
			if got.status != 410 || got.text() != want.text() {
				t.Errorf("%s: got %d: %s", name, got.status, got.text())
			}
		}
	}
}

// TestA9_LimitedSession walks all routes: what asks for a session is closed to a
// phone, but for the few pages it needs.
func TestA9_LimitedSession(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	desktop := p.signedIn("anna", linux)
	other := desktop.enrol("Laptop", "linux")
	phone := p.newHandoffPhone(desktop)
	own := phone.enrol("Phone", "ios")
	open := []route{{"GET", "/new"}, {"POST", "/new"}, {"GET", "/new/platform"}, {"POST", "/logout"}, {"GET", "/new/key"}, {"POST", "/new/key"},
		{"GET", "/pickup"}, {"POST", "/pickup"}, {"GET", "/pickup/{code}"}} // as /new: lead to what the phone has
	closed := 0
	for _, device := range []string{own, other} {
		for _, r := range p.routes() {
			path := r.path(device)
			anonymous := p.browser(iPhone).do(r.method, path, nil)
			if !strings.HasPrefix(anonymous.location(), "/login") || slices.Contains(open, r) {
				continue
			}
			if device == own && r.pattern == "/devices/{id}/install" && r.method == "GET" {
				continue
			}
			if device == own && (strings.HasSuffix(r.pattern, "/trouble") || r.pattern == "/devices/{id}/finish") {
				continue // the phone says whether it works
			}
			if device == own && r.pattern == "/devices/{id}/collect" {
				continue // its own certificate, where another CA issued it later
			}
			if device == own && strings.HasPrefix(r.pattern, "/devices/{id}/certificate.") {
				continue // a certificate without its key, for those who brought theirs
			}
			closed++
			got := phone.do(r.method, path, nil, "Origin", p.https.URL)
			if got.status != 403 || !strings.Contains(got.text(), "This phone gets one certificate only") {
				t.Errorf("%s %s: got %d: %s", r.method, path, got.status, got.text())
			}
			for _, personal := range []string{"Laptop", other} {
				if bytes.Contains(got.body, []byte(personal)) {
					t.Errorf("%s %s: shows %q", r.method, path, personal)
				}
			}
		}
	}
	if closed < 12 {
		t.Errorf("got %d closed routes, want those of the devices and the hand-off", closed)
	}
	if got := phone.get(own + "/install"); got.status != 200 {
		t.Errorf("own steps: got %d", got.status)
	}
	if got := p.certificates("anna"); got[portal.Issued] != 2 {
		t.Errorf("certificates: got %v, want both issued", got)
	}
	if got := phone.get("/login"); got.status != 200 || got.id("password") == nil {
		t.Errorf("the sign-in page is closed to the phone: %d", got.status)
	}
	if got := phone.post("/login", "username", "anna", "password", password); got.status != 303 || phone.get("/").status != 200 {
		t.Errorf("signing in on the phone: got %d", got.status)
	}
}

// together lets requests go on only when all of them have read their session.
type together struct {
	web.Store
	all atomic.Pointer[sync.WaitGroup]
}

func (g *together) Session(ctx context.Context, id [32]byte, now time.Time) ([]byte, error) {
	data, err := g.Store.Session(ctx, id, now)
	if all := g.all.Load(); all != nil {
		all.Done()
		all.Wait()
	}
	return data, err
}

// TestA9_OneCertificate asks for a second one in every way there is.
func TestA9_OneCertificate(t *testing.T) {
	t.Parallel()
	sessions := &together{}
	p := newPortal(t, func(c *web.Config) {
		sessions.Store = c.Store
		c.Store = sessions
	})
	desktop := p.signedIn("anna", linux)
	phone := p.newHandoffPhone(desktop)
	results := make(chan answer, 8)
	all := &sync.WaitGroup{}
	all.Add(cap(results))
	sessions.all.Store(all)
	for i := range cap(results) {
		go func() {
			got, err := phone.try(http.MethodPost, "/new", strings.NewReader(fmt.Sprintf("name=Phone%d&platform=ios&request=form%d", i, i)),
				"Content-Type", "application/x-www-form-urlencoded", "Origin", p.https.URL)
			if err != nil {
				t.Error(err)
			}
			results <- got
		}()
	}
	places := map[string]bool{}
	for range cap(results) {
		got := <-results
		if got.status != 303 {
			t.Errorf("got %d: %s", got.status, got.text())
		}
		places[got.location()] = true
	}
	sessions.all.Store(nil)
	if got := p.certificates("anna"); len(places) != 1 || got[portal.Issued] != 1 {
		t.Fatalf("eight at once: got %v, certificates %v, want one", places, got)
	}
	var install string
	for install = range places {
		device := strings.TrimSuffix(install, "/install")
		if got := phone.post("/new", "name", "Second", "platform", "ios"); got.location() != install {
			t.Errorf("later: got %d to %q, want %s", got.status, got.location(), install)
		}
		// Removing an unknown phone on the desktop ends its access.
		desktop.post(device + "/remove")
	}
	if got := phone.post("/new", "name", "Second", "platform", "ios"); got.location() != install {
		t.Errorf("after removing: got %d to %q", got.status, got.location())
	}
	if got := phone.get(install); got.status != 404 {
		t.Errorf("steps after removing: got %d, want 404", got.status)
	}
	if got := p.certificates("anna"); got[portal.Issued] != 0 || p.entries(audit.CertificateIssued) != 1 {
		t.Errorf("certificates: got %v, want none left of the one issued", got)
	}
}

func TestA9_PhoneSessionIsShort(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	phone := p.newHandoffPhone(p.signedIn("anna", linux))
	p.clock.Advance(signin.HandoffSession - time.Minute)
	if got := phone.get("/new"); got.status != 200 {
		t.Errorf("after 14 minutes: got %d", got.status)
	}
	p.clock.Advance(time.Minute)
	if got := phone.get("/new"); got.status != 303 || !strings.HasPrefix(got.location(), "/login") {
		t.Errorf("after 15 minutes: got %d to %q", got.status, got.location())
	}
}

// TestA9_HandoffNeedsFreshSignIn leaves a desktop in use for longer than a quarter
// of an hour.
func TestA9_HandoffNeedsFreshSignIn(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	desktop := p.signedIn("anna", linux)
	p.clock.Advance(10 * time.Minute)
	desktop.offer()
	desktop.get("/")
	p.clock.Advance(5*time.Minute + time.Second)
	const again = "/login?next=%2Fhandoff"
	if got := desktop.post("/handoff"); got.status != 303 || got.location() != again {
		t.Fatalf("old session: got %d to %q, want the sign-in page", got.status, got.location())
	}
	if p.entries(audit.HandoffMade) != 1 {
		t.Error("a code was made")
	}
	form := desktop.get(again)
	if form.status != 200 || !strings.Contains(form.text(), "Sign in once more") || form.value("next") != "/handoff" {
		t.Errorf("sign-in page: got %d: %s", form.status, form.text())
	}
	if got := desktop.get("/login?next=%2Fnew"); got.location() != "/new" {
		t.Errorf("sign-in page on the way elsewhere: got %d to %q", got.status, got.location())
	}
	if got := desktop.post("/login", "username", "anna", "password", password, "next", "/handoff"); got.location() != "/handoff" {
		t.Fatalf("signing in again: got %d to %q", got.status, got.location())
	}
	if got := desktop.get("/handoff"); got.status != 200 || got.id("handoff-code") != nil {
		t.Errorf("a GET made a code: %d", got.status)
	}
	desktop.offer()
}

// TestA8_GuessesPause guesses codes until the network has to wait, right ones
// included.
func TestA8_GuessesPause(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	s := p.signedIn("anna", linux).offer()
	guesser := p.browser(android)
	for i := range signin.HandoffTries {
		if got := guesser.get(fmt.Sprintf("/go/22222%d%d%d", 2+i/64, 2+i/8%8, 2+i%8)); got.status != 410 {
			t.Fatalf("guess %d: got %d", i, got.status)
		}
	}
	for _, got := range []answer{guesser.get("/go/99999999"), guesser.get(s.path), guesser.post(s.path, "number", s.number)} {
		if got.status != 429 || !strings.Contains(got.text(), "Entering codes is paused") || got.header.Get("Retry-After") == "" {
			t.Errorf("after that: got %d: %s", got.status, got.text())
		}
	}
	// Signing in with a password is another matter.
	p.signedIn("ben", android)
	p.clock.Advance(signin.DefaultWindow)
	fresh := p.signedIn("anna", linux).offer()
	if got := guesser.get(fresh.path); got.status != 200 {
		t.Errorf("after the pause: got %d", got.status)
	}
}

// TestF7_HandoffWithoutDirectory: the code survives an outage, and people that the
// directory then refuses are not signed in.
func TestF7_HandoffWithoutDirectory(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	desktop, phone := p.signedIn("anna", linux), p.browser(iPhone)
	s := desktop.offer()
	p.directory.set(http.ErrServerClosed, nil)
	if got := phone.get(s.path); got.status != 200 {
		t.Errorf("the question needs no directory: got %d", got.status)
	}
	down := phone.post(s.path, "number", s.number)
	if down.status != 503 || down.value("number") != s.number {
		t.Errorf("directory down: got %d, again with %q", down.status, down.value("number"))
	}
	p.directory.set(nil, func(person *portal.Person) { person.Disabled = true })
	if got := phone.post(s.path, "number", s.number); got.status != 403 || phone.cookie("__Host-certportal") != "" {
		t.Errorf("switched off: got %d", got.status)
	}
	p.directory.set(nil, nil)
	if got := phone.post(s.path, "number", s.number); got.location() != "/new" {
		t.Errorf("after that: got %d to %q", got.status, got.location())
	}
}

// TestA16_CodesLeaveNoTrace looks for codes where they must not be.
func TestA16_CodesLeaveNoTrace(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	desktop := p.signedIn("anna", linux)
	var secrets []string
	for range 5 {
		s := desktop.offer()
		p.browser(iPhone).get(s.path)
		p.browser(iPhone).post("/go", "code", s.code)
		secrets = append(secrets, s.code, strings.TrimPrefix(s.path, "/go/"))
	}
	phone := p.newHandoffPhone(desktop)
	secrets = append(secrets, phone.cookie("__Host-certportal"), desktop.cookie("__Host-certportal"))
	places := map[string]string{"log": p.log.String()}
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(p.file + suffix)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		places["database"+suffix] = string(data)
	}
	for place, text := range places {
		for _, secret := range secrets {
			if strings.Contains(strings.ToUpper(text), strings.ToUpper(secret)) {
				t.Errorf("%s holds %s", place, secret)
			}
		}
	}
}

// TestA18_HostileNamesAcrossTheHandoff gives the person a name that wants to be
// more than a name.
func TestA18_HostileNamesAcrossTheHandoff(t *testing.T) {
	t.Parallel()
	names := map[string]string{
		`<script>alert(1)</script> <img src=x onerror=alert(1)>`: "<** <** s** o**",
		"\u202eanna\u2066 muster":                                "a** m**",
		"**Anna** {{.Org}}":                                      "*** {**",
		"李伟":                                                     "李**",
		"\u0301\u200b":                                           "**",
		strings.Repeat("x ", 300):                                "x** x** x** x**",
	}
	p := newPortal(t)
	i := 0
	for name, want := range names {
		login := fmt.Sprintf("eve%d", i)
		i++
		p.add(login, name, name)
		desktop, phone := p.signedIn(login, linux), p.browser(iPhone)
		s := desktop.offer()
		got := phone.get(s.path)
		if !strings.Contains(got.text(), "as "+want+" (Example)") {
			t.Errorf("%.20q: got %s, want %s", name, got.text(), want)
		}
		phone.post(s.path, "number", s.number)
		for _, page := range []answer{got, phone.get("/new"), phone.get("/"), desktop.get("/handoff")} {
			if n := page.node(func(n *html.Node) bool { return n.Data == "img" || n.Data == "script" && attr(n, "src") == "" }); n != nil {
				t.Errorf("%.20q became <%s>", name, n.Data)
			}
		}
	}
}
