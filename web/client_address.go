package web

import (
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// maxLoggedEntry is the longest entry of X-Forwarded-For that is logged.
const maxLoggedEntry = 40

// addressFinder finds the address a request came from. X-Forwarded-For counts only when
// it was added by a trusted proxy. An address is always found: without one every limit
// per address would be gone.
type addressFinder struct {
	proxies []netip.Prefix
	log     *slog.Logger
	missing sync.Once // logs that a proxy sends no header
	unread  sync.Once // logs that a proxy sends an entry that is no address
}

func (f *addressFinder) find(r *http.Request) string {
	peer, ok := parseClientAddress(r.RemoteAddr)
	if !ok {
		peer = netip.IPv6Unspecified() // no TCP connection; all such clients count as one
	}
	if !f.trusts(peer) {
		return peer.String()
	}
	return f.forwarded(r.Header.Values("X-Forwarded-For"), peer).String()
}

// forwarded reads the header from the right, where the nearest proxy writes, up to the
// first address that is no trusted proxy. When all are trusted it is the farthest one.
// An entry that is no address hides the client: what is left of it may be forged, so
// the request counts as the proxy's own.
func (f *addressFinder) forwarded(headers []string, peer netip.Addr) netip.Addr {
	client, found := peer, false
	for _, entry := range slices.Backward(strings.Split(strings.Join(headers, ","), ",")) {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		found = true
		address, ok := parseClientAddress(entry)
		if !ok {
			f.unread.Do(func() {
				f.log.Warn("a trusted proxy sends an X-Forwarded-For that is no address: its requests count as its own",
					"proxy", peer.String(), "entry", entry[:min(len(entry), maxLoggedEntry)])
			})
			return peer
		}
		if client = address; !f.trusts(address) {
			break
		}
	}
	if !found {
		f.missing.Do(func() {
			f.log.Warn("a trusted proxy sends no X-Forwarded-For: its requests count as its own", "proxy", peer.String())
		})
	}
	return client
}

func (f *addressFinder) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(f.proxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// parseClientAddress reads an address in the forms that proxies send: with a port, an
// IPv6 address in brackets, or quoted (RFC 7239 section 6). IPv4 within IPv6 is taken as
// IPv4, and zones are dropped, so that no notation gets past the list of proxies.
func parseClientAddress(s string) (netip.Addr, bool) {
	s = strings.Trim(s, `"`)
	a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(s)
		if err != nil {
			return netip.Addr{}, false
		}
		a = withPort.Addr()
	}
	return a.Unmap().WithZone(""), true
}
