package exchangecheck

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"certportal/internal/portal"
)

// autodiscoverPath is the address of Autodiscover on its host (MS-OXDISCO).
const autodiscoverPath = "/Autodiscover/Autodiscover.xml"

// autodiscoverDoc is the request of a phone (MS-ASCMD section 2.2.1.1.1) for an address
// that does not exist: no person is named to a server.
const autodiscoverDoc = `<?xml version="1.0" encoding="utf-8"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/mobilesync/requestschema/2006"><Request><EMailAddress>certportal-check@%s</EMailAddress><AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006</AcceptableResponseSchema></Request></Autodiscover>`

// autodiscover asks the server itself, and the name that phones make of a mail address.
// No certificate and no password is sent.
func (r *run) autodiscover(ctx context.Context) []Finding {
	hosts := []string{r.address}
	if r.c.Domain != "" && validDomain(r.c.Domain) {
		hosts = append(hosts, net.JoinHostPort("autodiscover."+r.c.Domain, "443"))
	}
	findings := make([]Finding, len(hosts))
	var side sync.WaitGroup
	for i, address := range hosts {
		side.Go(func() { findings[i] = r.discover(ctx, address) })
	}
	side.Wait()
	return findings
}

func validDomain(domain string) bool {
	return len(domain) < 240 && strings.Trim(strings.ToLower(domain), "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}

func (r *run) discover(ctx context.Context, address string) Finding {
	host := hostname(address)
	domain := r.c.Domain
	if !validDomain(domain) || domain == "" {
		domain = "invalid.example"
	}
	q := question{
		version: tls.VersionTLS12, host: host, address: address, verify: true, method: http.MethodPost, path: autodiscoverPath,
		kind: "text/xml; charset=utf-8", doc: fmt.Sprintf(autodiscoverDoc, domain),
	}
	if !r.tls12.connected() {
		q.version = tls.VersionTLS13
	}
	x := r.ask(ctx, q)
	f := Finding{What: stepAutodiscover, State: portal.FindingOK, Tried: "POST https://" + show(strings.TrimSuffix(address, ":443")) + autodiscoverPath + " without a certificate"}
	f.Code, f.State, f.Text, f.Mend = r.discovered(x, host)
	return f
}

// byHand is what a phone needs without Autodiscover.
const byHand = "phones get the server from the portal's profile, or its name is typed"

// discovered explains the answer. Passwords stay the way into Autodiscover, and phones do
// without: only an answer that leads elsewhere is a warning.
func (r *run) discovered(x exchange, host string) (code string, state portal.FindingState, text, mend string) {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	a := x.answer
	switch {
	case errors.As(x.err, &dns):
		return "autodiscover-none", portal.FindingOK, "there is no such name: " + byHand, ""
	case errors.As(x.err, &certificate):
		return "autodiscover-untrusted", portal.FindingWarning, "phones do not trust the certificate of " + show(host) + ", or it is for another name: people see a warning while they set the mailbox up",
			"give that host a certificate with its name, or remove the name from DNS; " + byHand
	case x.asked != notAsked && (x.stage != answered || a.status == 403 || a.status == 400):
		return "autodiscover-certificate", portal.FindingOK, x.brief() + ": Autodiscover wants a certificate too", ""
	case x.stage != answered:
		return "autodiscover-none", portal.FindingOK, x.brief() + ": " + byHand, ""
	case a.status == http.StatusUnauthorized:
		return "autodiscover-password", portal.FindingOK, "answer 401: it asks for a password, as Exchange does from the start; " + byHand, ""
	case a.status >= 300 && a.status < 400:
		return "autodiscover-redirect", portal.FindingWarning, "it redirects to " + target(a.header.Get("Location")) + " (not followed): phones may be led to another server", "compare with your server; " + byHand
	case a.status == http.StatusOK:
		return r.led(a)
	}
	return "autodiscover-none", portal.FindingOK, x.brief() + ": no Autodiscover for phones; " + byHand, ""
}

// led reads where a successful answer leads phones.
func (r *run) led(a answer) (code string, state portal.FindingState, text, mend string) {
	var doc struct {
		Servers []string `xml:"Response>Action>Settings>Server>Url"`
	}
	decoder := xml.NewDecoder(bytes.NewReader(a.body))
	if err := decoder.Decode(&doc); err != nil || len(doc.Servers) == 0 {
		return "autodiscover-open", portal.FindingOK, "answer 200 without a server for phones", ""
	}
	for _, server := range doc.Servers {
		u, err := url.Parse(strings.TrimSpace(server))
		if err != nil || !strings.EqualFold(u.Hostname(), r.host) {
			return "autodiscover-elsewhere", portal.FindingWarning, "it leads phones to " + target(server), "set ExternalUrl of the ActiveSync folder to the name that phones use"
		}
	}
	return "autodiscover", portal.FindingOK, "it leads phones to this server", ""
}
