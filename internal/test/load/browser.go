// Package load makes load: people with browsers who sign in, enrol and download, at a rate that
// does not wait for the portal, and clients that ask by OCSP. Its tests and benchmarks run the
// real program under it.
package load

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

const android = "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36"

var (
	// ErrPage means that another page came than expected.
	ErrPage = errors.New("another page than expected")

	// ErrNoAnswer means that no answer came, or a status of the server's own. Browser.Done
	// has it.
	ErrNoAnswer = errors.New("no answer to use")
)

// Browser is the browser of one person.
type Browser struct {
	Base string // address of the portal: https and host
	HTTP *http.Client

	// Done is called after each request; failure is empty for an answer that a person can
	// use. Optional.
	Done func(began time.Time, failure string)
}

// NewBrowser returns a browser without cookies.
func NewBrowser(base string, transport http.RoundTripper) *Browser {
	jar, _ := cookiejar.New(nil) // never fails
	return &Browser{Base: base, HTTP: &http.Client{
		Jar: jar, Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Answer is what a browser shows.
type Answer struct {
	Status   int
	Header   http.Header
	Location string
	Body     string
}

var tags = regexp.MustCompile(`<[^>]*>`)

// Is returns an error that shows the page unless it has the status.
func (a Answer) Is(status int) error {
	if a.Status == status {
		return nil
	}
	text := strings.Join(strings.Fields(tags.ReplaceAllString(a.Body, " ")), " ")
	return fmt.Errorf("%w: status %d to %q, want %d: %.300s", ErrPage, a.Status, a.Location, status, text)
}

// Find is the part of the page that a pattern has in parentheses.
func (a Answer) Find(pattern string) (string, error) {
	found := regexp.MustCompile(pattern).FindStringSubmatch(a.Body)
	if found == nil {
		return "", fmt.Errorf("%w: it lacks %s: %w", ErrPage, pattern, a.Is(0))
	}
	text := tags.ReplaceAllString(found[1], "")
	return html.UnescapeString(strings.Join(strings.Fields(text), "")), nil
}

// Get asks for a page of the portal, or for an address.
func (b *Browser) Get(ctx context.Context, path string) (Answer, error) {
	address := path
	if strings.HasPrefix(path, "/") {
		address = b.Base + path
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return Answer{}, err
	}
	return b.do(req)
}

// Post sends a form as a page of the portal does, with fields in pairs.
func (b *Browser) Post(ctx context.Context, path string, pairs ...string) (Answer, error) {
	form := url.Values{}
	for n := 0; n < len(pairs); n += 2 {
		form.Set(pairs[n], pairs[n+1])
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.Base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", b.Base)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.do(req)
}

// do sends a request. What a person cannot use is an error: no answer, or a status of the
// server's own.
func (b *Browser) do(req *http.Request) (Answer, error) {
	req.Header.Set("User-Agent", android)
	began := time.Now()
	a, err := b.Send(req)
	switch {
	case req.Context().Err() != nil: // the person left
		return a, req.Context().Err()
	case err == nil && a.Status >= 500:
		err = a.Is(http.StatusOK)
	}
	failure := ""
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrNoAnswer, err)
		failure = fmt.Sprintf("%s %.300v", req.Method, err)
	}
	if b.Done != nil {
		b.Done(began, failure)
	}
	return a, err
}

// Send sends a request as it is.
func (b *Browser) Send(req *http.Request) (Answer, error) {
	resp, err := b.HTTP.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, resp.Header, resp.Header.Get("Location"), string(body)}, err
}

// SignIn signs a person in.
func (b *Browser) SignIn(ctx context.Context, login, password string) error {
	a, err := b.Post(ctx, "/login", "username", login, "password", password)
	if err != nil {
		return err
	}
	return a.Is(http.StatusSeeOther)
}

// File is a certificate that a person has in hand.
type File struct {
	Leaf   *x509.Certificate
	Device string // path of its page
}

// Enrol asks for a certificate and downloads the file, without cookies.
func (b *Browser) Enrol(ctx context.Context, name string) (File, error) {
	return b.EnrolBy(ctx, name, rand.Text())
}

// EnrolBy is Enrol with the token of a form.
func (b *Browser) EnrolBy(ctx context.Context, name, request string) (File, error) {
	a, err := b.Ask(ctx, name, request)
	if err != nil {
		return File{}, err
	}
	return b.Fetch(ctx, a.Location)
}

// Ask sends the form for a certificate.
func (b *Browser) Ask(ctx context.Context, name, request string) (Answer, error) {
	a, err := b.Post(ctx, "/new", "name", name, "platform", "android", "request", request)
	if err == nil {
		err = a.Is(http.StatusSeeOther)
	}
	return a, err
}

// Fetch opens the page with the password and downloads the file there.
func (b *Browser) Fetch(ctx context.Context, location string) (f File, err error) {
	page, err := b.Get(ctx, location)
	if err != nil {
		return f, err
	}
	link, err := page.Find(`href="(/d/[^"]+)"`)
	if err != nil {
		return f, err
	}
	install, err := page.Find(`(?s)id="install-password"[^>]*>(.*?)</bdi>`)
	if err != nil {
		return f, err
	}
	manager := &Browser{Base: b.Base, Done: b.Done, HTTP: &http.Client{Transport: b.HTTP.Transport, Timeout: b.HTTP.Timeout}}
	content, err := manager.Get(ctx, link)
	if err == nil {
		err = content.Is(http.StatusOK)
	}
	if err != nil {
		return f, err
	}
	_, leaf, _, err := pkcs12.DecodeChain([]byte(content.Body), install)
	if err != nil {
		return f, fmt.Errorf("%w: the file does not open: %w", ErrPage, err)
	}
	return File{leaf, strings.TrimSuffix(location, "/install")}, nil
}
