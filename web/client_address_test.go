package web

import (
	"log/slog"
	"net/http"
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
