package web_test

import (
	"strings"
	"testing"

	"certportal/internal/portal"
	"certportal/web"
)

// TestExchangePage: an administrator gets the script and the ways to run it.
func TestExchangePage(t *testing.T) {
	t.Parallel()
	p := newPortal(t, func(c *web.Config) { c.ExchangeScript = func() ([]byte, error) { return []byte("script"), nil } })
	p.add("ada", "Ada Admin", "Ada", portal.Admin)
	b := p.signedIn("ada", linux)
	page := b.get("/admin/exchange?lang=en")
	link := page.id("exchange-script")
	if link == nil || !strings.Contains(page.text(), `.\certportal-exchange.ps1 -Mode Required`) {
		t.Fatalf("got %d: %s", page.status, page.text())
	}
	got := b.get(attr(link, "href"))
	if string(got.body) != "script" || !strings.Contains(got.header.Get("Content-Disposition"), `attachment; filename="certportal-exchange.ps1"`) {
		t.Errorf("the script: %d, %v, %q", got.status, got.header, got.body)
	}
	if b.get("/admin/checks").node(withHref("/admin/exchange")) == nil {
		t.Error("the page of checks does not lead there")
	}
}
