package web_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/helpdesk"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/web"
)

// searchDirectory is the directory as the helpdesk uses it: moody, and searched.
type searchDirectory struct {
	*faultyDirectory
	people *directory.Builtin
}

func (s *searchDirectory) Search(ctx context.Context, query string, limit int) ([]portal.Person, bool, error) {
	return s.people.Search(ctx, query, limit)
}

func (s *searchDirectory) People(ctx context.Context, ids []portal.PersonID) ([]portal.Person, error) {
	return s.people.People(ctx, ids)
}

// newHelpdesk makes the helpdesk's work of a portal.
func (p *testPortal) newHelpdesk(signIn *signin.Service, change ...func(*helpdesk.Config)) *helpdesk.Service {
	p.t.Helper()
	c := helpdesk.Config{
		Directory: &searchDirectory{p.directory, p.people}, Store: p.db, Registrar: p.registrar, SignIn: signIn, Now: p.clock.Now, Mail: &p.codes,
	}
	for _, f := range change {
		f(&c)
	}
	d, err := helpdesk.New(c)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

// newCodePortal returns a portal whose codes may stand for passwords, or need approval.
func newCodePortal(t *testing.T, change ...func(*helpdesk.Config)) *testPortal {
	t.Helper()
	p := newPortal(t, func(c *web.Config) { c.CodeAlone, c.Mails = true, true })
	if len(change) > 0 {
		p.reopen(func(c *web.Config) { c.Helpdesk = p.newHelpdesk(c.SignIn, change...) })
	}
	return p
}

// reopen serves the same portal with other pages.
func (p *testPortal) reopen(change func(*web.Config)) {
	p.t.Helper()
	change(&p.config)
	server, err := web.New(p.config)
	if err != nil {
		p.t.Fatal(err)
	}
	p.server = server
	p.https.Config.Handler = server.Handler()
}

const annaPage = "/helpdesk/people/id-of-anna"

// shownCode reads the code off a page.
var shownCode = regexp.MustCompile(`[A-Z2-9]{4}-[A-Z2-9]{4}-[A-Z2-9]{4}`)

// mailedCodes keeps the codes that were mailed, as the people's mailboxes do.
type mailedCodes struct {
	mu    sync.Mutex
	codes map[portal.PersonID]string
	fails error
}

func (m *mailedCodes) Reaches(to portal.Person) bool { return to.Mail != "" }

func (m *mailedCodes) SendCode(_ context.Context, to portal.Person, code string, _ time.Time, _ bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fails != nil {
		return m.fails
	}
	if m.codes == nil {
		m.codes = make(map[portal.PersonID]string)
	}
	m.codes[to.ID] = code
	return nil
}

// of is the last code that a person got by mail.
func (m *mailedCodes) of(login string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.codes[portal.PersonID("id-of-"+login)]
}

// newMailPortal returns a portal whose codes are mailed: they stand for passwords.
func newMailPortal(t *testing.T) *testPortal {
	t.Helper()
	return newCodePortal(t, func(c *helpdesk.Config) { c.CodeAlone = true })
}

// mailCode makes a code that is mailed, and returns it with the path of its page.
func (b *browser) mailCode(p *testPortal, login, checked string) (code, path string) {
	b.t.Helper()
	made := b.post("/helpdesk/people/id-of-"+login+"/code", "checked", checked, "note", "", "purpose", "new", "device", "")
	if made.status != http.StatusSeeOther {
		b.t.Fatalf("making a code: got %d: %s", made.status, made.text())
	}
	if code = p.codes.of(login); !shownCode.MatchString(code) {
		b.t.Fatalf("mailed %q", code)
	}
	return code, made.location()
}

// giveCode makes a code for a person and returns it with the path of its page.
func (b *browser) giveCode(login, checked string, more ...string) (code, path string) {
	b.t.Helper()
	fields := append([]string{"checked", checked, "note", "", "purpose", "new", "device", ""}, more...)
	made := b.post("/helpdesk/people/id-of-"+login+"/code", fields...)
	if made.status != http.StatusSeeOther {
		b.t.Fatalf("making a code: got %d: %s", made.status, made.text())
	}
	shown := b.get(made.location())
	if code = nodeText(shown.id("pickup-code")); !shownCode.MatchString(code) {
		b.t.Fatalf("the page shows code %q: %s", code, shown.text())
	}
	return code, made.location()
}

func joined(code string) string { return strings.ReplaceAll(code, "-", "") }

// recorder keeps all that a browser was ever sent.
type recorder struct {
	next http.RoundTripper
	sent bytes.Buffer
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := r.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	_ = res.Header.Write(&r.sent)
	r.sent.Write(body)
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, err
}

// TestA4_HelpdeskNeverHoldsAnything plays the way of a code and looks through every
// response that the helpdesk got on it.
func TestA4_HelpdeskNeverHoldsAnything(t *testing.T) {
	t.Parallel()
	p := newCodePortal(t)
	hedi := p.signedIn("hedi", linux)
	sent := &recorder{next: hedi.client.Transport}
	hedi.client.Transport = sent
	anna := p.signedIn("anna", android)
	old := anna.enrol("Old phone", "android")
	oldHref, oldPassword := anna.download(old)

	found := hedi.get("/helpdesk?q=anna")
	if found.status != 303 || found.location() != annaPage {
		t.Fatalf("search: got %d to %q, want the page of the single hit", found.status, found.location())
	}
	personDetails := hedi.get(annaPage)
	for _, want := range []string{"anna@example.com", "Old phone", "account is active", "Certificate issued"} {
		if !strings.Contains(personDetails.text(), want) {
			t.Errorf("the dossier does not say %q: %s", want, personDetails.text())
		}
	}
	code, path := hedi.giveCode("anna", "called-back")
	slip := hedi.get(path + "/slip")
	if slip.status != 200 || !strings.Contains(slip.text(), code) || slip.id("pickup-qr") == nil {
		t.Errorf("slip: got %d: %s", slip.status, slip.text())
	}
	address := "/pickup/" + joined(code)
	if got := hedi.get(address); got.status != http.StatusNotFound {
		t.Errorf("helpdesk at the pickup address: got %d", got.status)
	}
	if got := hedi.post("/pickup", "code", code); got.status != http.StatusUnprocessableEntity {
		t.Errorf("helpdesk with the code: got %d", got.status)
	}
	for range 2 { // a GET changes nothing
		if got := anna.get(address); got.status != 200 || got.value("code") != code {
			t.Errorf("employee at the pickup address: got %d: %s", got.status, got.text())
		}
	}
	if got := anna.post("/pickup", "code", strings.ToLower(code)); got.status != 303 || got.location() != "/new" {
		t.Fatalf("employee with the code: got %d, %s", got.status, got.location())
	}
	device := anna.enrol("New phone", "android")
	href, installPassword := anna.download(device)
	file := anna.get(href)
	for _, again := range []answer{anna.get(address), anna.post("/pickup", "code", code)} {
		if again.status != http.StatusGone || !strings.Contains(again.text(), "already used") {
			t.Errorf("second time: got %d: %s", again.status, again.text())
		}
	}
	for _, elsewhere := range []string{device, device + "/install", old + "/install", address, annaPage, path, path + "/slip"} {
		hedi.get(elsewhere)
	}
	hedi.post(device+"/install", "request", "abc")

	if len(file.body) < 1000 || installPassword == "" {
		t.Fatal("there was nothing to look for")
	}
	for what, secret := range map[string][]byte{
		"the file": file.body[:64], "its address": []byte(strings.Split(href, "/")[2]), "install password": []byte(installPassword),
		"the old file's address": []byte(strings.Split(oldHref, "/")[2]), "old install password": []byte(oldPassword),
		"a key": []byte("PRIVATE KEY"), "a PKCS #12 file": []byte("x-pkcs12"), "a profile": []byte("aspen"),
		"the employee's session": []byte(anna.cookie(sessionCookie)), "the work password": []byte(password),
	} {
		if bytes.Contains(sent.sent.Bytes(), secret) {
			t.Errorf("the helpdesk was sent %s", what)
		}
	}
	// The database in its file and beside it, and the log, hold no code either.
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(p.file + suffix)
		if err != nil && suffix == "" {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(code)) || bytes.Contains(data, []byte(joined(code))) {
			t.Errorf("the database%s holds the code", suffix)
		}
	}
	if log := p.log.String(); strings.Contains(log, code) || strings.Contains(log, joined(code)) {
		t.Error("the log holds the code")
	}
	for action, want := range map[audit.Action]int{
		audit.InvitationMade: 1, audit.InvitationRedeemed: 1, audit.InvitationRefused: 5,
	} {
		if got := p.entries(action); got != want {
			t.Errorf("%s: %d entries, want %d", action, got, want)
		}
	}
}

