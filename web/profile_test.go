package web_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/web"
)

const (
	iPad = "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) " +
		"Version/17.5 Mobile/15E148 Safari/604.1"
	mac = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) " +
		"Version/26.1 Safari/605.1.15"
	windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) " +
		"Chrome/142.0.0.0 Safari/537.36"
)

func TestProfileOfPhone(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "ec")
	f := newFile(t, "ios", s.sign, withExchange)
	got := f.anonymous.get(f.href)
	for name, want := range map[string]string{
		"Content-Type": "application/x-apple-aspen-config", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
		"Content-Disposition": `inline; filename="Example-Annas-Telefon-1.mobileconfig"; filename*=UTF-8''Example-Annas%20Telefon-1.mobileconfig`,
	} {
		if got.header.Get(name) != want {
			t.Errorf("%s: got %q, want %q", name, got.header.Get(name), want)
		}
	}
	if got.status != 200 || len(got.header.Values("Set-Cookie")) != 0 {
		t.Fatalf("got %d, cookies %q: %s", got.status, got.header.Values("Set-Cookie"), got.text())
	}
	p := s.open(t, got.body)
	account, identity := p.PayloadContent[p.payload(t, "eas.account")], p.PayloadContent[p.payload(t, "security.pkcs12")]
	if account.Host != "mail.example.com" || account.UserName != "anna@example.com" || account.EmailAddress != "anna@example.com" ||
		!account.SSL || !account.SMIMESigningEnabled || account.MailNumberOfPastDaysToSync != 31 || account.PayloadCertificateUUID != identity.PayloadUUID {
		t.Errorf("account: got %+v", account)
	}
	root, issuing := p.PayloadContent[p.payload(t, "security.root")], p.PayloadContent[p.payload(t, "security.pkcs1")]
	if !bytes.Equal(root.PayloadContent, f.root.Raw) || !bytes.Equal(issuing.PayloadContent, f.issuing.Raw) {
		t.Error("root or issuing CA is another one")
	}
	_, leaf, chain, err := pkcs12.DecodeChain(identity.PayloadContent, f.password)
	if err != nil || len(chain) != 0 || !bytes.Equal(leaf.Raw, f.certificate().DER) {
		t.Errorf("identity: %d CAs, %v", len(chain), err)
	}
	id := f.profileName(f.device)
	if p.PayloadIdentifier != "certportal.127-0-0-1."+id || p.TargetDeviceType != 1 || p.PayloadScope != "" ||
		p.PayloadOrganization != "Example" || p.PayloadDisplayName != "Example for Annas Telefon" ||
		!strings.Contains(p.ConsentText["default"], "erase a lost device") || !p.PayloadExpirationDate.Equal(leaf.NotAfter) {
		t.Errorf("profile: got %+v", p)
	}
	if n := f.entries(audit.PickupRead); n != 1 {
		t.Errorf("ledger: got %d reads, want 1", n)
	}
}

func TestProfileOfMac(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "rsa")
	f := newFile(t, "macos", s.sign, withExchange, func(c *web.Config) {
		c.Apple = web.Apple{Identifier: "com.example.certs", Organization: "Example Ltd"}
		c.Anchors = append(c.Anchors, web.Anchor{Name: "exchange", Cert: s.root})
	})
	got := f.anonymous.get(f.href)
	if d := got.header.Get("Content-Disposition"); !strings.HasPrefix(d, `attachment; filename="Example-Annas-Telefon-1.mobileconfig"`) {
		t.Errorf("got %q", d)
	}
	p := s.open(t, got.body)
	if p.payload(t, "eas.account") >= 0 || p.TargetDeviceType != 5 || p.PayloadScope != "User" || p.PayloadOrganization != "Example Ltd" {
		t.Errorf("got %+v", p)
	}
	if !strings.HasPrefix(p.PayloadIdentifier, "com.example.certs.") {
		t.Errorf("identifier %s", p.PayloadIdentifier)
	}
	// The portal's own root would be trusted for every server.
	if root := p.PayloadContent[p.payload(t, "security.root")]; !bytes.Equal(root.PayloadContent, s.root.Raw) {
		t.Error("the Mac is made to trust another root than the one of the mail server")
	}
}

