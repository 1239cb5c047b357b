package doctor

import (
	"context"
	"crypto/x509"
	"net"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/admin"
	"certportal/internal/autotls"
	"certportal/internal/portal"
)

const tlsACME = "tls.acme"

// tlsCheck looks at the TLS certificate of the portal, and how it comes by ACME.
type tlsCheck struct{ *Doctor }

// acmeServer is the host of the directory, for people.
func acmeServer(s *config.Settings) string {
	if u, err := url.Parse(s.TLS.ACME.Directory); err == nil && u.Host != "" {
		return u.Host
	}
	return s.TLS.ACME.Directory
}

// CheckACME says what a certificate by ACME needs besides the settings: names that the CA may
// know, and port 80. It asks no server, as that counts as an order there.
func CheckACME(s *config.Settings, public config.Addresses) []portal.Finding {
	var list []portal.Finding
	names := s.ACMENames(public)
	for _, name := range names {
		if _, known := publicsuffix.PublicSuffix(name); !known && s.TLS.ACME.CAFile == "" {
			list = append(list, portal.NewFinding(tlsACME, portal.FindingWarning, portal.Say("acme-private",
				"%s is no name of the internet, and public CAs issue nothing for it: use the ACME server of your own CA, and name its root in tls.acme.ca_file", name)))
		}
	}
	state := portal.FindingOK
	if _, port, err := net.SplitHostPort(s.ListenHTTP); err == nil && port != "80" && len(s.TrustedProxies) == 0 {
		state = portal.FindingWarning
	}
	return append(list, portal.NewFinding(tlsACME, state, portal.Say("acme-port",
		"%s fetches http://HOST/.well-known/acme-challenge/ of %s: port 80 there must reach listen_http, which is %s", acmeServer(s), strings.Join(names, ", "), s.ListenHTTP)))
}

// acmeState is the certificate by ACME that is served, nil for none, and why there is no newer
// one.
func (d tlsCheck) acmeState(ctx context.Context) (*x509.Certificate, autotls.Failure, error) {
	s := d.c.Settings
	names := s.ACMENames(d.c.Public)
	served := autotls.Served(s.Path("tls"), names, d.c.Now())
	if d.c.DB == nil {
		return served, autotls.Failure{}, nil // the check of the database says why
	}
	r, err := d.c.DB.ACMERecord(ctx, autotls.ID(s.TLS.ACME.Directory, names))
	return served, r.Failure, err
}

// orders says how the orders go.
func (d tlsCheck) orders(ctx context.Context) []portal.Finding {
	if d.c.Settings.TLS.ACME.Directory == "" {
		return nil
	}
	list := CheckACME(d.c.Settings, d.c.Public)
	add := func(state portal.FindingState, said portal.Sentence) {
		list = append(list, portal.NewFinding(tlsACME, state, said))
	}
	day := func(at time.Time) string { return at.In(d.c.Settings.Location()).Format(time.DateOnly) }
	server := acmeServer(d.c.Settings)
	served, failure, err := d.acmeState(ctx)
	if err != nil {
		return append(list, portal.Finding{What: tlsACME, State: portal.FindingWarning, Text: err.Error()})
	}
	failed := portal.FindingWarning
	switch {
	case served != nil:
		add(portal.FindingOK, portal.Say("acme-fine", "%s issued it; it ends on %s and is renewed from %s on", server, day(served.NotAfter), day(autotls.RenewFrom(served))))
	case failure.Since.IsZero():
		add(portal.FindingWarning, portal.Say("acme-none", "%s has issued none yet: the portal serves its own, and orders one when it runs", server))
	default:
		failed = portal.FindingFailed
	}
	reason, notKept := failure.NotKept()
	switch {
	case failure.Since.IsZero():
	case notKept:
		add(portal.FindingFailed, portal.Say("acme-unrecorded", "%s issued a certificate, and since %s the records do not take it, %d tries, the next one at %s: %s",
			server, clockOf(failure.Since.In(d.c.Settings.Location())), failure.Tries, clockOf(failure.Again.In(d.c.Settings.Location())), reason))
	default:
		add(failed, portal.Say("acme-failing", "no certificate since %s, %d tries, the next one at %s: %s",
			clockOf(failure.Since.In(d.c.Settings.Location())), failure.Tries, clockOf(failure.Again.In(d.c.Settings.Location())), failure.Text))
	}
	return list
}

// alerts raises an alert when orders fail: critical without a certificate, and in the last
// sixth of the life of the one in use.
func (d tlsCheck) alerts(ctx context.Context) []admin.Alert {
	if d.c.Settings.TLS.ACME.Directory == "" {
		return nil
	}
	served, failure, err := d.acmeState(ctx)
	if err != nil {
		d.c.Log.Error("reading how orders of the TLS certificate go", "err", err)
	}
	return acmeAlerts(served, failure, d.c.Now())
}

// acmeAlerts says why there is no newer certificate than the one that is served, nil for none.
func acmeAlerts(served *x509.Certificate, f autotls.Failure, now time.Time) []admin.Alert {
	a := admin.Alert{At: f.Since, Value: f.Text, Path: "/admin/checks"}
	reason, notKept := f.NotKept()
	switch {
	case f.Since.IsZero():
		return nil
	case notKept:
		a.Key, a.Critical, a.Value = "acme-unrecorded", true, reason
	case served == nil:
		a.Key, a.Critical = "acme-none", true
	default:
		left := served.NotAfter.Sub(now)
		a.Key, a.Critical, a.Number = "acme-late", left < served.NotAfter.Sub(served.NotBefore)/6, wholeDays(left)
	}
	return []admin.Alert{a}
}
