package page_test

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"certportal/web/page"
)

// TestLoginForm shows where the form for name and password is: folded away behind
// the way to the provider, unless something in it is wrong; gone when no password
// is taken.
func TestLoginForm(t *testing.T) {
	t.Parallel()
	wrong := []page.FieldError{{Field: "username", Key: page.ErrWrong}}
	denied := []page.FieldError{{Field: "sso", Key: page.ErrSSODenied, Value: "Corp"}}
	tests := []struct {
		name               string
		page               page.Login
		way                string // to the provider
		form, folded, open bool
	}{
		{"without provider", page.Login{Next: "/new"}, "", true, false, false},
		{"with provider", page.Login{Provider: "Corp"}, "/login/sso", true, true, false},
		{"on the way to a page", page.Login{Provider: "Corp", Next: "/new?p=ios"}, "/login/sso?next=%2Fnew%3Fp%3Dios", true, true, false},
		{"wrong password", page.Login{Provider: "Corp", Errors: wrong}, "/login/sso", true, true, true},
		{"refused at the provider", page.Login{Provider: "Corp", Errors: denied}, "/login/sso", true, true, false},
		{"provider only", page.Login{Provider: "Corp", PasswordOff: true}, "/login/sso", false, false, false},
	}
	r := renderer(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := parse(t, render(t, r, tt.page))
			if got := linkOf(root, "sso"); got != tt.way {
				t.Errorf("way to the provider: got %q, want %q", got, tt.way)
			}
			form := byID(root, "password") != nil
			details := elements(root, "details")
			open := len(details) == 1 && hasAttribute(details[0], "open")
			if form != tt.form || (len(details) == 1) != tt.folded || open != tt.open {
				t.Errorf("form %v, folded %v, open %v, want %v, %v, %v", form, len(details) == 1, open, tt.form, tt.folded, tt.open)
			}
			primary := 0
			for _, tag := range []string{"a", "button"} {
				for _, e := range elements(elements(root, "main")[0], tag) {
					if attr(e, "class") == "btn" {
						primary++
					}
				}
			}
			if primary != 1 {
				t.Errorf("got %d primary buttons, want 1", primary)
			}
		})
	}
}

// TestCountedDown: the page shows how long the pause will be, which the directory's own
// policy may have lengthened, and the same for every account: only the right password
// reveals whether the account is locked.
func TestCountedDown(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	wrong := []page.FieldError{{Field: "username", Key: page.ErrWrong}}
	tests := []struct {
		name string
		page page.Login
		want string // empty: nothing is counted
	}{
		{"not counted", page.Login{}, ""},
		{"two left", page.Login{TriesLeft: 2, Pause: 15 * time.Minute}, "You have 2 tries left before a 15-minute pause."},
		{"one left", page.Login{TriesLeft: 1, Pause: 29*time.Minute + time.Second}, "You have 1 try left before a 30-minute pause."},
		{"none left", page.Login{Pause: time.Hour}, "You have no tries left. Signing in to this account is paused here for 60 minutes."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.page.Errors = wrong
			got := text(parse(t, render(t, r, tt.page)))
			if !strings.Contains(got, tt.want) || strings.Contains(got, "may be locked") != (tt.want != "") ||
				tt.want == "" && strings.Contains(got, "pause") {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestOutdated shows a changed name in words and with an icon, and the way out.
func TestOutdated(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	old := cards()[0]
	old.Outdated, old.Renewable = true, true
	home := parse(t, render(t, r, page.Home{Devices: []page.DeviceCard{old}}))
	device := parse(t, render(t, r, page.Device{Device: old, Token: "tok"}))
	for name, root := range map[string]*html.Node{"home": home, "device": device} {
		var notice *html.Node
		walk(root, func(n *html.Node) {
			if attr(n, "class") == "box warn" {
				notice = n
			}
		})
		if notice == nil || !strings.Contains(text(notice), "Your work name has changed.") ||
			len(elements(notice, "svg")) != 1 || len(elements(notice, "a")) != 1 {
			t.Errorf("%s: no notice with an icon and a link", name)
		}
	}
	first := ""
	walk(device, func(n *html.Node) {
		if attr(n, "class") == "btn" {
			first += n.Data + " " + attr(n, "href")
		}
	})
	if first != "a /devices/d1/renew" {
		t.Errorf("the page's first act is %q, want to renew", first)
	}
	removed := parse(t, render(t, r, page.Device{Device: old, Removed: true}))
	if strings.Contains(text(removed), "has changed") {
		t.Error("a removed device asks for a new file")
	}
}

// TestWaysOut checks the button of the problems that have one of their own.
func TestWaysOut(t *testing.T) {
	t.Parallel()
	f := page.Layout{Lang: page.English}
	tests := []struct {
		name string
		page page.Problem
		href string
	}{
		{"password run out", page.Problem{Layout: f, Kind: page.PasswordOld}, "https://password.example.com/"},
		{"provider down", page.Problem{Layout: f, Kind: page.Provider, Detail: "Corp", SignIn: "/login?next=%2Fnew"}, "/login?next=%2Fnew#username"},
		{"provider down, no passwords", page.Problem{Layout: f, Kind: page.Provider, Detail: "Corp"}, "/"},
		{"restricted", page.Problem{Layout: f, Kind: page.Restricted}, "tel:+49301234567"},
		{"protected", page.Problem{Layout: f, Kind: page.Protected}, "tel:+49301234567"},
		{"conflict", page.Problem{Layout: f, Kind: page.Conflicting}, "tel:+49301234567"},
		{"unknown person", page.Problem{Layout: f, Kind: page.UnknownPerson, Detail: "Corp"}, "tel:+49301234567"},
	}
	r := renderer(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, a := range elements(elements(parse(t, render(t, r, tt.page)), "main")[0], "a") {
				if attr(a, "class") == "btn" {
					got = append(got, attr(a, "href"))
				}
			}
			if len(got) != 1 || got[0] != tt.href {
				t.Errorf("got buttons to %q, want %q", got, tt.href)
			}
		})
	}
}

func hasAttribute(n *html.Node, name string) bool {
	_, ok := attribute(n, name)
	return ok
}

func linkOf(root *html.Node, id string) string {
	if n := byID(root, id); n != nil {
		return attr(n, "href")
	}
	return ""
}
