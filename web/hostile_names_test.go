package web_test

import (
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// TestA18_HostileNames puts hostile text into everything a person can choose: device
// names, User-Agent, query, path. No page may carry it as markup, and no header and no
// log record may break.
func TestA18_HostileNames(t *testing.T) {
	t.Parallel()
	payloads := []string{
		"<script>alert(1)</script>", `"><img src=x onerror=1>`, `'-alert(1)-'`, "</title><svg onload=1>",
		"javascript:alert(1)", "{{.Layout}}", "%3Cscript%3E", `a"; filename="x.exe`, "../../etc/passwd",
		"a\u202egnp.exe", "=1+1", "con", "a\r\nX-Injected: 1", "\u2028x\u2029", "${7*7}",
	}
	p := newPortal(t)
	for _, payload := range payloads {
		b := p.signedIn("ben", "Mozilla/5.0 (iPhone) MicroMessenger "+strings.Map(printable, payload))
		device := b.enrol(payload, "ios")
		href, _ := b.download(device)
		pages := []answer{
			b.get("/"), b.get(device), b.get(device + "/install"), b.get(device + "/remove"),
			b.get("/" + strings.Map(pathRune, payload)), b.get("/new?p=" + strings.Map(pathRune, payload)),
			b.post("/new", "name", payload, "platform", "ios"),
		}
		for i, page := range pages {
			if bad := page.node(hostile); bad != nil {
				t.Errorf("%q: page %d carries <%s>", payload, i, bad.Data)
			}
			if page.header.Get("X-Injected") != "" {
				t.Errorf("%q: page %d carries a header of its own", payload, i)
			}
		}
		file := b.get(href)
		disposition := file.header.Get("Content-Disposition")
		if file.status != 200 || strings.Count(disposition, `"`) != 2 || strings.ContainsAny(disposition, "\r\n/\\<>") {
			t.Errorf("%q: got %d, Content-Disposition %q", payload, file.status, disposition)
		}
		if got := b.post(device + "/remove"); got.status != 303 {
			t.Fatalf("%q: removing: got %d", payload, got.status)
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(p.log.String()), "\n") {
		if !strings.HasPrefix(line, "time=") {
			t.Errorf("the log holds a line of somebody else: %.80s", line)
		}
	}
}

// hostile finds what only a payload brings onto a page.
func hostile(n *html.Node) bool {
	for _, a := range n.Attr {
		link := a.Key == "href" || a.Key == "src" || a.Key == "action"
		if strings.HasPrefix(a.Key, "on") || link && strings.HasPrefix(a.Val, "javascript:") {
			return true
		}
	}
	return n.Data == "script" && attr(n, "src") == "" || n.Data == "img" && attr(n, "src") == "x"
}

// printable keeps what net/http sends in a header.
func printable(r rune) rune {
	if r < ' ' {
		return -1
	}
	return r
}

// pathRune keeps what net/url takes in an address.
func pathRune(r rune) rune {
	if r <= ' ' || r == '%' || r == '?' || r == '#' {
		return -1
	}
	return r
}

// TestLanguageLinks holds that a page never links to where its address points.
func TestLanguageLinks(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	for _, path := range []string{"//evil.example/", "/\\evil.example", "///evil.example", "/help?next=//evil.example"} {
		got := p.browser(linux).get(path)
		bad := got.node(func(n *html.Node) bool {
			return n.Data == "a" && strings.HasPrefix(strings.TrimLeft(attr(n, "href"), `/\`), "evil")
		})
		if bad != nil {
			t.Errorf("%s: links to %q", path, attr(bad, "href"))
		}
	}
}
