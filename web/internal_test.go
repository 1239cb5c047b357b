package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestLocalPath(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		in   string
		want string // "" when refused
	}{
		{"home", "/", "/"},
		{"device", "/devices/abc/install?p=ios", "/devices/abc/install?p=ios"},
		{"fragment is dropped", "/help#top", "/help"},
		{"empty", "", ""},
		{"other site", "https://evil.example/", ""},
		{"two slashes", "//evil.example/", ""},
		{"three slashes", "///evil.example/", ""},
		{"backslash", `/\evil.example/`, ""},
		{"escaped backslash", "/%5Cevil.example/", ""},
		{"tab between slashes", "/\t/evil.example/", ""},
		{"script", "javascript:alert(1)", ""},
		{"relative", "devices", ""},
		{"dots", "/a/../../b", ""},
		{"line break", "/a\r\nSet-Cookie: x=y", ""},
		{"not UTF-8", "/%ff", "/%ff"},
		{"too long", "/" + strings.Repeat("a", maxLocalPath), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := localPath(tt.in)
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("got %q, %v, want %q", got, ok, tt.want)
			}
		})
	}
}

func FuzzLocalPath(f *testing.F) {
	f.Add("/devices/x?p=ios")
	f.Add("//evil.example")
	f.Add(`/\evil.example`)
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := localPath(s)
		if !ok {
			return
		}
		base := &url.URL{Scheme: "https", Host: "portal.example", Path: "/login"}
		to, err := base.Parse(got)
		if err != nil || to.Host != base.Host || to.Scheme != base.Scheme {
			t.Errorf("%q leads to %v (%v)", s, to, err)
		}
		if len(got) > 1 && (got[1] == '/' || got[1] == '\\') {
			t.Errorf("%q became %q, which browsers read as another site", s, got)
		}
	})
}

func TestIsPart(t *testing.T) {
	t.Parallel()
	const size, etag = 1000, `"abc"`
	tests := []struct {
		name, value, ifRange string
		part, beyond         bool
	}{
		{"none", "", "", false, false},
		{"first bytes", "bytes=0-499", "", true, false},
		{"last bytes", "bytes=-500", "", true, false},
		{"middle", "bytes=1-998", "", true, false},
		{"all but the first", "bytes=1-", "", true, false},
		{"same file", "bytes=1-", etag, true, false},
		{"other file", "bytes=1-", `"other"`, false, false},
		{"same file weakly", "bytes=1-", "W/" + etag, false, false},
		{"by date", "bytes=1-", "Sun, 22 Nov 2026 12:00:00 GMT", false, false},
		{"all, open", "bytes=0-", "", false, false},
		{"all, closed", "bytes=0-999", "", false, false},
		{"all, over the end", "bytes=0-5000", "", false, false},
		{"all as last bytes", "bytes=-1000", "", false, false},
		{"more than all as last bytes", "bytes=-2000", "", false, false},
		{"no last bytes", "bytes=-0", "", false, false},
		{"several", "bytes=0-499,500-999", "", false, false},
		{"several, first beyond", "bytes=2000-,0-999", "", false, false},
		{"backwards", "bytes=500-400", "", false, false},
		{"signs", "bytes=+1-+5", "", false, false},
		{"overflow", "bytes=1-99999999999999999999", "", false, false},
		{"other unit", "lines=1-2", "", false, false},
		{"empty", "bytes=", "", false, false},
		{"behind the end", "bytes=1000-", "", true, true},
		{"behind the end, closed", "bytes=2000-3000", "", true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			h.Set("Range", tt.value)
			h.Set("If-Range", tt.ifRange)
			if got := isBeyond(h, size); got != tt.beyond {
				t.Errorf("beyond: got %v, want %v", got, tt.beyond)
			}
			if got := isPart(h, etag, size); got != tt.part {
				t.Errorf("part: got %v, want %v", got, tt.part)
			}
		})
	}
}

