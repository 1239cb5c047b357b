package web_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// browser is one person's browser: a cookie jar, no automatic redirects.
type browser struct {
	t      testing.TB
	base   string
	client *http.Client
	agent  string
}

func (p *testPortal) browser(agent string) *browser {
	p.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	client := *p.https.Client()
	client.Jar = jar
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{t: p.t, base: p.https.URL, client: &client, agent: agent}
}

// signedIn is a browser in which the person signed in.
func (p *testPortal) signedIn(login, agent string) *browser {
	p.t.Helper()
	b := p.browser(agent)
	if got := b.post("/login", "username", login, "password", password); got.status != 303 {
		p.t.Fatalf("signing in %s: got %d: %s", login, got.status, got.text())
	}
	return b
}

// answer is a response that was read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// get asks for a page. Headers come in pairs.
func (b *browser) get(path string, headers ...string) answer {
	b.t.Helper()
	return b.do(http.MethodGet, path, nil, headers...)
}

// post sends a form the way a browser does, fields in pairs.
func (b *browser) post(path string, fields ...string) answer {
	b.t.Helper()
	values := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		values.Add(fields[i], fields[i+1])
	}
	return b.do(http.MethodPost, path, strings.NewReader(values.Encode()),
		"Content-Type", "application/x-www-form-urlencoded", "Origin", b.base, "Sec-Fetch-Site", "same-origin")
}

func (b *browser) do(method, path string, body io.Reader, headers ...string) answer {
	b.t.Helper()
	a, err := b.try(method, path, body, headers...)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

func (b *browser) try(method, path string, body io.Reader, headers ...string) (answer, error) {
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, body)
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("User-Agent", b.agent)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := b.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, data}, err
}

// cookie returns the value of a cookie the browser holds, "" for none.
func (b *browser) cookie(name string) string {
	b.t.Helper()
	u, err := url.Parse(b.base)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

func (a answer) location() string { return a.header.Get("Location") }

// node finds the first element for which match holds.
func (a answer) node(match func(*html.Node) bool) *html.Node {
	document, err := html.Parse(bytes.NewReader(a.body))
	if err != nil {
		return nil
	}
	for n := range document.Descendants() {
		if n.Type == html.ElementNode && match(n) {
			return n
		}
	}
	return nil
}

// id finds the element with the id.
func (a answer) id(id string) *html.Node {
	return a.node(func(n *html.Node) bool { return attr(n, "id") == id })
}

// value is what the form field of the name holds.
func (a answer) value(name string) string {
	n := a.node(func(n *html.Node) bool { return n.Data == "input" && attr(n, "name") == name })
	if n == nil {
		return ""
	}
	return attr(n, "value")
}

// text is all text of the page, in one line.
func (a answer) text() string {
	document, err := html.Parse(bytes.NewReader(a.body))
	if err != nil {
		return string(a.body)
	}
	return nodeText(document)
}

func nodeText(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// enrol gets a certificate for a new device and returns the device's path.
func (b *browser) enrol(name, platform string) string {
	b.t.Helper()
	form := b.get("/new?p=" + platform)
	got := b.post("/new", "name", name, "platform", platform, "request", form.value("request"))
	path, ok := strings.CutSuffix(got.location(), "/install")
	if got.status != 303 || !ok {
		b.t.Fatalf("enrolling %s: got %d to %q: %s", name, got.status, got.location(), got.text())
	}
	return path
}

// download is the address of the file on the device's page, and the password.
func (b *browser) download(device string) (href, installPassword string) {
	b.t.Helper()
	got := b.get(device + "/install")
	link, secret := got.id("download"), got.id("install-password")
	if link == nil || secret == nil {
		b.t.Fatalf("install page of %s offers no file: %d: %s", device, got.status, got.text())
	}
	return attr(link, "href"), strings.ReplaceAll(nodeText(secret), " ", "")
}
