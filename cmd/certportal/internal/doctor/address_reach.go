package doctor

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/url"

	"certportal/internal/portal"
)

// reach connects to the host of the plain-http addresses. When it is not there, every
// address fails: the check of the lists says so once.
func (d *Doctor) reach(ctx context.Context) error {
	u := d.c.Public.HTTP
	if u == nil {
		return nil // reported with the settings
	}
	ctx, cancel := context.WithTimeout(ctx, addressTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "80")))
	if err != nil {
		return err
	}
	return conn.Close()
}

// unreached is the finding about a host that is not there.
func (d *Doctor) unreached(err error) portal.Finding {
	what, host := d.c.Public.HTTP.String(), d.c.Public.HTTP.Hostname()
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return portal.NewFinding(what, portal.FindingFailed, portal.Say("address-unknown", "DNS does not know %s on this machine, so nothing can be fetched there: %v", host, err))
	}
	return portal.NewFinding(what, portal.FindingFailed, portal.Say("address-closed", "nothing can be reached at %s: %v", what, err))
}

// isPublic reports whether an address is on the host of the plain-http addresses.
func (d *Doctor) isPublic(address string) bool {
	u, err := url.Parse(address)
	return err == nil && d.c.Public.HTTP != nil && u.Host == d.c.Public.HTTP.Host
}
