package web_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/web"
)

// TestA16_NoKeyNoPassword looks for secrets where they must not be.
func TestA16_NoKeyNoPassword(t *testing.T) {
	t.Parallel()
	k := newDeviceKeyPhone(t)
	secret, token := k.secret(k.browser(linux).get(k.href).body), strings.Split(k.href, "/")[2]
	places := map[string]string{"log": k.log.String(), "page of the device": string(k.owner.get(k.device).body)}
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(k.file + suffix)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		places["database"+suffix] = string(data)
	}
	for place, text := range places {
		if strings.Contains(text, secret) || strings.Contains(text, token) {
			t.Errorf("%s holds the challenge or its address", place)
		}
	}
	if strings.Contains(string(k.owner.get(k.device+"/install").body), secret) {
		t.Error("the page holds the challenge")
	}
	if _, err := k.redeem(secret, 0); err != nil {
		t.Fatal(err)
	}
	device, err := k.registrar.Device(t.Context(), "id-of-anna", portal.DeviceID(strings.TrimPrefix(k.device, "/devices/")))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := k.db.Undelivered(t.Context(), k.clock.Now().Add(24*time.Hour), 10)
	if err != nil || len(sealed) != 0 || device.Certificate.Delivered.IsZero() {
		t.Errorf("the portal keeps a file of it: %v, %v", sealed, err)
	}
}

// TestA9_KeylessPreviews: looking changes nothing, and reading uses nothing up.
func TestA9_KeylessPreviews(t *testing.T) {
	t.Parallel()
	k := newDeviceKeyPhone(t)
	preview := k.browser("WhatsApp/2.23.20.0 A")
	before := k.head()
	for range 15 {
		if got := preview.do(http.MethodHead, k.href, nil); got.status != 200 || got.header.Get("ETag") == "" {
			t.Fatalf("HEAD: got %d", got.status)
		}
		if got := preview.get(k.href, "Sec-Purpose", "prefetch"); got.status != 503 {
			t.Fatalf("fetched ahead: got %d", got.status)
		}
		k.owner.get(k.device + "/install")
	}
	if got := k.head(); got != before {
		t.Errorf("got %d ledger entries, want %d", got, before)
	}
	var secret string
	for range 2 * enroll.MaxReads {
		got := preview.get(k.href)
		if got.status != 200 || len(got.header.Values("Set-Cookie")) != 0 {
			t.Fatalf("got %d", got.status)
		}
		secret = k.secret(got.body)
	}
	if got := k.entries(audit.ChallengeRead); got != 2*enroll.MaxReads {
		t.Errorf("ledger: got %d reads", got)
	}
	if _, err := k.redeem(secret, 0); err != nil {
		t.Errorf("after the previews: %v", err)
	}
}

// firstTogether lets the first requests go on only when all of them have read
// their session.
type firstTogether struct {
	web.Store
	left atomic.Int32
	all  sync.WaitGroup
}

func (f *firstTogether) Session(ctx context.Context, id [32]byte, now time.Time) ([]byte, error) {
	data, err := f.Store.Session(ctx, id, now)
	if f.left.Add(-1) >= 0 {
		f.all.Done()
		f.all.Wait()
	}
	return data, err
}

