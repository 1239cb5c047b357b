package page_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/net/html"

	"certportal/web/page"
)

// hostileTexts are what a directory, a form or a header may hold.
func hostileTexts() []string {
	return []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `'"/><svg/onload=alert(1)>`, `</title><script>alert(1)</script>`,
		`javascript:alert(1)`, `{{.T "x"}}`, `**bold** {{.Org}}`, "\ue0000\ue001", "a\u202eb\u2066c", `&lt;b&gt;`, "<!--", "]]>",
		`" onfocus="alert(1)" autofocus="`, "\x00\x01\xff\xfe", "%s%n%00", `//evil.example/`, `\\evil.example\`, "https://evil.example/",
		"a.very.long.local.part.of.an.electronic.mail.address@a.very.long.company.example.com",
		strings.Repeat("W", 400),
	}
}

// hostilePages puts one text into every field that takes foreign text.
func hostilePages(x string) []page.Page {
	f := page.Layout{Lang: x, Path: x, SignedIn: x, RequestID: x, InApp: x, PageURL: x}
	d := page.DeviceCard{ID: x, Name: x, Platform: x, Serial: x, Status: x, NotAfter: noon(), Outdated: true}
	var pages []page.Page
	for _, kind := range kinds() {
		pages = append(pages, page.Problem{Layout: f, Kind: kind, DeviceID: x, Detail: x, SignIn: x}, page.Problem{
			Layout: f, Kind: kind, Platform: x, DeviceName: x, DeviceID: x, Detail: x,
			Retry: &page.Retry{Action: x, Fields: []page.Hidden{{Name: x, Value: x}}}})
	}
	steps := page.Install{Layout: f, Device: d, Password: []string{x, x}, Download: x, OtherFormat: x, SavedAs: x, Format: x, Detected: page.IOS,
		Browser: x, Anchors: []page.Anchor{{Name: x, Href: x}}, AutoStart: true, TokenForNewFile: x}
	for _, platform := range []string{page.IOS, page.Android, page.Windows, page.MacOS, page.Linux, x} {
		steps.Platform = platform
		asProfile := steps
		asProfile.Profile, asProfile.Plain, asProfile.Unverified = true, x, true
		asProfile.Mailbox = page.Mailbox{Host: x, User: x, Address: x}
		steps.Mailbox = asProfile.Mailbox
		ownKey, arrived := asProfile, asProfile
		ownKey.DeviceKey, ownKey.Password = true, nil
		arrived.Arrived, arrived.Download, arrived.Password = true, "", nil
		pages = append(pages, asProfile, ownKey, arrived)
		pages = append(pages, steps, page.Anchors{Layout: f, Platform: platform, ChainPEM: x, ChainP7B: x,
			Items: []page.AnchorItem{{Name: x, Subject: x, Fingerprint: x, HrefCER: x, HrefPEM: x}}})
	}
	pages = append(pages, hostileAdmin(f, x)...)
	return append(pages,
		page.Login{Layout: f, Username: x, Example: x, Next: x, Errors: []page.FieldError{{Field: "username", Key: page.ErrWrong, Value: x}}},
		page.Login{Layout: f, Username: x, Example: x, Next: x, Provider: x, Errors: []page.FieldError{{Field: "sso", Key: page.ErrSSODenied, Value: x}}},
		page.Home{Layout: f, Platform: x, Devices: []page.DeviceCard{d}, Old: []page.DeviceCard{d}, Services: x},
		page.NewDevice{Layout: f, Name: x, Suggested: x, Platform: x, Token: x, DuplicateID: x,
			Errors: []page.FieldError{{Field: "name", Key: page.ErrNameTaken, Value: x}}},
		page.NewDevice{Layout: f, Suggested: x, Platform: x, Errors: []page.FieldError{{Field: "csr", Key: "bring.denied.request-form", Value: x}},
			CSR: &page.CSRForm{Open: true, Name: x, Request: x, Token: x}},
		page.CSRDevice{Layout: f, Device: d, PEM: x, DER: x, SavedAs: x}, page.CSRDevice{Layout: f, Device: d},
		page.ChoosePlatform{Layout: f, Selected: x}, page.Making{Layout: f, Device: x}, page.Waiting{Layout: f, Device: x}, page.Ready{Layout: f, Device: d},
		page.Device{Layout: f, Device: d, Token: x}, page.RemoveDevice{Layout: f, Device: d},
		page.Quota{Layout: f, Devices: []page.DeviceCard{d}}, page.Help{Layout: f}, page.Paused{Layout: f},
		page.Renew{Layout: f, Device: d, Token: x, FromCSR: true, Request: x, Errors: []page.FieldError{{Field: "csr", Key: "bring.denied.request-form", Value: x}}},
		page.Lost{Layout: f, Device: d, Reason: x}, page.Blocked{Layout: f, Device: d, List: x},
		page.Blocked{Layout: f, Device: d, List: page.ListLate},
		page.Rename{Layout: f, Device: d, Name: x, Errors: []page.FieldError{{Field: "name", Key: page.ErrRenameTaken, Value: x}}},
		page.Handoff{Layout: f, State: page.HandoffOpen, Number: x, Code: x, Address: x, QR: page.QR{Size: 29, Path: x}},
		page.Handoff{Layout: f, State: x}, page.GoLimited{Layout: f, DeviceID: x},
		page.Go{Layout: f, Code: x, Errors: []page.FieldError{{Field: "code", Key: page.ErrCode, Value: x}}},
		page.GoConfirm{Layout: f, Code: x, Masked: x, Number: x, Errors: []page.FieldError{{Field: "number", Key: page.ErrNumber, Value: x}}},
		page.GoOver{Layout: f},
	)
}

// tags are the elements of a page, in order: what foreign text must not change.
func tags(root *html.Node) string {
	var b strings.Builder
	walk(root, func(n *html.Node) {
		if n.Type == html.ElementNode {
			b.WriteString(n.Data + " ")
		}
	})
	return b.String()
}

func TestA18_HostileTextStaysText(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	for _, x := range hostileTexts() {
		for _, p := range hostilePages(x) {
			data := render(t, r, p)
			root := parse(t, data)
			for _, script := range elements(root, "script") {
				src := attr(script, "src")
				if script.FirstChild != nil || !strings.HasPrefix(src, "/static/app.") && !strings.HasPrefix(src, "/static/staff.") {
					t.Fatalf("%T with %.40q: a script of its own", p, x)
				}
			}
			if n := len(elements(root, "script")); n != 1 && !(n == 2 && strings.Contains(string(data), "/static/staff.")) {
				t.Fatalf("%T with %.40q: %d scripts", p, x, n)
			}
			walk(root, func(n *html.Node) {
				for _, a := range n.Attr {
					if strings.HasPrefix(a.Key, "on") || a.Key == "autofocus" || a.Key == "style" {
						t.Errorf("%T with %.40q: attribute %s", p, x, a.Key)
					}
					if a.Key == "href" || a.Key == "action" || a.Key == "src" || a.Key == "content" {
						if strings.Contains(strings.ToLower(a.Val), "javascript:") && !strings.Contains(a.Val, "/javascript:") {
							t.Errorf("%T with %.40q: %s is %q", p, x, a.Key, a.Val)
						}
					}
				}
			})
			if bytes.Contains(data, []byte("<img src=x")) {
				t.Errorf("%T with %.40q: markup came through", p, x)
			}
		}
	}
}

// hiddenText has the bidirectional controls, zero-width and further characters that are
// drawn as nothing, and letters that are not: Hebrew and Arabic.
const hiddenText = "a\u202eb\u2066c\u2069\u200b\u2028\u00ad\u061c שרה محمد"

// TestA18_StaffSeeHiddenCharacters: on staff pages a name cannot pass for another, nor
// reorder the words around it.
func TestA18_StaffSeeHiddenCharacters(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	f := layout(page.English)
	f.SignedIn, f.Staff = hiddenText, []page.StaffLink{{Key: "helpdesk", Path: "/helpdesk"}}
	const shown = `a\u202eb\u2066c\u2069\u200b\u2028\u00ad\u061c שרה محمد`
	for _, p := range hostileAdmin(f, hiddenText) {
		root := parse(t, render(t, r, p))
		whole := text(root)
		walk(root, func(n *html.Node) {
			for _, a := range n.Attr {
				if a.Key != "value" { // goes back as it came
					whole += a.Val
				}
			}
		})
		if i := strings.IndexFunc(whole, func(r rune) bool { return unicode.In(r, unicode.Cf, unicode.Zl) }); i >= 0 {
			t.Errorf("%T shows %q", p, whole[max(0, i-20):i+20])
		}
		if !strings.Contains(whole, shown) {
			t.Errorf("%T: %q is not on it", p, shown)
		}
	}
}

// TestFieldsKeepHiddenCharacters: what a form sends back is what it was given.
func TestFieldsKeepHiddenCharacters(t *testing.T) {
	t.Parallel()
	f := layout(page.English)
	f.Staff = []page.StaffLink{{Key: "helpdesk", Path: "/helpdesk"}}
	root := parse(t, render(t, renderer(t), page.FindPeople{Layout: f, Query: hiddenText}))
	if got := attr(byID(root, "q"), "value"); got != hiddenText {
		t.Errorf("got %q, want %q", got, hiddenText)
	}
}

// TestOwnPagesKeepNames: people see the names of their devices as they gave them.
func TestOwnPagesKeepNames(t *testing.T) {
	t.Parallel()
	const name = "👩\u200d💻 שרה"
	root := parse(t, render(t, renderer(t), page.RemoveDevice{Layout: layout(page.English), Device: page.DeviceCard{Name: name}}))
	if got := text(elements(root, "h1")[0]); !strings.Contains(got, name) {
		t.Errorf("got %q, want %q in it", got, name)
	}
}

// A mark inside a value must not be taken for the mark of a value.
func TestA18_ValuesAreNotMarkup(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	for _, name := range []string{"**bold**", "{{.Org}}", "\ue0000\ue001"} {
		root := parse(t, render(t, r, page.RemoveDevice{Device: page.DeviceCard{Name: name}}))
		h1 := elements(root, "h1")[0]
		if got, want := text(h1), "Remove "+name+"?"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		bdi := elements(h1, "bdi")
		if len(bdi) != 1 || text(bdi[0]) != name {
			t.Errorf("name %q is not set apart from the sentence", name)
		}
	}
}

// Foreign text must not open or close elements: the skeleton of a page is the
// same with and without markup in it.
func TestA18_SkeletonStays(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	plain, hostile := hostilePages("x"), hostilePages(`</p></main><script>alert(1)</script><form action=//evil><h1>`)
	for i := range plain {
		got, want := tags(parse(t, render(t, r, hostile[i]))), tags(parse(t, render(t, r, plain[i])))
		// Groups of a serial depend on its length.
		trim := strings.NewReplacer("span ", "", "wbr ", "")
		if trim.Replace(got) != trim.Replace(want) {
			t.Errorf("%T: skeleton changed\n got %s\nwant %s", plain[i], got, want)
		}
	}
}