// TestProfileVerifiedByOpenSSL: the other reader, on what really went out.
func TestProfileVerifiedByOpenSSL(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("openssl is not installed")
		}
		t.Skip("openssl is not installed")
	}
	s := newSigner(t, "rsa")
	f := newFile(t, "ios", s.sign)
	dir := t.TempDir()
	in, root := filepath.Join(dir, "x.mobileconfig"), filepath.Join(dir, "root.pem")
	for name, data := range map[string][]byte{in: f.anonymous.get(f.href).body, root: ca.PEM(s.root)} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), "openssl", "cms", "-verify", "-inform", "DER", "-in", in, "-purpose", "any",
		"-CAfile", root, "-attime", strconv.FormatInt(testkit.Noon.Unix(), 10)).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("com.apple.security.pkcs12")) {
		t.Errorf("%v: %.300s", err, out)
	}
}

// TestRightFile holds what each real browser is offered, with steps for it.
func TestRightFile(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "ec")
	p := newPortal(t, s.sign, withExchange)
	tests := []struct {
		name, agent, platform, ext, says string
	}{
		{"iPhone", iPhone, "ios", "mobileconfig", "mailbox sets itself up"},
		{"iPad", iPad, "ios", "mobileconfig", "Profile Downloaded"},
		{"Mac", mac, "macos", "mobileconfig", "Device Management"},
		{"Android", android, "android", "p12", "Samsung Email"},
		{"Windows", windows, "windows", "p12", "Current User"},
		{"Linux", linux, "linux", "p12", "NetworkManager"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := p.signedIn("anna", tt.agent)
			if got := b.get("/new").value("platform"); got != tt.platform {
				t.Errorf("guess: got %q, want %q", got, tt.platform)
			}
			device := b.enrol("My "+tt.name, tt.platform)
			page := b.get(device + "/install")
			href, _, _ := strings.Cut(attr(page.id("download"), "href"), "?")
			if !strings.HasSuffix(href, "."+tt.ext) || !strings.Contains(page.text(), tt.says) {
				t.Errorf("offered %s: %s", href, page.text())
			}
			if strings.Contains(page.text(), "Not Verified in red. That") {
				t.Error("a publicly trusted signature is called not verified")
			}
			href, _ = b.download(device)
			if got := b.get(href); got.status != 200 {
				t.Errorf("download: got %d", got.status)
			}
			if got := b.post(device + "/remove"); got.status != 303 {
				t.Fatalf("removing: got %d", got.status)
			}
		})
	}
}

// TestProfileAndPlainFile: both ways are one pickup, with one count of reads.
func TestProfileAndPlainFile(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "ec")
	f := newFile(t, "ios", s.sign)
	plain := attr(f.owner.get(f.device+"/install").id("download-plain"), "href")
	got := f.anonymous.get(plain)
	if _, _, _, err := pkcs12.DecodeChain(got.body, f.password); err != nil || got.header.Get("Content-Type") != "application/x-pkcs12" {
		t.Errorf("plain file: got %s, %v", got.header.Get("Content-Type"), err)
	}
	for range enroll.MaxReads - 1 {
		s.open(t, f.anonymous.get(f.href).body)
	}
	for _, href := range []string{f.href, plain} {
		if got := f.anonymous.get(href); got.status != http.StatusGone {
			t.Errorf("sixth read of %s: got %d, want 410", href, got.status)
		}
	}
}