// Only the page that made it shows a code, and not for long.
func TestCodeIsHiddenForGood(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(p *testPortal, b *browser){
		"search":  func(_ *testPortal, b *browser) { b.get("/helpdesk") },
		"dossier": func(_ *testPortal, b *browser) { b.get(annaPage) },
		"form":    func(_ *testPortal, b *browser) { b.get(annaPage + "/code") },
		"time": func(p *testPortal, _ *browser) {
			p.clock.Advance(9 * time.Minute)
			p.clock.Advance(time.Minute + time.Second)
		},
		"newer code":  func(p *testPortal, _ *browser) { p.signedIn("hedi", linux).giveCode("anna", "video") },
		"another one": func(_ *testPortal, b *browser) { b.giveCode("ben", "video") },
	} {
		t.Run(name, func(t *testing.T) {
			p := newCodePortal(t)
			b := p.signedIn("hedi", linux)
			code, path := b.giveCode("anna", "video")
			if got := b.get(path); !strings.Contains(got.text(), code) {
				t.Error("a reload hides the code")
			}
			leave(p, b)
			if name == "time" { // the sign-in is over ten minutes old by then
				b.post("/login", "username", "hedi", "password", password)
			}
			got := b.get(path)
			if got.status != 200 || strings.Contains(got.text(), code) || !strings.Contains(got.text(), "The code is hidden") {
				t.Errorf("got %d: %s", got.status, got.text())
			}
			if got := b.get(path + "/slip"); got.status != 303 || got.location() != path {
				t.Errorf("slip: got %d", got.status)
			}
		})
	}
}