// FuzzIsPart holds the promise that what is not counted is never the whole file:
// ServeContent answers it with a piece or an error.
func FuzzIsPart(f *testing.F) {
	f.Add("bytes=0-", "")
	f.Add("bytes=1-5,7-9", "")
	f.Add("bytes=-1", `"abc"`)
	f.Add("bytes=5-998", "")
	f.Add("bytes= 5 - 999 ", "")
	data := strings.Repeat("x", 999) + "$"
	f.Fuzz(func(t *testing.T, value, ifRange string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Range", value)
		r.Header.Set("If-Range", ifRange)
		if !isPart(r.Header, `"abc"`, int64(len(data))) {
			return
		}
		w := httptest.NewRecorder()
		w.Header().Set("ETag", `"abc"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(data))
		if w.Code == http.StatusOK {
			t.Errorf("Range %q, If-Range %q: the whole file uncounted", value, ifRange)
		}
	})
}

func TestAcceptsGzip(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, header string
		want         bool
	}{
		{"none", "", false},
		{"browser", "gzip, deflate, br, zstd", true},
		{"last", "br, gzip", true},
		{"weighted", "gzip;q=0.5", true},
		{"refused", "gzip;q=0, identity", false},
		{"refused with digits", "gzip; q=0.000", false},
		{"anything", "*", true},
		{"upper case", "GZIP", true},
		{"another word", "notgzip", false},
		{"broken weight", "gzip;q=x", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Accept-Encoding", tt.header)
			if got := acceptsGzip(r); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestReadForm(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		target string
		body   string
		kind   string
		ok     bool
	}{
		{"right", "/new", "name=x&platform=ios", formType, true},
		{"with charset", "/new", "name=x", formType + "; charset=UTF-8", true},
		{"missing field", "/new", "", formType, true},
		{"no body, no type", "/new", "", "", true},
		{"unknown field", "/new", "name=x&upn=y", formType, false},
		{"repeated field", "/new", "name=x&name=y", formType, false},
		{"other case", "/new", "Name=x", formType, false},
		{"query", "/new?name=y", "name=x", formType, false},
		{"empty query", "/new?", "name=x", formType, false},
		{"JSON", "/new", `{"name":"x"}`, "application/json", false},
		{"multipart", "/new", "name=x", "multipart/form-data; boundary=b", false},
		{"plain text", "/new", "name=x", "text/plain", false},
		{"no type", "/new", "name=x", "", false},
		{"other charset", "/new", "name=x", formType + "; charset=utf-7", false},
		{"semicolon", "/new", "name=x;platform=y", formType, false},
		{"broken escape", "/new", "name=%zz", formType, false},
		{"overlong UTF-8", "/new", "name=%c0%af", formType, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, tt.target, strings.NewReader(tt.body))
			if tt.kind != "" {
				r.Header.Set("Content-Type", tt.kind)
			}
			f, err := readForm(r, "name", "platform")
			if (err == nil) != tt.ok {
				t.Errorf("got %v, %v, want ok %v", f, err, tt.ok)
			}
		})
	}
}

func TestUnknownField(t *testing.T) {
	t.Parallel()
	device, login := []string{"name", "platform", "request"}, []string{"username", "password", "next"}
	const secret = "a field that no form has"
	tests := []struct {
		name, field string
		form        []string
		want        string
	}{
		{"plain", "upn", device, `unknown field "upn"`},
		{"underscore", "not_after", device, `unknown field "not_after"`},
		{"longest", strings.Repeat("a", 20), device, `unknown field "` + strings.Repeat("a", 20) + `"`},
		{"too long", strings.Repeat("a", 21), device, secret},
		{"upper case", "MySecretTail", device, secret},
		{"digits", "pass1", device, secret},
		{"empty", "", device, secret},
		{"line break", "a\nb", device, secret},
		{"beside a password", "tail", login, secret},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := unknownField(tt.field, tt.form); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzReadForm(f *testing.F) {
	f.Add("name=x&platform=ios")
	f.Add("name=%00&name=1")
	f.Add("a=b;c=d")
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest(http.MethodPost, "/new", strings.NewReader(body))
		r.Header.Set("Content-Type", formType)
		got, err := readForm(r, "name", "platform")
		if err != nil {
			return
		}
		for field := range got {
			if field != "name" && field != "platform" {
				t.Errorf("field %q came through", field)
			}
		}
	})
}

// TestSessionKey: no value derived from a cookie reveals another one, and a cookie is
// worth nothing at an installation with another secret.
func TestSessionKey(t *testing.T) {
	t.Parallel()
	secret := cookieSecret{1}
	if again, ok := parseSecret(secret.String()); !ok || again != secret {
		t.Errorf("got %v, %v after a round trip", again, ok)
	}
	ours, theirs := &sessionStore{key: [32]byte{1}}, &sessionStore{key: [32]byte{2}}
	key, ok := ours.keyOf(secret.String())
	if !ok {
		t.Fatal("no key")
	}
	if id, pickups := key.idHash(), key.pickupKey(); id == pickups {
		t.Error("id and pickup key are equal")
	}
	sealed, err := key.seal(map[any]any{"person": "anna"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(sealed), "anna") {
		t.Error("values are kept in the clear")
	}
	values := map[any]any{}
	if err := key.open(sealed, values); err != nil || values["person"] != "anna" {
		t.Errorf("got %v, %v", values, err)
	}
	other, _ := ours.keyOf(cookieSecret{2}.String())
	foreign, _ := theirs.keyOf(secret.String())
	for what, k := range map[string]sessionKey{"another cookie": other, "another installation": foreign} {
		if err := k.open(sealed, values); err == nil {
			t.Errorf("%s opens the values", what)
		}
		if k.idHash() == key.idHash() {
			t.Errorf("%s has the same row", what)
		}
	}
	for _, value := range []string{"", "x", secret.String() + "=", secret.String()[1:], strings.Repeat("!", 43)} {
		if _, ok := parseSecret(value); ok {
			t.Errorf("%q is taken for a cookie of ours", value)
		}
	}
}

func TestReference(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 1000 {
		ref := newRequestID()
		if len(ref) != 8 || strings.ContainsAny(ref, "ILOU") || strings.Trim(ref, requestIDAlphabet) != "" {
			t.Fatalf("got %q, want 8 characters that can be read out", ref)
		}
		seen[ref] = true
	}
	if len(seen) != 1000 {
		t.Errorf("got %d different references of 1000", len(seen))
	}
}
