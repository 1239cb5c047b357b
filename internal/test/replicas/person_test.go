package replicas

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"certportal/internal/test/testkit"
)

const android = "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36"

// browser is the browser of one person, at an address of its own.
type browser struct {
	watch *watch // nil: its requests are not counted
	http  *http.Client
}

// newBrowser is a browser without cookies in front of a balancer.
func (b *balancer) newBrowser(t testing.TB) *browser {
	t.Helper()
	from := &net.TCPAddr{IP: net.IPv4(127, 78, 0, 1)}
	_, _ = rand.Read(from.IP[14:15]) // never fails
	dialer := net.Dialer{LocalAddr: from, Timeout: 5 * time.Second}
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: b.roots},
		ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.HasSuffix(address, ":80") {
				return dialer.DialContext(ctx, network, b.http)
			}
			return dialer.DialContext(ctx, network, b.secure)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{watch: b.watch, http: &http.Client{
		Jar: testkit.Must(cookiejar.New(nil))(t), Transport: transport, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// answer is what a browser shows.
type answer struct {
	status   int
	location string
	body     string
}

var (
	errPage    = errors.New("another page than expected")
	errCounted = errors.New("no answer to use") // the watch has it
)

// is gives an error that shows the page unless it has the status.
func (a answer) is(status int) error {
	if a.status == status {
		return nil
	}
	text := strings.Join(strings.Fields(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(a.body, " ")), " ")
	return fmt.Errorf("%w: status %d to %q, want %d: %.300s", errPage, a.status, a.location, status, text)
}

// find is the part of the page that a pattern has in parentheses.
func (a answer) find(pattern string) (string, error) {
	found := regexp.MustCompile(pattern).FindStringSubmatch(a.body)
	if found == nil {
		return "", fmt.Errorf("%w: it lacks %s: %w", errPage, pattern, a.is(0))
	}
	text := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(found[1], "")
	return html.UnescapeString(strings.Join(strings.Fields(text), "")), nil
}

func (b *browser) get(ctx context.Context, path string) (answer, error) {
	address := path
	if strings.HasPrefix(path, "/") {
		address = "https://" + publicName + path
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return answer{}, err
	}
	return b.do(req)
}

// post sends a form as a page of the portal does.
func (b *browser) post(ctx context.Context, path string, pairs ...string) (answer, error) {
	form := url.Values{}
	for n := 0; n < len(pairs); n += 2 {
		form.Set(pairs[n], pairs[n+1])
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+publicName+path, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", "https://"+publicName)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.do(req)
}

// do sends a request and counts it. What a person cannot use is an error: none, or a status
// of the server's.
func (b *browser) do(req *http.Request) (answer, error) {
	req.Header.Set("User-Agent", android)
	began := time.Now()
	a, err := b.ask(req)
	switch {
	case req.Context().Err() != nil: // the person left
		return a, req.Context().Err()
	case err == nil && a.status >= 500:
		err = a.is(http.StatusOK)
	}
	if b.watch != nil {
		failure := ""
		if err != nil {
			err = fmt.Errorf("%w: %w", errCounted, err)
			failure = fmt.Sprintf("%s %.300v", req.Method, err)
		}
		b.watch.done(began, failure)
	}
	return a, err
}

func (b *browser) ask(req *http.Request) (answer, error) {
	resp, err := b.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header.Get("Location"), string(body)}, err
}

// signIn signs a person in.
func (b *browser) signIn(ctx context.Context, login string) error {
	a, err := b.post(ctx, "/login", "username", login, "password", password)
	if err != nil {
		return err
	}
	return a.is(http.StatusSeeOther)
}

// file is a certificate that a person has in hand.
type file struct {
	leaf   *x509.Certificate
	device string // path of its page
}

// enrol asks for a certificate and downloads the file, without cookies.
func (b *browser) enrol(ctx context.Context, name string) (file, error) {
	return b.enrolBy(ctx, name, rand.Text())
}

// enrolBy is enrol with the token of a form.
func (b *browser) enrolBy(ctx context.Context, name, request string) (f file, err error) {
	a, err := b.post(ctx, "/new", "name", name, "platform", "android", "request", request)
	if err == nil {
		err = a.is(http.StatusSeeOther)
	}
	if err != nil {
		return f, err
	}
	return b.fetch(ctx, a.location)
}

// fetch opens the page with the password and downloads the file there.
func (b *browser) fetch(ctx context.Context, location string) (f file, err error) {
	page, err := b.get(ctx, location)
	if err != nil {
		return f, err
	}
	link, err := page.find(`href="(/d/[^"]+)"`)
	if err != nil {
		return f, err
	}
	install, err := page.find(`(?s)id="install-password"[^>]*>(.*?)</bdi>`)
	if err != nil {
		return f, err
	}
	manager := &browser{watch: b.watch, http: &http.Client{Transport: b.http.Transport, Timeout: b.http.Timeout}}
	content, err := manager.get(ctx, link)
	if err == nil {
		err = content.is(http.StatusOK)
	}
	if err != nil {
		return f, err
	}
	_, leaf, _, err := pkcs12.DecodeChain([]byte(content.body), install)
	if err != nil {
		return f, fmt.Errorf("%w: the file does not open: %w", errPage, err)
	}
	return file{leaf, strings.TrimSuffix(location, "/install")}, nil
}
