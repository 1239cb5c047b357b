package web_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"certportal/ca"
	"certportal/internal/test/daemon"
	"certportal/internal/test/relyingparty"
	"certportal/internal/test/testkit"
	"certportal/web"
)

// TestCheckPageBehindNginx: a proxy as the docs configure it hands on the certificate of the
// client, and a header that the client makes up does not get through it.
func TestCheckPageBehindNginx(t *testing.T) {
	t.Parallel()
	f := newChecked(t, func(c *web.Config) {
		c.CheckHeader, c.TrustedProxies = "Client-Cert", []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	authority := testkit.Must(daemon.NewAuthority())(t)
	own := testkit.Must(authority.Server(t.TempDir(), "127.0.0.1"))(t)
	lines, _ := strings.CutPrefix(testkit.DocBlocks(t, "check-page.md", "nginx")[0], "server {\n    listen 8444 ssl;\n")
	lines, ok := strings.CutSuffix(strings.ReplaceAll(lines, "https://127.0.0.1:8444", f.address), "\n}")
	if !ok || !strings.Contains(lines, f.address) {
		t.Fatalf("the docs configure something else:\n%s", lines)
	}
	front := relyingparty.ForwardTLS(t, relyingparty.Config{Certificate: own.Certificate, Key: own.Key}, lines)
	proxied := f
	proxied.address = front
	transport := f.client.Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.RootCAs = authority.Roots()
	proxied.client = &http.Client{Transport: transport}
	verdict := func(got answer) string { return attr(got.id("verdict"), "data-verdict") }
	if got := proxied.show(&f.pair, "/test"); verdict(got) != "works" {
		t.Errorf("through the proxy: %s", got.text())
	}
	made := ":" + strings.Join(strings.Fields(strings.Trim(string(ca.PEM(f.pair.Leaf)), "-")), "") + ":"
	if got := proxied.show(nil, "/test", "Client-Cert", made); verdict(got) != "none" {
		t.Errorf("a header that the client made up: %s", got.text())
	}
}