func TestA18_LanguageLinksStayHere(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	for _, path := range append(hostileTexts(), "/new?p=ios&lang=de", "?a=b#c") {
		root := parse(t, render(t, r, page.Help{Layout: page.Layout{Path: path}}))
		for _, a := range elements(elements(root, "footer")[0], "a") {
			if href := attr(a, "href"); !strings.HasPrefix(href, "?") && href != "/help" {
				t.Errorf("path %.40q: link leads to %q", path, href)
			}
		}
	}
}

func TestShellName(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, saved, want string }{
		{"plain", "example-co.p12", "example-co.p12"},
		{"space", "a b.p12", "./'a b.p12'"},
		{"command", "$(id).p12", "./'$(id).p12'"},
		{"backticks", "`id`.p12", "./'`id`.p12'"},
		{"several commands", "a; id & b.p12", "./'a; id & b.p12'"},
		{"quote", "it's.p12", `./'it'\''s.p12'`},
		{"two quotes", "''.p12", `./''\'''\''.p12'`},
		{"history", "wow!.p12", "./'wow!.p12'"},
		{"home", "~root.p12", "./'~root.p12'"},
		{"other script", "例-手机.p12", "./'例-手机.p12'"},
		{"option", "-x.p12", "./'-x.p12'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := (page.Install{SavedAs: tt.saved}).ShellName(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
