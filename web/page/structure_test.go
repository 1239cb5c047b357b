package page_test

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func TestEveryPageIsWellBuilt(t *testing.T) {
	t.Parallel()
	everyPage(t, func(t *testing.T, lang string, _ sample, data []byte) {
		root := parse(t, data)
		if got := len(elements(root, "h1")); got != 1 {
			t.Errorf("h1 elements: got %d, want 1", got)
		}
		for _, landmark := range []string{"header", "main", "footer", "title"} {
			if got := len(elements(root, landmark)); got != 1 {
				t.Errorf("%s elements: got %d, want 1", landmark, got)
			}
		}
		top := elements(root, "html")[0]
		wantDir := "ltr"
		if lang == "ar" {
			wantDir = "rtl"
		}
		if attr(top, "lang") != lang || attr(top, "dir") != wantDir {
			t.Errorf("html: got lang %q dir %q, want %q %q", attr(top, "lang"), attr(top, "dir"), lang, wantDir)
		}
		if first := elements(root, "a"); attr(first[0], "class") != "skip" || attr(first[0], "href") != "#main" {
			t.Error("the skip link is not the first link")
		}
		checkIDs(t, root)
		checkForms(t, root)
		checkHeadings(t, root)
		checkLinks(t, root)
	})
}

// checkIDs: every id once, and everything referred to exists.
func checkIDs(t *testing.T, root *html.Node) {
	seen := map[string]bool{}
	walk(root, func(n *html.Node) {
		if id, ok := attribute(n, "id"); ok {
			if id == "" || seen[id] {
				t.Errorf("id %q is empty or doubled", id)
			}
			seen[id] = true
		}
	})
	walk(root, func(n *html.Node) {
		for _, name := range []string{"for", "aria-labelledby", "aria-describedby", "aria-controls", "data-copy", "data-show"} {
			for _, id := range strings.Fields(attr(n, name)) {
				if !seen[id] {
					t.Errorf("%s of <%s> refers to %q, which is nowhere", name, n.Data, id)
				}
			}
		}
		if href := attr(n, "href"); strings.HasPrefix(href, "#") && !seen[href[1:]] {
			t.Errorf("link to %q leads nowhere", href)
		}
	})
}

// checkForms: every visible field has a label, every form a button, every POST
// goes to a path without a query.
func checkForms(t *testing.T, root *html.Node) {
	labelled := map[string]bool{}
	for _, label := range elements(root, "label") {
		labelled[attr(label, "for")] = true
	}
	for _, input := range append(elements(root, "input"), elements(root, "textarea")...) {
		if attr(input, "type") != "hidden" && !labelled[attr(input, "id")] {
			t.Errorf("field %q has no label", attr(input, "name"))
		}
	}
	for _, form := range elements(root, "form") {
		action := attr(form, "action")
		if !strings.HasPrefix(action, "/") && action != "" {
			t.Errorf("form goes to %q", action)
		}
		if attr(form, "method") == "post" && strings.Contains(action, "?") {
			t.Errorf("POST form carries a query: %q", action)
		}
		if len(elements(form, "button")) == 0 {
			t.Error("form without a button")
		}
	}
	for _, button := range elements(root, "button") {
		if text(button) == "" {
			t.Error("button without words")
		}
	}
}

// checkHeadings: levels are never skipped.
func checkHeadings(t *testing.T, root *html.Node) {
	level := 2 // an error summary may stand before the h1
	walk(root, func(n *html.Node) {
		if n.Type != html.ElementNode || len(n.Data) != 2 || n.Data[0] != 'h' || n.Data[1] < '1' || n.Data[1] > '6' {
			return
		}
		next := int(n.Data[1] - '0')
		if next > level+1 {
			t.Errorf("heading h%d follows h%d", next, level)
		}
		level = next
	})
}

// checkLinks: every link has words, and leads to the portal, its check page, a telephone, a mail
// program or the configured page for passwords.
func checkLinks(t *testing.T, root *html.Node) {
	for _, a := range elements(root, "a") {
		href := attr(a, "href")
		local := strings.HasPrefix(href, "/") && !strings.HasPrefix(href, "//") || strings.HasPrefix(href, "?") || strings.HasPrefix(href, "#")
		if attr(a, "id") == "test-link" {
			local = strings.HasPrefix(href, "https://certs.example.com:8444/test?")
		}
		if !local && !strings.HasPrefix(href, "tel:+") && !strings.HasPrefix(href, "mailto:") && href != config().PasswordURL {
			t.Errorf("link leads to %q", href)
		}
		if text(a) == "" && len(elements(a, "img")) == 0 && !strings.Contains(href, "/devices//") {
			t.Errorf("link to %q has no words", href)
		}
	}
}

func TestNothingInline(t *testing.T) {
	t.Parallel()
	everyPage(t, func(t *testing.T, _ string, _ sample, data []byte) {
		root := parse(t, data)
		if len(elements(root, "style")) > 0 {
			t.Error("style element")
		}
		for _, script := range elements(root, "script") {
			if attr(script, "src") == "" || script.FirstChild != nil {
				t.Error("inline script")
			}
		}
		walk(root, func(n *html.Node) {
			for _, a := range n.Attr {
				if a.Key == "style" || strings.HasPrefix(a.Key, "on") || strings.HasPrefix(strings.ToLower(a.Val), "javascript:") {
					t.Errorf("inline %s on <%s>", a.Key, n.Data)
				}
			}
			for _, name := range []string{"src", "srcset", "poster", "background"} {
				if v := attr(n, name); v != "" && !strings.HasPrefix(v, "/static/") {
					t.Errorf("<%s> loads %q", n.Data, v)
				}
			}
		})
		if bytes.Contains(data, []byte("ZgotmplZ")) {
			t.Error("the template engine refused a value")
		}
	})
}
