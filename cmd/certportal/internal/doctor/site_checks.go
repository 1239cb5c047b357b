package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/admin"
	"certportal/internal/portal"
	"certportal/web"
)

// siteChecks look whether a portal runs, and fetch its pages as a phone does.
func (d *Doctor) siteChecks() []check {
	return []check{
		{name: "running", run: d.checkRunning},
		{name: "address-site", group: admin.AddressGroup, needs: []part{database, authority, server}, run: d.checkSite},
	}
}

// checkRunning looks whether a portal runs on the data folder.
func (d *Doctor) checkRunning(context.Context) []portal.Finding {
	const what = "running"
	o := d.c.Outside
	switch {
	case o == nil:
		return []portal.Finding{portal.NewFinding(what, portal.FindingOK, portal.Say("running-here", "it runs this check"))}
	case o.Unseen:
		return []portal.Finding{portal.NewFinding(what, portal.FindingWarning, portal.Say("running-unseen", "this account may not see whether a portal runs: run the command with the account of the portal"))}
	case !o.Running && !o.Served:
		return []portal.Finding{portal.NewFinding(what, portal.FindingWarning, portal.Say("running-never", "no portal has started on this data folder yet"))}
	case !o.Running && exists(d.c.Settings.Path(SampleFile)):
		return []portal.Finding{portal.NewFinding(what, portal.FindingWarning, portal.Say("running-stopped", "no portal runs on this data folder, so its addresses were not asked"))}
	case !o.Running:
		return []portal.Finding{portal.NewFinding(what, portal.FindingFailed, portal.Say("running-stopped", "no portal runs on this data folder, so its addresses were not asked"))}
	case o.RunningVersion != "" && o.RunningVersion != o.Version:
		return []portal.Finding{portal.NewFinding(what, portal.FindingInfo, portal.Say("running-version", "version %s runs, and this command is of version %s", o.RunningVersion, o.Version))}
	}
	return []portal.Finding{portal.NewFinding(what, portal.FindingOK, portal.Say("running", "a portal runs on this data folder"))}
}

// checkSite opens the public address as a phone does: is it this portal, and does it see the
// address of the client?
func (d *Doctor) checkSite(ctx context.Context) []portal.Finding {
	list := []portal.Finding{d.checkSameSite(ctx)}
	if list[0].State != portal.FindingFailed {
		list = append(list, d.checkForwarding(ctx))
	}
	for _, f := range CheckProxies(d.c.Settings) {
		if f.State != portal.FindingOK {
			list = append(list, f)
		}
	}
	return list
}

// checkSameSite compares the certificate of the issuing CA that the public address serves.
func (d *Doctor) checkSameSite(ctx context.Context) portal.Finding {
	address := d.c.Public.HTTPS.String()
	first := d.c.CA.Folder.Authorities()[0].Certificate
	body, err := d.getSecure(ctx, localca.CertificateURL(d.c.Public.HTTPS, localca.IssuingName))
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &untrusted):
		return portal.NewFinding(address, portal.FindingFailed, portal.Say("site-untrusted", "phones do not trust the certificate there: %v", untrusted.Err))
	case err != nil:
		return portal.Finding{What: address, State: portal.FindingFailed, Text: err.Error()}
	case !bytes.Equal(body, first.Raw):
		return portal.NewFinding(address, portal.FindingFailed, portal.Say("site-other", "another portal answers there: its authority is not that of this one"))
	}
	return portal.NewFinding(address, portal.FindingOK, portal.Say("site", "this portal answers there"))
}

// checkForwarding asks the portal which address it saw the request come from.
func (d *Doctor) checkForwarding(ctx context.Context) portal.Finding {
	const what = "trusted_proxies"
	var seen web.Seen
	body, err := d.getSecure(ctx, d.c.Public.HTTPS.JoinPath(web.SeenPath).String())
	if err == nil {
		err = json.Unmarshal(body, &seen)
	}
	if err != nil {
		return portal.NewFinding(what, portal.FindingWarning, portal.Say("seen-none", "the portal does not say which address it sees; does an older version run? %v", err))
	}
	switch seen.Forwarding {
	case web.ForwardingMissing:
		return portal.NewFinding(what, portal.FindingFailed, portal.Say("seen-missing", "the proxy %s sends no X-Forwarded-For: all people count as one client, and lock each other out", seen.Client))
	case web.ForwardingUnread:
		return portal.NewFinding(what, portal.FindingFailed, portal.Say("seen-unread", "the proxy %s sends an X-Forwarded-For that is no address: all people count as one client, and lock each other out", seen.Client))
	case web.ForwardingIgnored:
		return portal.NewFinding(what, portal.FindingFailed, portal.Say("seen-ignored", "a proxy at %s sends X-Forwarded-For and is not trusted: all people count as one client; add it when it is yours", seen.Client))
	}
	return portal.NewFinding(what, portal.FindingOK, portal.Say("seen", "the portal saw this request come from %s", seen.Client))
}

// maxSiteBody bounds what is read from the public address.
const maxSiteBody = 64 << 10

// getSecure fetches an https address as a phone with the anchors of the portal does.
func (d *Doctor) getSecure(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, addressTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: d.siteRoots(), Time: d.c.Now}}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answers %s", resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxSiteBody))
}

// siteRoots are the CAs of this machine, the anchors of the settings and the portal's own
// roots.
func (d *Doctor) siteRoots() *x509.CertPool {
	roots := trustedRoots(d.c.Settings)
	if roots == nil {
		roots = x509.NewCertPool()
	}
	for _, a := range d.c.CA.Folder.Authorities() {
		roots.AddCert(a.Root())
	}
	return roots
}

// Networks of proxies shorter than these usually hold clients too.
const (
	shortIPv4 = 16
	shortIPv6 = 48
)

// CheckProxies explains how the address of a client is found behind proxies.
func CheckProxies(s *config.Settings) []portal.Finding {
	var list []portal.Finding
	for _, p := range s.Proxies() {
		if bits := p.Bits(); p.Addr().Is4() && bits < shortIPv4 || p.Addr().Is6() && bits < shortIPv6 {
			list = append(list, portal.NewFinding("trusted_proxies", portal.FindingWarning, portal.Say("proxies-large", "%s is a large network: a client inside it can choose the address that is logged and limited; "+
				"name the proxies alone", p)))
			continue
		}
		list = append(list, portal.NewFinding("trusted_proxies", portal.FindingOK, portal.Say("proxies", "%s: the client is the last address in X-Forwarded-For that is in no trusted network, with or without a port; "+
			"another word such as \"unknown\", or no header, counts as the proxy's own; the log says so once", p)))
	}
	return list
}

// clockOf is a moment with its zone, for findings.
func clockOf(at time.Time) string { return at.Format(time.DateTime + " MST") }
