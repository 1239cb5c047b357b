package web_test

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

const day = 24 * time.Hour

// TestDeviceStates follows one device through its life on the home page.
func TestDeviceStates(t *testing.T) {
	t.Parallel()
	f := newFile(t, "ios")
	home := func() string {
		t.Helper()
		return f.signedIn("anna", iPhone).get("/?lang=en").text()
	}
	steps := []struct {
		name  string
		do    func()
		words string
	}{
		{"fresh", func() {}, "Not downloaded"},
		{"file fetched", func() { f.anonymous.get(f.href) }, "Downloaded"},
		{"its person says so", func() { f.owner.post(f.device + "/finish") }, "Works"},
		{"a month before its end", func() { f.clock.Advance(365*day - 20*day) }, "Ends soon"},
		{"after its end", func() { f.clock.Advance(21 * day) }, "Expired"},
		{"long after", func() { f.clock.Advance(40 * day) }, "Old certificates"},
	}
	for _, step := range steps {
		step.do()
		if got := home(); !strings.Contains(got, step.words) {
			t.Errorf("%s: home does not say %q: %s", step.name, step.words, got)
		}
	}
}

// TestGuess offers the platform that asks, and lets it be corrected.
func TestGuess(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	tests := []struct{ name, agent, platform, words string }{
		{"iPhone", iPhone, "ios", "Anna’s iPhone"},
		{"Android", android, "android", "Anna’s"},
		{"Linux", linux, "linux", "Anna’s"},
	}
	for _, tt := range tests {
		got := p.signedIn("anna", tt.agent).get("/new?lang=en")
		if got.value("platform") != tt.platform || !strings.HasPrefix(got.value("name"), tt.words) {
			t.Errorf("%s: got %q on %q", tt.name, got.value("name"), got.value("platform"))
		}
	}
	b := p.signedIn("anna", "curl/8")
	if got := b.get("/new"); got.status != 303 || got.location() != "/new/platform" {
		t.Errorf("unknown device: got %d to %q, want the question", got.status, got.location())
	}
	if got := b.get("/new/platform"); got.status != 200 {
		t.Errorf("question: got %d", got.status)
	}
	if got := b.get("/new?p=windows"); got.value("platform") != "windows" {
		t.Errorf("chosen: got %q", got.value("platform"))
	}
}

// TestSuggestionIsFree numbers the name for the second device of a kind.
func TestSuggestionIsFree(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	first := b.get("/new?p=ios&lang=en").value("name")
	b.enrol(first, "ios")
	second := b.get("/new?p=ios&lang=en").value("name")
	if second != first+" 2" {
		t.Errorf("got %q after %q", second, first)
	}
	if got := b.post("/new", "name", second, "platform", "ios"); got.status != 303 {
		t.Errorf("taking the suggestion: got %d", got.status)
	}
}

// TestAutoStart starts the download on a desktop, once; never on a phone.
func TestAutoStart(t *testing.T) {
	t.Parallel()
	f := newFile(t, "linux")
	refresh := func(a answer) bool {
		return a.node(func(n *html.Node) bool { return n.Data == "meta" && attr(n, "http-equiv") == "refresh" }) != nil
	}
	path := f.device + "/install"
	if !refresh(f.owner.get(path, "User-Agent", linux)) {
		t.Error("on the desktop: no download starts")
	}
	if refresh(f.owner.get(path, "User-Agent", iPhone)) || refresh(f.owner.get(path+"?p=ios", "User-Agent", linux)) {
		t.Error("a download starts on another device than the steps are for")
	}
	f.anonymous.get(f.href)
	if refresh(f.owner.get(path, "User-Agent", linux)) {
		t.Error("a reload starts it again")
	}
}
