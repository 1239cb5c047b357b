package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// counted is a window that counts what its person does.
type counted struct {
	*tab
	start, fields, taps int
}

// count begins to count in a window. The browser counts the pages: its history grows by
// one for each, without redirects and reloads.
func count(b *tab) *counted {
	b.t.Helper()
	return &counted{tab: b, start: b.pages()}
}

func (b *tab) pages() int { b.t.Helper(); return eval[int](b, "history.length") }

// tap presses what loads another page.
func (c *counted) tap(selector string) {
	c.t.Helper()
	c.taps++
	c.press(selector)
}

// choose taps what loads none.
func (c *counted) choose(selector string) {
	c.t.Helper()
	c.taps++
	c.do(chromedp.Click(selector))
}

// write types into a field.
func (c *counted) write(selector, value string) {
	c.t.Helper()
	c.fields++
	c.fill(selector, value)
}

// fetch taps the link to the file.
func (c *counted) fetch() {
	c.t.Helper()
	c.taps++
	c.download("#download")
}

func (c *counted) signInHere(p person) {
	c.t.Helper()
	c.write(`input[name="username"]`, p.Username)
	c.write(`input[name="password"]`, p.Password)
	c.tap(`main form .btn`)
}

// on fails unless the window shows the page.
func (c *counted) on(suffix string) {
	c.t.Helper()
	if got := c.path(); !strings.HasSuffix(got, suffix) {
		c.t.Fatalf("at %s, want %s:\n%s", got, suffix, c.text("main"))
	}
}

// row is the line of the table for what the windows did.
func row(windows ...*counted) string {
	loads, fields, taps := 0, 0, 0
	for _, c := range windows {
		loads, fields, taps = loads+c.pages()-c.start, fields+c.fields, taps+c.taps
	}
	return fmt.Sprintf("%d | %d | %d", loads, fields, taps)
}

// TestJourneysAreCounted plays the journeys of docs/journeys.md, without JavaScript, and
// compares page loads, fields and taps with its table.
func TestJourneysAreCounted(t *testing.T) {
	need(t, "chromium")
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "journeys.md"))
	if err != nil {
		t.Fatal(err)
	}
	d := startDemo(t)
	b := openTab(t, look{agent: androidUA})
	for _, journey := range []struct {
		name string
		play func(t *testing.T) string
	}{
		{"first phone: signed out to the file in hand", func(t *testing.T) string {
			c := count(b)
			c.open(d.https + "/login")
			c.signInHere(d.person("employee"))
			c.on("/new")
			c.tap(`main form .btn`)
			c.on("/install")
			c.fetch()
			return row(c)
		}},
		{"renewal on the same phone: home to the new file", func(t *testing.T) string {
			d.age(20 * 24 * time.Hour)
			c := count(b)
			c.open(d.https + "/")
			c.tap(`main a[href$="/renew"]`)
			c.tap(`main form .btn`)
			c.on("/install")
			c.fetch()
			return row(c)
		}},
		{"lost phone: signed out, on another device, to blocked", func(t *testing.T) string {
			c := count(openTab(t, look{agent: windowsUA, width: 1280}))
			c.open(d.https + "/login")
			c.tap(`main a[href="/login?next=%2Flost"]`)
			c.signInHere(d.person("employee"))
			c.on("/lost")
			c.tap(`main .btn.danger`)
			c.awaitText("h1", "is blocked")
			return row(c)
		}},
		{"hand-off: signed out on a computer to the file on the phone", func(t *testing.T) string {
			desktop := count(openTab(t, look{agent: windowsUA, width: 1280}))
			desktop.open(d.https + "/login")
			desktop.signInHere(d.person("employee"))
			desktop.tap(`form[action="/handoff"] button`)
			desktop.on("/handoff")
			phone := count(openTab(t, look{agent: androidUA}))
			phone.open(d.https + "/go/" + strings.ReplaceAll(desktop.text("#handoff-code"), "-", ""))
			phone.write("input#number", desktop.text("#handoff-number"))
			phone.tap("main form .btn")
			phone.on("/new")
			phone.tap("main form .btn")
			phone.on("/install")
			phone.fetch()
			return row(desktop, phone)
		}},
		{"helpdesk: search to code", func(t *testing.T) string {
			desk := openTab(t, look{agent: windowsUA, width: 1280})
			desk.signIn(d, d.person("helpdesk"))
			desk.open("about:blank")
			c := count(desk)
			c.open(d.https + "/helpdesk")
			c.write(`input[name="q"]`, "Anna")
			c.tap(`main form button`)
			c.tap(`main a[href$="/code"]`)
			c.choose("#checked-in-person")
			c.choose("#purpose-new")
			c.tap("main form .btn")
			if c.text("#pickup-code") == "" {
				t.Errorf("no code:\n%s", c.text("main"))
			}
			return row(c)
		}},
	} {
		t.Run(journey.name, func(t *testing.T) {
			numbers := journey.play(t)
			if line := "| " + journey.name + " | " + numbers + " |"; !strings.Contains(string(text), line) {
				t.Errorf("docs/journeys.md lacks %q", line)
			}
		})
	}
}
