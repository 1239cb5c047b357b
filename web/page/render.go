package page

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"certportal/internal/catalogue"
	"certportal/static"
	"certportal/templates"
)

// Helpdesk is how people reach help. Every field is optional.
type Helpdesk struct {
	Phone string // as people read it; the link is made from its digits
	Mail  string
	Hours catalogue.Text // "Monday to Friday, 8 to 17"

	AfterHours string // telephone number outside these hours
}

// Config is what the pages say about the company.
type Config struct {
	Org         string         // name of the company, required
	Accent      string         // colour "#rrggbb" of buttons and links; optional
	Logo        []byte         // PNG of at most 20 KB; optional
	Helpdesk    Helpdesk       // optional
	Services    catalogue.Text // what a certificate opens, such as "mail"; optional, default in the page's language
	PasswordURL string         // where people change their work password; optional
	Location    *time.Location // zone of the times shown; default time.Local
}

// Renderer turns pages into HTML. It is safe for concurrent use.
type Renderer struct {
	site
	org      string
	services catalogue.Text
	location *time.Location
	words    messages
	assets   *static.Set
	pages    map[string]*template.Template
	fallback []byte
}

// site holds what templates print about the company.
type site struct {
	Org         string
	Initial     string // first letter of Org, the mark where there is no logo
	Logo        *logo
	Helpdesk    Helpdesk
	PasswordURL string
}

// New parses every template and catalogue. It refuses an empty Org, a colour
// that is not "#rrggbb" and a logo that is not a small PNG.
func New(c Config) (*Renderer, error) {
	r := &Renderer{org: strings.TrimSpace(c.Org), services: c.Services, location: c.Location}
	if r.org == "" {
		return nil, fmt.Errorf("naming the company: empty name")
	}
	if r.location == nil {
		r.location = time.Local
	}
	initial, _ := utf8.DecodeRuneInString(r.org)
	r.site = site{
		Org: r.org, Initial: strings.ToUpper(string(initial)),
		Helpdesk: c.Helpdesk, PasswordURL: c.PasswordURL,
	}
	var err error
	if r.assets, err = r.brand(c); err != nil {
		return nil, err
	}
	if r.words.Catalogue, err = catalogue.Read(templates.Files); err != nil {
		return nil, err
	}
	if r.pages, err = parsePages(templates.Files); err != nil {
		return nil, err
	}
	r.fallback, err = r.Render(Problem{Layout: Layout{Lang: English, Path: "/"}, Kind: Server})
	if err != nil {
		return nil, fmt.Errorf("rendering fallback page: %w", err)
	}
	return r, nil
}

// parsePages joins layout, partials and each page into one template per page.
func parsePages(files fs.FS) (map[string]*template.Template, error) {
	layout, err := template.New("layout.html").ParseFS(files, "layout.html", "partials/*.html")
	if err != nil {
		return nil, fmt.Errorf("parsing layout: %w", err)
	}
	names, err := fs.Glob(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("listing pages: %w", err)
	}
	pages := make(map[string]*template.Template, len(names))
	for _, name := range names {
		t, err := layout.Clone()
		if err != nil {
			return nil, fmt.Errorf("copying layout for %s: %w", name, err)
		}
		if _, err := t.ParseFS(files, name); err != nil {
			return nil, fmt.Errorf("parsing page %s: %w", name, err)
		}
		pages[strings.TrimSuffix(path.Base(name), ".html")] = t
	}
	return pages, nil
}

// Render makes the HTML of a page in memory. An error means that a template, a
// sentence or a Kind does not fit the page; nothing of it may be sent then.
func (r *Renderer) Render(p Page) ([]byte, error) {
	t, ok := r.pages[p.name()]
	if !ok {
		return nil, fmt.Errorf("rendering page %s: no such template", p.name())
	}
	var b bytes.Buffer
	v := view{P: p, Layout: p.layout(), r: r, lang: r.words.Known(p.layout().Lang), page: p}
	if err := t.Execute(&b, v); err != nil {
		return nil, fmt.Errorf("rendering page %s: %w", p.name(), err)
	}
	if len(p.layout().Staff) > 0 {
		return showHidden(b.Bytes()), nil
	}
	return b.Bytes(), nil
}

// Fallback is a page made in advance, in English, for when rendering itself
// fails. It names no request. Callers must not change it.
func (r *Renderer) Fallback() []byte { return r.fallback }

// Location is the zone of the times on the pages.
func (r *Renderer) Location() *time.Location { return r.location }

// Assets are the files the pages refer to, the brand's among them.
func (r *Renderer) Assets() *static.Set { return r.assets }

// maxName is the longest name of a device, in characters.
const maxName = 40

// SuggestName makes the name of a new device, "Anna's iPhone", at most 40
// characters long. given may be empty; platform is one of the platforms. It
// leaves given out where the two together would be too long.
func (r *Renderer) SuggestName(lang, given, platform string) string {
	v := view{r: r, lang: r.words.Known(lang)}
	thing, err := v.phrase("thing." + platform)
	if err != nil {
		return ""
	}
	given = strings.TrimSpace(given)
	if given == "" {
		return string(thing)
	}
	// A German genitive of a name in s, x or z takes an apostrophe alone.
	key := "new.suggested"
	if last, _ := utf8.DecodeLastRuneInString(strings.ToLower(given)); strings.ContainsRune("sxzß", last) {
		key = "new.suggested.s"
	}
	name, err := v.phrase(key, "Given", given, "Thing", thing)
	if err != nil || utf8.RuneCountInString(string(name)) > maxName {
		return string(thing)
	}
	return string(name)
}
