package e2e

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// User-Agents of the tests.
const (
	androidUA = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36"
	iphoneUA  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1"
	wechatUA  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.53 NetType/WIFI Language/zh_CN"
	windowsUA = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
)

// tab is one browser window with its own cookies.
type tab struct {
	t   *testing.T
	ctx context.Context
	dir string // downloads
}

// look is the device, width, colour scheme and language of a window.
type look struct {
	agent    string
	width    int64
	dark     bool
	scripts  bool
	language string
	home     string // of the browser, with its certificates; default an empty one
}

// openTab starts Chromium for one test.
func openTab(t *testing.T, l look) *tab {
	t.Helper()
	need(t, "chromium")
	if l.home == "" {
		l.home = t.TempDir()
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(),
		chromedp.ExecPath("chromium"), chromedp.Headless, chromedp.NoSandbox, chromedp.NoFirstRun, chromedp.DisableGPU,
		chromedp.IgnoreCertErrors, chromedp.UserDataDir(t.TempDir()),
		chromedp.Env("HOME="+l.home), // downloads must not end up in the developer's home
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
	)
	t.Cleanup(cancel)
	ctx, cancelTab := chromedp.NewContext(ctx)
	t.Cleanup(cancelTab)
	// The browser lives as long as the context of its first step.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	b := &tab{t: t, ctx: ctx, dir: t.TempDir()}
	b.look(l)
	return b
}

// look changes device, width, scheme and language of the window.
func (b *tab) look(l look) {
	b.t.Helper()
	if l.agent == "" {
		l.agent = androidUA
	}
	if l.width == 0 {
		l.width = 390
	}
	if l.language == "" {
		l.language = "en"
	}
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	b.do(chromedp.Navigate("about:blank"))
	b.call(func() (any, error) {
		return chromedp.Call(b.ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{
			UserAgent: l.agent, AcceptLanguage: l.language,
		})
	})
	b.view(l.width, scheme)
	b.call(func() (any, error) {
		return chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !l.scripts})
	})
}

func (b *tab) call(f func() (any, error)) {
	b.t.Helper()
	if _, err := f(); err != nil {
		b.t.Fatal(err)
	}
}

// patience bounds one step; then the test fails with the page it is on.
const patience = 30 * time.Second

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// open loads an address. A page that reloads itself at this moment aborts the first try.
func (b *tab) open(address string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	err := chromedp.Do(ctx, chromedp.Navigate(address))
	if err != nil && strings.Contains(err.Error(), "net::ERR_ABORTED") {
		err = chromedp.Do(ctx, chromedp.Navigate(address))
	}
	if err != nil {
		b.t.Fatalf("opening %s: %v", address, err)
	}
}

// press clicks a link or button that loads another page, and waits for that page.
func (b *tab) press(selector string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(selector)); err != nil {
		b.t.Fatalf("pressing %s: %v\n%s", selector, err, b.text("body"))
	}
}

// fill replaces the value of a field.
func (b *tab) fill(selector, value string) {
	b.t.Helper()
	b.do(chromedp.Clear(selector), chromedp.SendKeys(selector, value))
}

func (b *tab) text(selector string) string {
	b.t.Helper()
	return run(b, chromedp.TextContent(selector))
}

func (b *tab) path() string { b.t.Helper(); return eval[string](b, "location.pathname") }

func (b *tab) attribute(selector, name string) string {
	b.t.Helper()
	return run(b, chromedp.AttributeValue(selector, name)).Value
}

// run reads from the page. If the page reloads itself during the read, run waits until
// the page is there again and reads from it.
func run[T any](b *tab, a chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	for {
		v, err := chromedp.Run(ctx, a)
		if err == nil {
			return v
		}
		if !pageReplaced(err) {
			b.t.Fatal(err)
		}
		if err := chromedp.Do(ctx, chromedp.WaitReady("body")); err != nil && !pageReplaced(err) {
			b.t.Fatal(err)
		}
	}
}

// pageReplaced reports whether a read failed because the page that it began on was
// replaced. Chromium answers with its general error code then, in various words.
func pageReplaced(err error) bool {
	var failed *cdproto.Error
	return errors.As(err, &failed) && failed.Code == -32000
}

func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	return run(b, chromedp.Evaluate[T](expression))
}

// download presses a link and gives the file it leads to and its name.
func (b *tab) download(selector string) (file, name string) {
	b.t.Helper()
	events := true
	b.call(func() (any, error) {
		return chromedp.CallBrowser(b.ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
			Behavior: browser.SetDownloadBehaviorBehaviorAllowAndName, DownloadPath: b.dir, EventsEnabled: &events,
		})
	})
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	begins := chromedp.BrowserEvents(ctx, browser.DownloadWillBegin)
	progress := chromedp.BrowserEvents(ctx, browser.DownloadProgress)
	b.do(chromedp.Click(selector))
	for ev, err := range begins {
		if err != nil {
			b.t.Fatal(err)
		}
		name = ev.SuggestedFilename
		break
	}
	for ev, err := range progress {
		if err != nil {
			b.t.Fatal(err)
		}
		switch ev.State {
		case browser.DownloadProgressStateCompleted:
			return filepath.Join(b.dir, ev.GUID), name
		case browser.DownloadProgressStateCanceled:
			b.t.Fatalf("the download of %s was cancelled", name)
		}
	}
	b.t.Fatal("no download came")
	return "", ""
}

// picture saves what the window shows, where E2E_PICTURES names a folder.
func (b *tab) picture(name string) {
	b.t.Helper()
	dir := os.Getenv("E2E_PICTURES")
	if dir == "" {
		return
	}
	png := run(b, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// signIn signs a person in through the page. Where that leads to the form for a first
// device, it goes on to the home page.
func (b *tab) signIn(d *demo, p person) {
	b.t.Helper()
	b.open(d.https + "/login")
	b.fill(`input[name="username"]`, p.Username)
	b.fill(`input[name="password"]`, p.Password)
	b.press(`main form .btn`)
	want, staff := map[string]string{"helpdesk": "/helpdesk", "auditor": "/admin", "admin": "/admin"}[p.Role]
	if !staff {
		want = "/"
	}
	if !staff && b.path() == "/new" {
		b.open(d.https + "/")
	}
	if got := b.path(); got != want {
		b.t.Fatalf("after signing in at %s, want %s:\n%s", got, want, b.text("main"))
	}
}
