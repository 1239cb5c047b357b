package web_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"certportal/internal/test/testkit"
)

// TestUnusedMethodsAreRefused tries each method that a route does not have, on both sides: also
// those of which chi or net/http know something of their own.
func TestUnusedMethodsAreRefused(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	has := map[string][]string{}
	for _, r := range p.routes() {
		has[r.path("/devices/none")] = append(has[r.path("/devices/none")], r.method)
	}
	for name, b := range map[string]*browser{"https": p.signedIn("anna", iPhone), "plain": p.onPlain()} {
		for path, methods := range has {
			for _, method := range []string{"TRACE", "TRACK", "OPTIONS", "PUT", "PATCH", "DELETE", "DEBUG", "PROPFIND"} {
				if slices.Contains(methods, method) {
					continue
				}
				got := b.do(method, path, nil, "X-Canary", "said-by-the-client")
				if got.status != http.StatusMethodNotAllowed && got.status != http.StatusNotFound {
					t.Errorf("%s %s %s: got %d, want 405 or 404", name, method, path, got.status)
				}
				if strings.Contains(string(got.body), "said-by-the-client") {
					t.Errorf("%s %s %s: the answer repeats the request", name, method, path)
				}
			}
		}
	}
}

// TestSignOutIsOnEveryPage: each page that a signed-in person sees has the form.
func TestSignOutIsOnEveryPage(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	device := b.enrol("Anna's iPhone", "ios")
	seen := 0
	for _, r := range p.routes() {
		if r.method != http.MethodGet || strings.Contains(r.pattern, "{token}") {
			continue
		}
		got := b.get(r.path(device))
		if got.status == http.StatusOK && strings.HasPrefix(got.header.Get("Content-Type"), "text/html") {
			seen++
			if !strings.Contains(string(got.body), `action="/logout"`) {
				t.Errorf("%s: no way to sign out", r.pattern)
			}
		}
	}
	if seen < 5 {
		t.Errorf("%d pages", seen)
	}
}

// TestCrossOriginIsNotShared: no answer lets scripts of other origins read it.
func TestCrossOriginIsNotShared(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	b := p.signedIn("anna", iPhone)
	for _, path := range []string{"/", "/login", "/help", "/ca/root.cer", "/crl/issuing.crl", "/devices/none"} {
		for _, origin := range []string{"https://evil.example", "null", p.https.URL} {
			for name := range b.get(path, "Origin", origin).header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s for %s: header %s", path, origin, name)
				}
			}
		}
	}
}

// TestSmuggledRequestsAreRefused sends requests whose end a proxy and the portal could see at
// different places. Either the answer is a refusal, or the portal reads the body to the end that
// Transfer-Encoding gives: never is a piece of it taken for a request.
func TestSmuggledRequestsAreRefused(t *testing.T) {
	t.Parallel()
	p := newPortal(t)
	const inner = "GET /help HTTP/1.1\r\nHost: x\r\n\r\n"
	chunk := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(inner), inner)
	for name, message := range map[string]string{
		"two lengths":            "Content-Length: 0\r\nContent-Length: 33\r\n\r\n" + inner,
		"list of lengths":        "Content-Length: 0, 33\r\n\r\n" + inner,
		"length with a sign":     "Content-Length: +0\r\n\r\n" + inner,
		"length and chunks":      "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
		"coding with a space":    "Transfer-Encoding : chunked\r\n\r\n" + chunk,
		"coding of another kind": "Transfer-Encoding: xchunked\r\n\r\n" + chunk,
		"two codings":            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunk,
		"folded header":          "X-Folded: a\r\n Content-Length: 33\r\nTransfer-Encoding:\r\n\tchunked\r\n\r\n" + chunk,
		"bare line feeds":        "X-Odd: a\rContent-Length: 33\r\n\r\n" + inner,
	} {
		t.Run(name, func(t *testing.T) {
			conn := testkit.Must(tls.Dial("tcp", p.https.Listener.Addr().String(), p.https.Client().Transport.(*http.Transport).TLSClientConfig))(t)
			defer conn.Close()
			// After the message comes one more request, which ends the connection.
			_, err := fmt.Fprintf(conn, "POST /login HTTP/1.1\r\nHost: x\r\n%s"+"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", message)
			testkit.NoError(t, err)
			var got []int
			for in := bufio.NewReader(conn); ; {
				answer, err := http.ReadResponse(in, nil)
				if err != nil {
					break
				}
				got = append(got, answer.StatusCode)
				testkit.NoError(t, discard(answer))
			}
			if len(got) == 0 || got[0] < 400 || slices.Contains(got, http.StatusOK) {
				t.Errorf("got %v, want a refusal, and no answer to a request in the body", got)
			}
		})
	}
}

func discard(answer *http.Response) error {
	_, err := io.Copy(io.Discard, answer.Body)
	return errors.Join(err, answer.Body.Close())
}
