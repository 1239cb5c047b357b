package fetch_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/ca/fetch"
	"certportal/internal/test/testkit"
)

// TestA17_BadServers has servers that do not give a whole list in time.
func TestA17_BadServers(t *testing.T) {
	good := newCompany(t, []string{"/root.crl"})
	list := good.list(nil)
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		text    string
	}{
		{"silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "no whole answer in "},
		{"a byte now and then", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte{0x30})
				_ = http.NewResponseController(w).Flush()
				select { // a slow sender, not a wait of the test
				case <-r.Context().Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		}, "no whole answer in "},
		{"half a body", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(list)))
			_, _ = w.Write(list[:len(list)/2])
		}, "the answer breaks off"},
		{"closed without an answer", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "the answer breaks off"},
		{"10 GB announced", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10737418240")
			_, _ = w.Write(list)
		}, "10737418240 bytes, more than"},
		{"10 GB sent", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.CopyN(w, endless{}, 10<<30)
		}, "more than the 1048576 bytes"},
		{"compressed", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "" {
				t.Error("the portal asks for a compressed answer")
			}
			http.Error(w, "", http.StatusNotAcceptable)
		}, "it answers 406 Not Acceptable"},
		{"an error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", 599) }, "it answers 599"},
		{"a header of 1 MB", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X", strings.Repeat("x", 1<<20))
		}, "header"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCompany(t, []string{"/root.crl"})
			c.server.Config.Handler = test.handler
			client := fetch.Client{Timeout: 500 * time.Millisecond, MaxCRL: 1 << 20}
			got := client.Lists(t.Context(), c.issuing, c.root, time.Now())
			if got.State != fetch.Failed || got.Problem != fetch.Unreachable || !strings.Contains(got.Text, test.text) {
				t.Errorf("got %v, %s; want %q", got.State, got.Text, test.text)
			}
		})
	}
}

// endless gives octets without end.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return copy(b, bytes.Repeat([]byte{0x30}, len(b))), nil }

// The context bounds the time of all addresses together.
func TestContextEndsAll(t *testing.T) {
	c := newCompany(t, []string{"/a", "/b"}, []string{"/c"}, []string{"/d"})
	c.server.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	client := fetch.Client{Timeout: time.Hour} // of one address
	if got := client.Lists(ctx, c.issuing, c.root, time.Now()); got.State != fetch.Failed {
		t.Errorf("got %v", got.State)
	}
}

// TestA14_Redirects follows three redirections to http and https, and no others.
func TestA14_Redirects(t *testing.T) {
	c := newCompany(t, []string{"/0"})
	c.files["/root.crl"] = c.list(nil)
	files := c.server.Config.Handler
	asked := 0
	for _, test := range []struct {
		name  string
		hops  int
		to    string // where the last redirection leads
		state fetch.State
		text  string
	}{
		{"three", 3, "/root.crl", fetch.Good, "number 5"},
		{"four", 4, "/root.crl", fetch.Failed, "redirects more than 3 times"},
		{"a loop", 0, "/0", fetch.Failed, "redirects more than 3 times"},
		{"to a file", 1, "file:///etc/passwd", fetch.Failed, "neither http nor https"},
		{"to ldap", 1, "ldap://127.0.0.1/", fetch.Failed, "neither http nor https"},
		{"to gopher", 1, "gopher://127.0.0.1:6379/_SET", fetch.Failed, "neither http nor https"},
		{"with a password", 1, strings.Replace(c.server.URL, "://", "://user:secret@", 1) + "/root.crl", fetch.Failed, "user name"},
		{"to the credentials of a cloud", 1, "http://169.254.169.254/latest/meta-data/", fetch.Failed, "link-local"},
		{"to the credentials over IPv6", 1, "http://[fe80::1]/", fetch.Failed, "link-local"},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked = 0
			c.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				var at int
				if n, _ := fmt.Sscanf(r.URL.Path, "/%d", &at); n == 0 {
					files.ServeHTTP(w, r)
					return
				}
				to := fmt.Sprintf("/%d", at+1)
				if at+1 >= test.hops {
					to = test.to
				}
				http.Redirect(w, r, to, http.StatusFound)
			})
			got := c.expect(test.state, test.text)
			if asked > 4 {
				t.Errorf("%d requests", asked)
			}
			if strings.Contains(got.Text, "secret") {
				t.Errorf("shows the password: %s", got.Text)
			}
		})
	}
}

