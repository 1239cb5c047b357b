package fetch

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync/atomic"
	"syscall"
)

var (
	errLinkLocal   = errors.New("its name leads to a link-local address")
	errThisMachine = errors.New("it leads to the portal's own machine")
)

// route is the way of one request through redirections.
type route struct {
	redirected atomic.Bool
	local      atomic.Bool // it began at this machine
}

// refuse keeps requests from addresses where clouds serve the machine's own credentials: no
// company publishes lists there. Services of this machine are for lists only when the
// certificate itself names it.
func (w *route) refuse(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := to.Addr().Unmap()
	here := ip.IsLoopback()
	switch {
	case ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip == metadataIPv6():
		return errLinkLocal
	case ip.IsUnspecified():
		return errThisMachine
	case !w.redirected.Load():
		w.local.Store(here)
	case here && !w.local.Load():
		return errThisMachine
	}
	return nil
}

// metadataIPv6 is where a cloud tells its machines secrets over IPv6, beside the link-local
// address of IPv4.
func metadataIPv6() netip.Addr { return netip.MustParseAddr("fd00:ec2::254") }

// redirectError says why a redirection was not followed.
type redirectError struct{ text string }

func (e *redirectError) Error() string { return e.text }

func (w *route) redirect(next *http.Request, before []*http.Request) error {
	w.redirected.Store(true)
	if before[0].Method != http.MethodGet {
		return &redirectError{"it redirects, which is not followed with a question in the request"}
	}
	if len(before) > maxRedirects {
		return &redirectError{fmt.Sprintf("it redirects more than %d times", maxRedirects)}
	}
	if err := checkable(next.URL.String()); err != nil {
		return &redirectError{"it redirects to an address that is neither http nor https, or has a user name"}
	}
	return nil
}
