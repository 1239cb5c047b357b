package page_test

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/html"

	"certportal/internal/test/testkit"
	"certportal/web/page"
)

func renderer(t testing.TB) *page.Renderer {
	t.Helper()
	return testkit.Must(newRenderer())(t)
}

// newRenderer is called once: parsing the templates takes its time.
var newRenderer = sync.OnceValues(func() (*page.Renderer, error) {
	r, err := page.New(config())
	if err != nil {
		return nil, err
	}
	arabic, err := os.ReadFile("testdata/ar.json")
	if err != nil {
		return nil, err
	}
	return r, r.AddCatalogue("ar", arabic)
})

func render(t testing.TB, r *page.Renderer, p page.Page) []byte {
	t.Helper()
	data, err := r.Render(p)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parse(t testing.TB, data []byte) *html.Node {
	t.Helper()
	root, err := html.Parse(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// rendering is a sample in one language, rendered once for all tests.
type rendering struct {
	name, lang string
	sample     sample
	data       []byte
	err        error
}

var renderings = sync.OnceValues(func() ([]rendering, error) {
	r, err := newRenderer()
	if err != nil {
		return nil, err
	}
	var all []rendering
	for _, lang := range append(page.Languages(), "ar") {
		for kind, samples := range map[string][]sample{"filled": filled(lang), "minimal": minimal(lang)} {
			for _, s := range samples {
				data, err := r.Render(s.page)
				all = append(all, rendering{lang + "/" + kind + "/" + s.name, lang, s, data, err})
			}
		}
	}
	return all, nil
})

// everyPage calls check for every page in every state and language, the right-to-left
// test language included.
func everyPage(t *testing.T, check func(t *testing.T, lang string, s sample, data []byte)) {
	for _, p := range testkit.Must(renderings())(t) {
		t.Run(p.name, func(t *testing.T) {
			testkit.NoError(t, p.err)
			check(t, p.lang, p.sample, p.data)
		})
	}
}

func TestNoLeftovers(t *testing.T) {
	t.Parallel()
	key := regexp.MustCompile(`\b(login|home|new|bring|install|steps|trouble|trust|profile|mailapp|device|remove|quota|problem|help|anchors|frame|handoff|refusal|status|platform)\.[a-z]`)
	everyPage(t, func(t *testing.T, _ string, _ sample, data []byte) {
		words := strings.ReplaceAll(text(parse(t, data)), "L** W**", "") // a name hinted at
		for _, leftover := range []string{"{{", "}}", "**", "<no value>", "\ue000", "%!"} {
			if strings.Contains(words, leftover) {
				t.Errorf("page shows %q", leftover)
			}
		}
		words = strings.ReplaceAll(words, "help@", "") // of no address
		words = strings.ReplaceAll(words, "helpdesk@example.com", "")
		if m := key.FindString(words); m != "" {
			t.Errorf("page shows the key %q", m)
		}
	})
}

func TestTitles(t *testing.T) {
	t.Parallel()
	everyPage(t, func(t *testing.T, lang string, s sample, data []byte) {
		root := parse(t, data)
		title, h1 := text(elements(root, "title")[0]), text(elements(root, "h1")[0])
		if !strings.Contains(title, h1+" - ") {
			t.Errorf("title %q does not name the heading %q", title, h1)
		}
		if lang != page.English {
			return
		}
		wrong := len(elements(root, "html")) == 1 && bytes.Contains(data, []byte(`role="alert"`))
		if got := strings.HasPrefix(title, "Error: "); got != wrong {
			t.Errorf("title %q: marked as error %t, want %t", title, got, wrong)
		}
		if !strings.HasSuffix(title, " - Example Co Certificates") {
			t.Errorf("title %q does not name the portal", title)
		}
	})
}

func TestWeight(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	var shared int
	for _, name := range []string{"app.css", "app.js"} {
		a, _ := r.Assets().Lookup(filepath.Base(r.Assets().Path(name)))
		shared += len(a.Gzip)
	}
	everyPage(t, func(t *testing.T, _ string, _ sample, data []byte) {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(data)
		_ = w.Close()
		if b.Len() > 8<<10 {
			t.Errorf("HTML: %d bytes compressed, want at most 8 KB", b.Len())
		}
		if total := b.Len() + shared; total > 20<<10 {
			t.Errorf("page in all: %d bytes, want at most 20 KB", total)
		}
	})
}

func TestErrorsStandTwice(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	data := render(t, r, page.Login{Errors: []page.FieldError{
		{Field: "username", Key: page.ErrUsernameEmpty}, {Field: "password", Key: page.ErrPasswordEmpty}}})
	root := parse(t, data)
	for _, want := range []struct{ field, words string }{
		{"username", "Enter your username"}, {"password", "Enter your password"},
	} {
		if got := text(byID(root, want.field+"-error")); got != "Error: "+want.words {
			t.Errorf("at the field: got %q, want %q", got, want.words)
		}
		if !strings.Contains(text(byID(root, "summary")), want.words) {
			t.Errorf("summary does not say %q", want.words)
		}
		if attr(byID(root, want.field), "aria-invalid") != "true" {
			t.Errorf("field %s is not marked as wrong", want.field)
		}
	}
	if v := attr(byID(root, "password"), "value"); v != "" {
		t.Errorf("password field came back with %q", v)
	}
}

func TestInstallPage(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	p := install(layout(page.English), page.IOS)
	root := parse(t, render(t, r, p))
	password := byID(root, "install-password")
	if got, want := rawText(password), strings.Join(p.Password, ""); got != want {
		t.Errorf("password as selected: got %q, want %q without separators", got, want)
	}
	if password.Data != "bdi" || attr(password, "dir") != "ltr" {
		t.Error("password is not set apart from right-to-left text")
	}
	if got := attr(byID(root, "download"), "href"); got != p.Download {
		t.Errorf("download: got %q, want %q", got, p.Download)
	}
	p.Password, p.Download = nil, ""
	over := parse(t, render(t, r, p))
	if byID(over, "download") != nil || byID(over, "install-password") != nil {
		t.Error("a closed pickup still offers a file or a password")
	}
	form := elements(over, "main")[0]
	if got := attr(elements(form, "input")[0], "value"); got != p.TokenForNewFile {
		t.Errorf("token of the new file: got %q, want %q", got, p.TokenForNewFile)
	}
}

// The download comes first, everything urgent about it is in its step, and the password
// follows it.
func TestInstallPageBeginsWithTheDownload(t *testing.T) {
	t.Parallel()
	everyPage(t, func(t *testing.T, lang string, s sample, data []byte) {
		p, ok := s.page.(page.Install)
		if !ok || p.Download == "" {
			return
		}
		root := parse(t, data)
		first := elements(elements(root, "ol")[0], "li")[0]
		if byID(first, "download") == nil {
			t.Fatal("the first step holds no download")
		}
		if button, password := bytes.Index(data, []byte(`id="download"`)), bytes.Index(data, []byte(`class="pw"`)); p.Password != nil && password < button {
			t.Error("a password is above the download")
		}
		if lang != page.English {
			return
		}
		words := text(first)
		for _, want := range []struct {
			words string
			on    bool
		}{
			{"within 8 minutes", p.Platform == page.IOS},
			{"Open this page in Safari.", p.WrongBrowser()},
			{"It can be downloaded once more.", p.ReadsLeft == 1},
		} {
			if strings.Contains(words, want.words) != want.on {
				t.Errorf("first step, %q: got %t, want %t: %s", want.words, !want.on, want.on, words)
			}
		}
		if got := strings.Contains(text(root), "Install from phone storage. Choose"); got != p.Samsung {
			t.Errorf("Samsung's path in the steps: got %t, want %t", got, p.Samsung)
		}
	})
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	auto := install(layout(page.English), page.Windows)
	auto.AutoStart = true
	tests := []struct {
		name string
		page page.Page
		want string
	}{
		{"desktop starts the download", auto, "0;url=" + auto.Download},
		{"phone waits for a tap", install(layout(page.English), page.IOS), ""},
		{"home stays", page.Home{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			for _, meta := range elements(parse(t, render(t, r, tt.page)), "meta") {
				if attr(meta, "http-equiv") == "refresh" {
					got = attr(meta, "content")
				}
			}
			if got != tt.want {
				t.Errorf("refresh: got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestUnknownKindIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := renderer(t).Render(page.Problem{Kind: "nonsense"}); err == nil {
		t.Error("rendering an unknown kind of problem: got no error")
	}
}

func TestFallback(t *testing.T) {
	t.Parallel()
	root := parse(t, renderer(t).Fallback())
	if got, want := text(elements(root, "h1")[0]), "There is a problem with the portal"; got != want {
		t.Errorf("fallback: got %q, want %q", got, want)
	}
}

func BenchmarkRender(b *testing.B) {
	r := renderer(b)
	p := install(layout(page.German), page.IOS)
	for b.Loop() {
		render(b, r, p)
	}
}
