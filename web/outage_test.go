package web_test

import (
	"context"
	"database/sql"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// TestMaking shows a page that waits while the certificate is being signed.
func TestMaking(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	account, err := p.db.AccountByLogin(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	id := reserve(t, p, account.ID)
	if got := b.get("/devices/" + id + "/install"); got.status != 200 || got.header.Get("Refresh") != "5" {
		t.Errorf("got %d, want a page that reloads: %s", got.status, got.text())
	}
	p.clock.Advance(3 * time.Minute)
	got := b.get("/devices/" + id + "/install")
	if got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("after three minutes: got %d, want 503", got.status)
	}
}

// A request that came to nothing says so, with one button that makes the file after all.
func TestF5_NothingWasIssued(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	id := reserve(t, p, testkit.Must(p.db.AccountByLogin(t.Context(), "anna"))(t).ID)
	serial := testkit.Must(p.db.Device(t.Context(), "id-of-anna", portal.DeviceID(id)))(t).Certificate.Serial
	testkit.Must(p.db.Revoke(t.Context(), enroll.Revocation{
		Serials: []ca.Serial{serial}, Cause: portal.Abandoned, At: p.clock.Now(), Entry: audit.Entry{At: p.clock.Now(), Action: audit.CertificateRevoked},
	}))(t)
	got := b.get("/devices/" + id + "/install")
	testkit.Equal(t, "status", got.status, http.StatusOK)
	for _, want := range []string{"That did not work", "Nothing was issued"} {
		testkit.Contains(t, "the page", got.text(), want)
	}
	for _, other := range []string{"run out", "If the device already works"} {
		if strings.Contains(got.text(), other) {
			t.Errorf("the page says %q", other)
		}
	}
	if buttons := strings.Count(string(got.body), `class="btn`); buttons != 1 {
		t.Errorf("got %d buttons, want one", buttons)
	}
	sent := b.post("/devices/"+id+"/install", "request", "again")
	if sent.status != http.StatusSeeOther {
		t.Fatalf("the button: got %d: %s", sent.status, sent.text())
	}
	testkit.Contains(t, "the page afterwards", b.get("/devices/"+id+"/install").text(), "certificate")
}

// TestStoreGone closes the database under a running portal.
func TestStoreGone(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	device := b.enrol("Anna's iPhone", "ios")
	href, _ := b.download(device)
	if err := p.db.Close(); err != nil {
		t.Fatal(err)
	}
	form := "application/x-www-form-urlencoded"
	tests := []struct {
		name, method, path string
		status             int
	}{
		{"home", http.MethodGet, "/", 503},
		{"new", http.MethodPost, "/new", 503},
		{"file", http.MethodGet, href, 503},
		{"sign-in", http.MethodPost, "/login", 503},
		{"sign-in page", http.MethodGet, "/login", 200},
		{"help", http.MethodGet, "/help", 200},
		{"anchors", http.MethodGet, "/ca", 200},
		{"root", http.MethodGet, "/ca/root.cer", 200},
		{"list", http.MethodGet, "/crl/issuing.crl", 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := strings.NewReader("")
			if tt.path == "/login" && tt.method == http.MethodPost {
				body = strings.NewReader("username=anna&password=x")
			}
			got := b.do(tt.method, tt.path, body, "Content-Type", form)
			if got.status != tt.status {
				t.Errorf("got %d, want %d: %s", got.status, tt.status, got.text())
			}
			if tt.status == 503 && got.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			if strings.Contains(string(got.body), "sql") {
				t.Errorf("the page tells the cause: %s", got.text())
			}
		})
	}
}

// TestUndone breaks the store in two ways during the removal of a lost phone and a
// sign-out. The page must not say that everything still works.
func TestUndone(t *testing.T) {
	t.Parallel()
	breaks := map[string]func(t *testing.T, p *testPortal){
		"store gone": func(t *testing.T, p *testPortal) {
			if err := p.db.Close(); err != nil {
				t.Fatal(err)
			}
		},
		"ledger full": stopLedger,
	}
	for name, breakIt := range breaks {
		t.Run(name, func(t *testing.T) {
			p := newPortal(t)
			b := p.signedIn("anna", iPhone)
			device := b.enrol("Anna's iPhone", "ios")
			breakIt(t, p)
			for path, sentence := range map[string]string{
				device + "/remove": "The device was NOT removed", "/logout": "You are still signed in",
			} {
				got := b.post(path)
				if got.status != 503 || !strings.Contains(got.text(), sentence) {
					t.Errorf("POST %s: got %d, want 503 with %q: %s", path, got.status, sentence, got.text())
				}
				if strings.Contains(got.text(), "certificates still work") || strings.Contains(got.text(), "Nothing was issued") {
					t.Errorf("POST %s: the page comforts: %s", path, got.text())
				}
				again := got.node(func(n *html.Node) bool { return n.Data == "form" && attr(n, "action") == path })
				if again == nil || attr(again, "method") != "post" {
					t.Errorf("POST %s: no form to try again: %s", path, got.text())
				}
			}
		})
	}
}

// stopLedger lets every entry fail, as a full disk does, while reading goes on.
func stopLedger(t *testing.T, p *testPortal) {
	t.Helper()
	db, err := sql.Open("sqlite", p.file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.ExecContext(t.Context(), `CREATE TRIGGER ledger_is_full BEFORE INSERT ON ledger
		BEGIN SELECT RAISE(ABORT, 'the disk is full'); END`)
	if err != nil {
		t.Fatal(err)
	}
}

// reserve records the intent to issue, as the registrar does before it signs,
// and returns the device's id.
func reserve(t *testing.T, p *testPortal, person portal.PersonID) string {
	t.Helper()
	device := portal.Device{ID: "waiting", Person: person, Name: "Slow", Platform: portal.IOS, Created: p.clock.Now()}
	err := p.db.Reserve(context.Background(), enroll.Reservation{
		Serial: newSerial(t), Kind: portal.KindUser, Profile: "User", Requested: p.clock.Now(),
		NotBefore: p.clock.Now(), NotAfter: p.clock.Now().Add(time.Hour),
		Person: person, Device: device, NewDevice: true, Idempotent: "slow", Quota: 5,
		Entry: audit.Entry{At: p.clock.Now(), Action: audit.CertificateReserved},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(device.ID)
}

// TestIssuerGone lets the issuing CA run out: nothing is issued, and trying again
// sends the same form.
func TestIssuerGone(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	p.clock.Advance(6 * 365 * 24 * time.Hour)
	b := p.signedIn("anna", iPhone)
	got := b.post("/new", "name", "Anna's iPhone", "platform", "ios", "request", "the-same")
	if got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Fatalf("got %d, want 503: %s", got.status, got.text())
	}
	if got.value("request") != "the-same" || got.value("name") != "Anna's iPhone" || got.value("platform") != "ios" {
		t.Errorf("trying again sends %q, %q, %q", got.value("request"), got.value("name"), got.value("platform"))
	}
	if n := p.entries(audit.CertificateReserved); n != 0 {
		t.Errorf("got %d serials reserved, want none", n)
	}
	if log := p.log.String(); !strings.Contains(log, "part out of order") || !strings.Contains(log, got.header.Get("X-Request-Id")) {
		t.Error("the log does not tell the operator")
	}
}
