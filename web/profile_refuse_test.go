package web_test

import (
	"crypto"
	"crypto/x509"
	"strings"
	"testing"

	"certportal/ca"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/web"
)

// Nothing unsigned goes out: without a signer the plain file takes its place.
func TestNoProfileUnsigned(t *testing.T) {
	t.Parallel()
	f := newFile(t, "ios", withExchange)
	if !strings.Contains(f.href, ".p12?") {
		t.Errorf("offered %s", f.href)
	}
	forged := strings.Replace(f.href, ".p12?", ".mobileconfig?", 1)
	if got := f.anonymous.get(forged); got.status != 404 {
		t.Errorf("profile without signer: got %d, want 404", got.status)
	}
	broken := newFile(t, "ios", func(c *web.Config) {
		c.ProfileSigner = func() ([]*x509.Certificate, crypto.Signer) { return nil, nil }
	})
	if got := broken.anonymous.get(broken.href); got.status != 500 || broken.readsLeft() != 5 {
		t.Errorf("signer without key: got %d, %d reads left", got.status, broken.readsLeft())
	}
}

func TestProfileAddress(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "ec")
	f := newFile(t, "android", s.sign)
	plain, _, _ := strings.Cut(f.href, ".p12")
	tests := []struct {
		name, query string
		status      int
		target      int
	}{
		{"bare", "", 200, 1}, {"phone", "?p=ios&text=zh-Hans", 200, 1}, {"mac", "?p=macos&text=de", 200, 5},
		{"other platform", "?p=android", 400, 0}, {"no platform", "?p=", 400, 0}, {"language", "?p=ios&text=xx", 400, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := f.anonymous.get(plain + ".mobileconfig" + tt.query)
			if got.status != tt.status {
				t.Fatalf("got %d, want %d", got.status, tt.status)
			}
			if tt.status != 200 {
				return
			}
			if p := s.open(t, got.body); p.TargetDeviceType != tt.target {
				t.Errorf("target: got %d, want %d", p.TargetDeviceType, tt.target)
			}
		})
	}
}

// TestUnverifiedIsSaid: signed under the embedded CA, an iPhone shows red, and
// the page says so beforehand.
func TestUnverifiedIsSaid(t *testing.T) {
	t.Parallel()
	h := fixture.Hierarchy(t, ca.ECP256)
	issuer := fixture.Issuer(t, h)
	key, err := ca.ECP256.Generate()
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := issuer.PrepareOwn(ca.ServerConfig{Names: []string{"certs.example.com"}}, key.Public(), testkit.Noon)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := issuer.Sign(prepared)
	if err != nil {
		t.Fatal(err)
	}
	own := &publicSigner{root: h.Root, chain: []*x509.Certificate{leaf, h.Issuing}, key: key}
	f := newFile(t, "ios", own.sign)
	if page := f.owner.get(f.device + "/install"); !strings.Contains(page.text(), "Not Verified in red. That is expected for Example.") {
		t.Errorf("the page does not say so: %s", page.text())
	}
	own.open(t, f.anonymous.get(f.href).body)
}

func TestNewRefusesAppleAndExchange(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "ec")
	tests := []struct {
		name   string
		change func(*web.Config)
		want   string
	}{
		{"identifier", func(c *web.Config) { c.Apple.Identifier = "example" }, "reverse DNS"},
		{"identifier with markup", func(c *web.Config) { c.Apple.Identifier = "com.<b>" }, "reverse DNS"},
		{"long identifier", func(c *web.Config) { c.Apple.Identifier = "com." + strings.Repeat("x", 200) }, "reverse DNS"},
		{"no host", func(c *web.Config) { c.Exchange = &web.Exchange{} }, "host name"},
		{"address as host", func(c *web.Config) { c.Exchange = &web.Exchange{Host: "https://mail"} }, "host name"},
		{"days", func(c *web.Config) { c.Exchange = &web.Exchange{Host: "mail", SyncDays: 2} }, "2 days"},
		{"user name", func(c *web.Config) { c.Exchange = &web.Exchange{Host: "mail", UserName: "sam"} }, `want "upn", "mail" or "domain"`},
		{"no domain", func(c *web.Config) { c.Exchange = &web.Exchange{Host: "mail", UserName: "domain"} }, "NetBIOS"},
		{"domain with a backslash", func(c *web.Config) {
			c.Exchange = &web.Exchange{Host: "mail", UserName: "domain", Domain: `CORP\x`}
		}, "NetBIOS"},
	}
	p := newPortal(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config := p.config
			s.sign(&config)
			tt.change(&config)
			_, err := web.New(config)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// TestMailboxNames: the page of an Android phone shows what to type, and only
// where Exchange is known.
func TestMailboxNames(t *testing.T) {
	t.Parallel()
	f := newFile(t, "android", withExchange)
	words := f.owner.get(f.device + "/install").text()
	for _, want := range []string{"mail.example.com", "anna@example.com", "Use client certificate", "Outlook on phones cannot"} {
		if !strings.Contains(words, want) {
			t.Errorf("page does not say %q", want)
		}
	}
	none := newFile(t, "android")
	if words := none.owner.get(none.device + "/install").text(); strings.Contains(words, "Samsung Email") {
		t.Error("a mail app is explained, though the portal knows no mail server")
	}
}

func TestA18_HostileNamesInProfile(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "ec")
	p := newPortal(t, s.sign, withExchange)
	for _, name := range []string{
		"</string><key>Evil</key>", `a"; filename="x.exe`, "a\r\nX-Injected: 1", "]]><![CDATA[", "a\u202egnp.exe", "&#0;", "{{.Org}}", "📱",
	} {
		b := p.signedIn("ben", iPhone)
		device := b.enrol(name, "ios")
		href, _ := b.download(device)
		got := b.get(href)
		disposition := got.header.Get("Content-Disposition")
		if got.status != 200 || strings.Count(disposition, `"`) != 2 || !strings.HasPrefix(disposition, "inline; ") ||
			!strings.Contains(disposition, ".mobileconfig") || got.header.Get("X-Injected") != "" {
			t.Errorf("%q: got %d, %q", name, got.status, disposition)
		}
		if profile := s.open(t, got.body); len(profile.PayloadContent) != 4 || !strings.HasPrefix(profile.PayloadDisplayName, "Example for ") {
			t.Errorf("%q: got %q with %d payloads", name, profile.PayloadDisplayName, len(profile.PayloadContent))
		}
		if got := b.post(device + "/remove"); got.status != 303 {
			t.Fatalf("%q: removing: got %d", name, got.status)
		}
	}
}
