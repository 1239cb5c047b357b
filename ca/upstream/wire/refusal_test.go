package wire_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"certportal/ca/upstream"
	"certportal/ca/upstream/wire"
)

func TestRefusalIsClassifiedByStatus(t *testing.T) {
	for status, want := range map[int]struct{ denied, credentials bool }{
		301: {true, false}, 307: {true, false}, 400: {true, false}, 401: {true, true}, 403: {true, true}, 404: {true, false},
		429: {true, false}, 200: {false, false}, 500: {false, false}, 502: {false, false}, 503: {false, false}, 600: {false, false},
	} {
		err := wire.Reply{Status: status}.Refusal("issued")
		var denied *upstream.Denied
		is := errors.As(err, &denied)
		if is != want.denied || is && denied.Credentials != want.credentials || errors.Is(err, upstream.ErrUnsent) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestRedirectIsNamedByItsHostOnly(t *testing.T) {
	header := http.Header{"Location": {"https://user:secret@other.example/path?token=secret"}}
	err := wire.Reply{Status: 302, Header: header}.Refusal("")
	if text := err.Error(); !strings.Contains(text, "https://other.example,") || strings.Contains(text, "secret") {
		t.Errorf("error is %q", text)
	}
}

func TestTextIsBoundedAndReadable(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("é", 10_000), strings.Repeat("\x00", 10_000), "\xff\xfe", "line\nline", "\u202efdp.exe", strings.Repeat("😀\u202e", 600),
	} {
		got := wire.Text(text)
		if n := utf8.RuneCountInString(got); n > 500 || !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\n\u202e") {
			t.Errorf("%.20q: %d characters, %.60q", text, n, got)
		}
	}
}

func TestJSONIsOneValue(t *testing.T) {
	for _, body := range []string{"", "{", `{}{}`, `{}}`, `{} x`, "<html>", `[1]`} {
		var value struct{}
		if err := (wire.Reply{Status: 200, Body: []byte(body)}).JSON(&value); err == nil {
			t.Errorf("%q is accepted", body)
		}
	}
}

func FuzzParsePEM(f *testing.F) {
	f.Add("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")
	f.Add("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		if certs, err := wire.ParsePEM(text); err == nil && len(certs) == 0 {
			t.Error("neither certificates nor an error")
		}
	})
}