// TestA14_RedirectsToThisMachine refuses redirections from other machines to this one.
func TestA14_RedirectsToThisMachine(t *testing.T) {
	for _, test := range []struct {
		way     []string
		refused string // how the error begins; empty for none
	}{
		{[]string{"192.0.2.1:80", "198.51.100.1:80"}, ""},
		{[]string{"192.0.2.1:80", "127.0.0.1:8200"}, "address 2: "},
		{[]string{"192.0.2.1:80", "127.8.9.10:8200"}, "address 2: "},
		{[]string{"192.0.2.1:80", "[::1]:8200"}, "address 2: "},
		{[]string{"192.0.2.1:80", "[::ffff:127.0.0.1]:8200"}, "address 2: "},
		{[]string{"192.0.2.1:80", "198.51.100.1:80", "127.0.0.1:8200"}, "address 3: "},
		{[]string{"192.0.2.1:80", "0.0.0.0:8200"}, "address 2: "},
		{[]string{"0.0.0.0:80"}, "address 1: "},
		{[]string{"[::]:80"}, "address 1: "},
		{[]string{"127.0.0.1:80", "127.0.0.1:81", "[::1]:81"}, ""},
		{[]string{"127.0.0.1:80", "169.254.169.254:80"}, "address 2: "},
	} {
		err := fetch.Way(test.way...)
		if (err == nil) != (test.refused == "") || err != nil && !strings.HasPrefix(err.Error(), test.refused) {
			t.Errorf("%v: %v", test.way, err)
		}
	}
}

// TestA14_QuestionsAreNotRedirected sends no question about a certificate anywhere else.
func TestA14_QuestionsAreNotRedirected(t *testing.T) {
	c := newCompany(t)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		var asked []string
		c.server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.Method+" "+r.URL.Path)
			http.Redirect(w, r, "/other", status)
		})
		c.issuing.OCSPServer = []string{c.server.URL + "/ocsp"}
		_, err := new(fetch.Client).Ask(t.Context(), c.issuing, c.root, time.Now())
		if err == nil || !strings.Contains(err.Error(), "it redirects") || !slices.Equal(asked, []string{"POST /ocsp"}) {
			t.Errorf("%d: asked %v: %v", status, asked, err)
		}
	}
}

// Addresses that are no http are not asked, also when a server would answer there.
func TestA14_AddressesNotAsked(t *testing.T) {
	for _, address := range []string{
		"ldap:///CN=Root", "file:///etc/passwd", `\\server\share\root.crl`, "ftp://127.0.0.1/root.crl", "http:///root.crl",
		"http://user:secret@127.0.0.1/root.crl", "javascript:1", "root.crl", "http://\x7f/",
	} {
		c := newCompany(t, []string{address})
		got := c.fetch()
		a := got.Points[0].Addresses[0]
		if a.State != fetch.NotChecked || got.State != fetch.NotChecked || strings.Contains(a.Text, "secret") {
			t.Errorf("%q: got %v, %v: %s", address, got.State, a.State, a.Text)
		}
	}
}

func TestUnreachableHosts(t *testing.T) {
	c := newCompany(t, []string{"/root.crl"})
	c.server.Close()
	c.expect(fetch.Failed, "no server listens there")
	newCompany(t, []string{"http://169.254.169.254/root.crl"}).expect(fetch.Failed, "link-local")
}

// An https address is asked with the given roots.
func TestHTTPS(t *testing.T) {
	c := newCompany(t)
	server := httptest.NewTLSServer(c.server.Config.Handler)
	defer server.Close()
	c = newCompany(t, []string{server.URL + "/root.crl"})
	server.Config.Handler = c.server.Config.Handler
	c.files["/root.crl"] = c.list(nil)
	c.expect(fetch.Failed, "certificate")
	client := fetch.Client{Roots: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	got := client.Lists(t.Context(), c.issuing, c.root, time.Now())
	testkit.Equal(t, "state", got.State, fetch.Good)
}