func TestGiveCodeForm(t *testing.T) {
	t.Parallel()
	p := newCodePortal(t)
	hedi, anna := p.signedIn("hedi", linux), p.signedIn("anna", android)
	device := strings.TrimPrefix(anna.enrol("Anna's Galaxy", "android"), "/devices/")
	form := annaPage + "/code"
	for name, fields := range map[string][]string{
		"how was it checked": {"checked", "", "note", "", "purpose", "new", "device", ""},
		"in which other way": {"checked", "other", "note", "", "purpose", "new", "device", ""},
		"what is lost":       {"checked", "video", "note", "", "purpose", "lost", "device", ""},
		"what did not work":  {"checked", "video", "note", "", "purpose", "broken", "device", ""},
		"what for":           {"checked", "video", "note", "", "purpose", "fun", "device", ""},
	} {
		got := hedi.post(form, fields...)
		if got.status != 422 || got.id("summary") == nil {
			t.Errorf("%s: got %d: %s", name, got.status, got.text())
		}
	}
	if got := hedi.post(form, "checked", "video", "purpose", "new", "upn", "x"); got.status != 400 {
		t.Errorf("a field no form has: got %d", got.status)
	}
	for _, path := range []string{"/helpdesk/people/none", "/helpdesk/people/" + strings.Repeat("x", 300), "/helpdesk/people/%00", "/helpdesk/people/none/code"} {
		if got := hedi.get(path); got.status != 404 {
			t.Errorf("%s: got %d", path, got.status)
		}
	}
	made := hedi.post(form, "checked", "video", "note", "", "purpose", "lost", "device", device)
	if got := hedi.get(made.location()); !strings.Contains(got.text(), "Anna's Galaxy is blocked.") || !strings.Contains(got.text(), "a…@example.com") {
		t.Errorf("got %d: %s", got.status, got.text())
	}
	if n := p.certificates("anna")[portal.Revoked]; n != 1 {
		t.Errorf("%d blocked, want 1", n)
	}
}

// TestA4_Denied sends the requests of the helpdesk as people without the right.
func TestA4_Denied(t *testing.T) {
	t.Parallel()
	p := newCodePortal(t, func(c *helpdesk.Config) { c.SecondApprover = true })
	p.add("hank", "Hank Help", "Hank", portal.Helpdesk)
	hedi, hank, anna := p.signedIn("hedi", linux), p.signedIn("hank", linux), p.signedIn("anna", linux)
	if got := hedi.post("/helpdesk/people/id-of-hedi/code", "checked", "in-person", "purpose", "new"); got.status != 403 {
		t.Errorf("code for oneself: got %d", got.status)
	}
	if got := hedi.get("/helpdesk/people/id-of-hedi/code"); got.status != 403 {
		t.Errorf("form for oneself: got %d", got.status)
	}
	if got := hedi.post("/helpdesk/people/id-of-hank/code", "checked", "in-person", "purpose", "new"); got.status != 403 {
		t.Errorf("code for staff: got %d", got.status)
	}
	code, path := hedi.mailCode(p, "anna", "called-back")
	approval := "/helpdesk/approvals/" + path[strings.LastIndexByte(path, '/')+1:]
	if got := hedi.post(approval); got.status != 403 {
		t.Errorf("same person approves: got %d", got.status)
	}
	if got := anna.post("/pickup", "code", code); got.status != 409 || !strings.Contains(got.text(), "does not work yet") {
		t.Errorf("before the approval: got %d: %s", got.status, got.text())
	}
	if got := hedi.get("/helpdesk/approvals"); got.status != 200 || strings.Contains(string(got.body), approval) {
		t.Errorf("own code among the approvals: got %d", got.status)
	}
	if got := hank.get("/helpdesk/approvals"); got.status != 200 || !strings.Contains(string(got.body), approval) {
		t.Errorf("approvals: got %d: %s", got.status, got.text())
	}
	if got := hank.get(path); got.status != 404 {
		t.Errorf("somebody else's page with the code: got %d", got.status)
	}
	if got := hank.post(approval); got.status != 303 {
		t.Errorf("approval: got %d: %s", got.status, got.text())
	}
	if got := anna.post("/pickup", "code", code); got.status != 303 {
		t.Errorf("after the approval: got %d: %s", got.status, got.text())
	}
	for _, page := range []string{"/helpdesk", "/helpdesk?q=hedi", "/helpdesk/people/id-of-hedi", annaPage + "/code", path, "/helpdesk/approvals"} {
		if got := anna.get(page); got.status != 403 {
			t.Errorf("employee at %s: got %d", page, got.status)
		}
	}
	if got := anna.post("/helpdesk/people/id-of-ben/code", "checked", "in-person", "purpose", "new"); got.status != 403 {
		t.Errorf("employee: got %d", got.status)
	}
	if got := p.entries(audit.InvitationMade); got != 1 {
		t.Errorf("%d invitations, want 1", got)
	}
}