// TestProfileInPieces: every kind of download, by any client, gets the same bytes,
// signature included.
func TestProfileInPieces(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"rsa", "ec"} {
		t.Run(kind, func(t *testing.T) {
			f := newFile(t, "ios", newSigner(t, kind).sign, withExchange)
			whole := f.anonymous.get(f.href)
			f.clock.Advance(5 * time.Minute)
			if again := f.browser(android).get(f.href, "Accept-Language", "de"); !bytes.Equal(again.body, whole.body) {
				t.Error("a second read gives another file")
			}
			etag := whole.header.Get("ETag")
			first := f.anonymous.get(f.href, "Range", "bytes=0-999")
			rest := f.anonymous.get(f.href, "Range", "bytes=1000-", "If-Range", etag)
			if first.status != 206 || rest.status != 206 || !bytes.Equal(append(first.body, rest.body...), whole.body) {
				t.Errorf("pieces: got %d and %d, %d and %d bytes of %d", first.status, rest.status, len(first.body), len(rest.body), len(whole.body))
			}
			if head := f.anonymous.do(http.MethodHead, f.href, nil); head.header.Get("ETag") != etag || f.readsLeft() != enroll.MaxReads-2 {
				t.Errorf("looking: ETag %s, want %s; %d reads left", head.header.Get("ETag"), etag, f.readsLeft())
			}
		})
	}
}

// TestRenewedProfileReplaces: a new file of a device takes the place of the old
// one on the phone, mailbox included.
func TestRenewedProfileReplaces(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "ec")
	f := newFile(t, "ios", s.sign, withExchange)
	old := s.open(t, f.anonymous.get(f.href).body)
	f.clock.Advance(time.Hour)
	again := f.signedIn("anna", iPhone)
	if got := again.post(f.device+"/install", "request", "renewal"); got.status != 303 {
		t.Fatalf("renewing: got %d", got.status)
	}
	href, _ := again.download(f.device)
	renewed := s.open(t, f.anonymous.get(href).body)
	if renewed.PayloadIdentifier != old.PayloadIdentifier || renewed.PayloadUUID != old.PayloadUUID || len(renewed.PayloadContent) != len(old.PayloadContent) {
		t.Fatalf("profile: got %s, want %s", renewed.PayloadIdentifier, old.PayloadIdentifier)
	}
	for i, was := range old.PayloadContent {
		is := renewed.PayloadContent[i]
		if fresh := was.PayloadType == "com.apple.security.pkcs12"; is.PayloadIdentifier != was.PayloadIdentifier || (is.PayloadUUID != was.PayloadUUID) != fresh {
			t.Errorf("%s: was %s, is %s", was.PayloadIdentifier, was.PayloadUUID, is.PayloadUUID)
		}
	}
	account, identity := renewed.PayloadContent[renewed.payload(t, "eas.account")], renewed.PayloadContent[renewed.payload(t, "security.pkcs12")]
	if account.PayloadCertificateUUID != identity.PayloadUUID {
		t.Error("the mailbox uses the old identity")
	}
}

// TestProfileWithDomainAndUser: DOMAIN\user is read from the directory, and only while
// it belongs to the person in the certificate.
func TestProfileWithDomainAndUser(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "ec")
	f := newFile(t, "ios", s.sign, withExchange, func(c *web.Config) {
		c.Exchange.UserName, c.Exchange.Domain = web.UserNameDomain, "EXAMPLE"
	})
	user := func() string {
		t.Helper()
		p := s.open(t, f.anonymous.get(f.href).body)
		return p.PayloadContent[p.payload(t, "eas.account")].UserName
	}
	if got, want := user(), `EXAMPLE\anna`; got != want {
		t.Errorf("user name: got %q, want %q", got, want)
	}
	f.directory.set(errors.New("no answer"), nil)
	if got := f.anonymous.get(f.href); got.status != 503 {
		t.Errorf("without directory: got %d, want 503", got.status)
	}
	f.directory.set(nil, func(person *portal.Person) { person.UPN = "anna.married@example.com" })
	if got, want := user(), "anna@example.com"; got != want {
		t.Errorf("user name after a new UPN: got %q, want %q", got, want)
	}
}