// TestA9_OneCertificateOrChallenge asks on a phone's session for both kinds at once.
func TestA9_OneCertificateOrChallenge(t *testing.T) {
	t.Parallel()
	sessions := &firstTogether{}
	p := newPortal(t, newSigner(t, "ec").sign, withSCEP, func(c *web.Config) {
		sessions.Store = c.Store
		c.Store = sessions
	})
	desktop := p.signedIn("anna", linux)
	phone := p.newHandoffPhone(desktop)
	results := make(chan answer, 8)
	sessions.all.Add(cap(results))
	sessions.left.Store(int32(cap(results)))
	for i := range cap(results) {
		go func() {
			platform := []string{"ios", "android"}[i%2]
			got, err := phone.try(http.MethodPost, "/new", strings.NewReader(fmt.Sprintf("name=Phone%d&platform=%s&request=form%d", i, platform, i)),
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
	if got := p.entries(audit.CertificateIssued) + p.entries(audit.ChallengeMade); len(places) != 1 || got != 1 {
		t.Errorf("eight at once: got %v, %d certificates and challenges, want one", places, got)
	}
}

// TestA9_KeylessPhoneSession: a phone that came by a hand-off gets its profile, and
// no form for more.
func TestA9_KeylessPhoneSession(t *testing.T) {
	t.Parallel()
	signer := newSigner(t, "ec")
	p := newPortal(t, signer.sign, withSCEP)
	k := deviceKeyPhone{testPortal: p, signer: signer, owner: p.newHandoffPhone(p.signedIn("anna", linux))}
	k.device = k.owner.enrol("Phone", "ios")
	k.href = k.owner.profile(k.device)
	page := k.owner.get(k.device + "/install")
	if page.id("alone") != nil || page.value("request") != "" {
		t.Error("the page offers another certificate")
	}
	if got := k.owner.post("/new", "name", "Second", "platform", "android"); got.location() != k.device+"/install" {
		t.Errorf("second: got %d to %q", got.status, got.location())
	}
	for _, fields := range [][]string{{"request", "x"}, {"request", "x", "alone", "1"}} {
		if got := k.owner.post(k.device+"/install", fields...); got.status != 403 {
			t.Errorf("%v: got %d, want 403", fields, got.status)
		}
	}
	if _, err := k.redeem(k.secret(k.browser(linux).get(k.href).body), 0); err != nil {
		t.Fatal(err)
	}
	after := k.owner.get(k.device + "/install")
	if !strings.Contains(after.text(), "The certificate is on the phone") || after.value("request") != "" {
		t.Errorf("after enrolling: %s", after.text())
	}
	if got := p.entries(audit.CertificateIssued); got != 1 {
		t.Errorf("got %d certificates, want 1", got)
	}
}

func TestKeylessRefused(t *testing.T) {
	t.Parallel()
	k := newDeviceKeyPhone(t)
	bare, _, _ := strings.Cut(k.href, "?")
	anonymous := k.browser(linux)
	tests := []struct {
		name, path string
		status     int
	}{
		{"no query", bare, 200}, {"Chinese", bare + "?p=ios&text=zh-Hans", 200}, {"as PKCS#12", strings.Replace(bare, ".mobileconfig", ".p12", 1), 404},
		{"for a Mac", bare + "?p=macos", 400}, {"platform", bare + "?p=android", 400}, {"language", bare + "?text=xx", 400},
		{"other token", "/d/" + strings.Repeat("A", 43) + "/x.mobileconfig", 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := anonymous.get(tt.path); got.status != tt.status {
				t.Errorf("got %d, want %d", got.status, tt.status)
			}
		})
	}
	k.directory.set(http.ErrServerClosed, nil)
	if got := anonymous.get(k.href); got.status != 503 {
		t.Errorf("directory down: got %d", got.status)
	}
	k.directory.set(nil, func(person *portal.Person) { person.Protected = true })
	for _, path := range []string{"/new", k.device + "/install"} {
		fields := []string{"name", "x", "platform", "ios", "request", "p"}
		if path != "/new" {
			fields = fields[4:]
		}
		if got := k.owner.post(path, fields...); got.status != 403 {
			t.Errorf("%s of a protected person: got %d", path, got.status)
		}
	}
	k.directory.set(nil, nil)
	// Another session may be using it: it is not shown there.
	if got := k.signedIn("anna", iPhone).get(k.device + "/install"); got.status != 200 || got.id("download") != nil {
		t.Errorf("another session: got %d", got.status)
	}
	if got := k.signedIn("ben", iPhone).get(k.device + "/install"); got.status != 404 {
		t.Errorf("another person: got %d", got.status)
	}
	k.clock.Advance(enroll.ChallengeLife)
	if got := anonymous.get(k.href); got.status != 410 {
		t.Errorf("after ten minutes: got %d, want 410", got.status)
	}
	if got := k.owner.get(k.device + "/install"); got.status != 200 || got.id("download") != nil {
		t.Errorf("page after ten minutes: got %d: %s", got.status, got.text())
	}
}

// TestKeylessQuota: the page is that of any device too many.
func TestKeylessQuota(t *testing.T) {
	t.Parallel()
	k := newDeviceKeyPhone(t)
	for i := range k.registrar.Quota() {
		k.owner.enrol(fmt.Sprintf("Laptop %d", i), "linux")
	}
	if got := k.owner.post("/new", "name", "One more", "platform", "ios", "request", "q"); got.status != 409 {
		t.Errorf("new phone: got %d", got.status)
	}
	if got := k.owner.post(k.device+"/install", "request", "r"); got.status != 409 || !strings.Contains(got.text(), "Laptop 1") {
		t.Errorf("new profile of a phone without certificate: got %d: %s", got.status, got.text())
	}
	if got := k.owner.post("/new", "name", "laptop 1", "platform", "ios", "request", "n"); got.status != 409 {
		t.Errorf("name taken beyond the quota: got %d", got.status)
	}
}

func TestConfigOfSCEP(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	for _, address := range []string{"", "certs.example.com/scep", "ldap://certs.example.com", "https://", "http://a:b@certs.example.com/scep", "http://certs.example.com/scep"} {
		c := p.config
		c.SCEP = &web.SCEP{URL: address}
		if _, err := web.New(c); err == nil {
			t.Errorf("%q was taken", address)
		}
	}
}
