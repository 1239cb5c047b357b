package web

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

// FuzzForwarded: there is an address with every header.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{"", ",,", "unknown", "203.0.113.10:5544", "[2001:db8::7]:443", `"[::1]"`, "[", "1.2.3.4, 127.0.0.1", "fe80::1%x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		finder := addressFinder{proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, log: slog.New(slog.DiscardHandler)}
		got := finder.find(&http.Request{RemoteAddr: "127.0.0.1:9", Header: http.Header{"X-Forwarded-For": {header}}})
		if _, err := netip.ParseAddr(got); err != nil {
			t.Errorf("%q: address %q", header, got)
		}
	})
}

// What a client reads about its address shows each way in which a proxy can be wrong.
func TestA8_ForwardingIsExplained(t *testing.T) {
	finder := addressFinder{proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}, log: slog.New(slog.DiscardHandler)}
	tests := []struct {
		name, peer string
		headers    []string
		want       string
	}{
		{"no proxy", "203.0.113.9:5544", nil, ForwardingNone},
		{"a proxy that is not trusted", "192.0.2.7:5544", []string{"203.0.113.9"}, ForwardingIgnored},
		{"a proxy without the header", "10.0.0.5:5544", nil, ForwardingMissing},
		{"an empty header", "10.0.0.5:5544", []string{" , "}, ForwardingMissing},
		{"a word", "10.0.0.5:5544", []string{"unknown"}, ForwardingUnread},
		{"a word behind a trusted proxy", "10.0.0.5:5544", []string{"unknown, 10.0.0.6"}, ForwardingUnread},
		{"a word of the client", "10.0.0.5:5544", []string{"forged, 203.0.113.9"}, ForwardingUsed},
		{"the client", "10.0.0.5:5544", []string{"203.0.113.9:5544", "10.0.0.6"}, ForwardingUsed},
		{"a client on the network of the proxies", "10.0.0.5:5544", []string{"10.0.0.9"}, ForwardingUsed},
	}
	for _, tt := range tests {
		r := httptest.NewRequest(http.MethodGet, SeenPath, nil)
		r.RemoteAddr = tt.peer
		for _, h := range tt.headers {
			r.Header.Add("X-Forwarded-For", h)
		}
		if got := finder.forwarding(r); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}