// TestA3_CodePages: protected people get no code, and a directory that fails is no
// permission.
func TestA3_CodePages(t *testing.T) {
	t.Parallel()
	p := newCodePortal(t)
	hedi := p.signedIn("hedi", linux)
	p.directory.set(nil, func(who *portal.Person) { who.Protected = who.Login == "anna" })
	got := hedi.post(annaPage+"/code", "checked", "in-person", "purpose", "new")
	if got.status != 403 || !strings.Contains(got.text(), "protected") {
		t.Errorf("got %d: %s", got.status, got.text())
	}
	if page := hedi.get(annaPage); page.status != 200 || strings.Contains(string(page.body), annaPage+"/code") {
		t.Errorf("dossier: got %d, or it offers a code", page.status)
	}
	p.directory.set(errors.New("no server answers"), nil)
	if got := hedi.post(annaPage+"/code", "checked", "in-person", "purpose", "new"); got.status != 503 {
		t.Errorf("without a directory: got %d", got.status)
	}
	if p.entries(audit.InvitationMade) != 0 || p.entries(audit.InvitationRefused) != 1 {
		t.Error("a code was made, or the refusal is not in the ledger")
	}
}

func TestBlockOnRequest(t *testing.T) {
	t.Parallel()
	p := newCodePortal(t)
	hedi, anna := p.signedIn("hedi", linux), p.signedIn("anna", android)
	device := strings.TrimPrefix(anna.enrol("Galaxy", "android"), "/devices/")
	path := annaPage + "/devices/" + device + "/block"
	if got := hedi.get(path); got.status != 200 || !strings.Contains(got.text(), "Block Galaxy of Anna Muster?") {
		t.Fatalf("got %d: %s", got.status, got.text())
	}
	if got := hedi.post(path, "reason", "left", "checked", "video"); got.status != 422 {
		t.Errorf("a reason of the portal's: got %d", got.status)
	}
	if got := hedi.post(path, "reason", "lost"); got.status != 422 {
		t.Errorf("unchecked: got %d", got.status)
	}
	if got := hedi.post(annaPage+"/devices/none/block", "reason", "lost", "checked", "video"); got.status != 404 {
		t.Errorf("no such device: got %d", got.status)
	}
	if n := p.certificates("anna")[portal.Revoked]; n != 0 {
		t.Fatalf("%d blocked by mistake", n)
	}
	done := hedi.post(path, "reason", "lost", "checked", "video", "note", "")
	if done.status != 303 || p.certificates("anna")[portal.Revoked] != 1 {
		t.Fatalf("got %d: %s", done.status, done.text())
	}
	if got := hedi.get(done.location()); got.status != 200 || !strings.Contains(got.text(), "Galaxy is blocked.") {
		t.Errorf("got %d: %s", got.status, got.text())
	}
}

func TestFindPeople(t *testing.T) {
	t.Parallel()
	p := newCodePortal(t)
	p.add("benno", "Benno Two", "Benno")
	hedi := p.signedIn("hedi", linux)
	for query, want := range map[string]string{
		"a": "at least 2 letters", "zz": "No one found for “zz”.", "<script>alert(1)</script>": "No one found for “<script>alert(1)</script>”.",
		"\xff\xfe": "Find a person", "ben": "2 people found", "' OR 1=1 --": "No one found",
	} {
		got := hedi.get("/helpdesk?q=" + url.QueryEscape(query))
		if got.status != 200 || !strings.Contains(got.text(), want) {
			t.Errorf("%q: got %d: %s", query, got.status, got.text())
		}
	}
	got := hedi.get("/helpdesk?q=ben")
	if !strings.Contains(string(got.body), `q=ben&amp;lang=de`) && !strings.Contains(string(got.body), `lang=de&amp;q=ben`) {
		t.Error("the links to other languages lose what was searched")
	}
}
