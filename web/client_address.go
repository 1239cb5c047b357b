package web

import (
	"encoding/json"
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

// SeenPath is the address that says which address a request came from.
const SeenPath = "/address"

// How the address of a client arrives through proxies.
const (
	ForwardingNone    = "none"    // no proxy says anything
	ForwardingUsed    = "used"    // a trusted proxy names the client
	ForwardingMissing = "missing" // a trusted proxy names no client
	ForwardingUnread  = "unread"  // a trusted proxy names something that is no address
	ForwardingIgnored = "ignored" // X-Forwarded-For comes from an address that is not trusted
)

// Seen is what a client gets at SeenPath: its own address, as limits and the audit log count
// it. It shows a wrong proxy.
type Seen struct {
	Client     string `json:"client"`
	Forwarding string `json:"forwarding"`
}

// showSeen is GET /address.
func (s publicFiles) showSeen(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(Seen{clientAddress(r), s.addresses.forwarding(r)})
}

// forwarding says how the address of the client arrived.
func (f *addressFinder) forwarding(r *http.Request) string {
	entries := strings.FieldsFunc(strings.Join(r.Header.Values("X-Forwarded-For"), ","), func(c rune) bool { return c == ',' || c == ' ' })
	peer, ok := parseClientAddress(r.RemoteAddr)
	switch {
	case (!ok || !f.trusts(peer)) && len(entries) == 0:
		return ForwardingNone
	case !ok || !f.trusts(peer):
		return ForwardingIgnored
	case len(entries) == 0:
		return ForwardingMissing
	}
	for _, entry := range slices.Backward(entries) {
		address, ok := parseClientAddress(entry)
		if !ok {
			return ForwardingUnread
		}
		if !f.trusts(address) {
			break
		}
	}
	return ForwardingUsed
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
