package exchangecheck

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"certportal/internal/portal"
)

// activeSyncPath is the folder of ActiveSync.
const activeSyncPath = "/Microsoft-Server-ActiveSync"

// codeNotSupported is ERROR_NOT_SUPPORTED, which Windows Server 2025 gives when it would
// have to ask for a certificate late over TLS 1.3.
const codeNotSupported = "0x80070032"

// meaning is what an answer means and what to do.
type meaning struct {
	code  string
	state portal.FindingState
	text  string
	mend  string
}

func wrong(code, text, mend string) meaning {
	return meaning{code, portal.FindingFailed, text, mend}
}

// brief is an answer in a few words.
func (x exchange) brief() string {
	switch {
	case x.stage == answered && x.answer.sub > 0:
		return fmt.Sprintf("answer %d.%d", x.answer.status, x.answer.sub)
	case x.stage == answered && x.answer.code != "":
		return fmt.Sprintf("answer %d with %s", x.answer.status, x.answer.code)
	case x.stage == answered:
		return fmt.Sprintf("answer %d", x.answer.status)
	case alertOf(x.err) >= 0:
		return fmt.Sprintf("TLS alert %d", alertOf(x.err))
	case cut(x.err):
		return "connection closed without an answer"
	case slow(x.err):
		return "no answer in time"
	case x.stage == waiting:
		// The error of the parser quotes what came, which may hold secrets.
		return "no answer in HTTP"
	}
	return show(x.err.Error())
}

// meaning explains what came of OPTIONS. with says whether a client certificate was
// brought along; x.sent, whether the server took it.
func (r *run) meaning(x exchange, with bool) meaning {
	if x.stage != answered {
		return r.brokenOff(x, with)
	}
	status := x.answer.status
	switch {
	case status >= 200 && status < 300:
		return r.welcome(x, with)
	case status >= 300 && status < 400:
		return r.redirect(x.answer)
	case status == http.StatusUnauthorized:
		return unauthorized(x, with)
	case status == http.StatusForbidden:
		return r.forbidden(x, with)
	case status == http.StatusBadRequest && strings.HasPrefix(strings.ToLower(x.answer.header.Get("Server")), "nginx"):
		return proxyRefuses(with && x.sent)
	case status == http.StatusNotFound || status == http.StatusMethodNotAllowed:
		return wrong("no-activesync", "there is no ActiveSync at this address", "compare the host; Get-ActiveSyncVirtualDirectory shows whether the folder exists on every server")
	case status == 451:
		return wrong("other-server", "the mailbox is to be asked elsewhere: "+target(x.answer.header.Get("X-MS-Location")), "check that server")
	case status == http.StatusNotImplemented || status == http.StatusHTTPVersionNotSupported:
		return meaning{"mapped", portal.FindingOK, "signed in: such an answer comes after the account was found", ""}
	case status == http.StatusInternalServerError && x.answer.code == codeNotSupported:
		return wrong("late-under-tls13", "the server wants to ask for a certificate late over TLS 1.3, as Windows Server 2025 does", late13)
	case status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout:
		return wrong("down", "the application behind IIS or the load balancer does not answer", "look at the application pool MSExchangeSyncAppPool and at the back end (Test-ServiceHealth)")
	case status >= 500:
		return wrong("server-error", "the server fails, with or without a certificate", "read the application log of the server at this moment")
	}
	return wrong("odd", "no answer that ActiveSync gives", "compare the address; a proxy may answer in the server's place")
}

// welcome judges a success: ActiveSync names its versions.
func (r *run) welcome(x exchange, with bool) meaning {
	versions := x.answer.header.Get("MS-ASProtocolVersions")
	switch {
	case versions == "" && x.answer.header.Get("MS-Server-ActiveSync") == "":
		return wrong("no-activesync", "an answer without MS-ASProtocolVersions: it is not Exchange that answers", "compare the address; a proxy or another web server may answer in Exchange's place")
	case !with:
		return wrong("open", "ActiveSync lets clients in without certificate and password: something in front signs them all in",
			"look at the proxy in front, and at the authentication of the folder in IIS")
	case !x.sent:
		return wrong("open", "ActiveSync answers before it asked for the certificate", "look at the proxy in front, and at the authentication of the folder in IIS")
	}
	return meaning{"works", portal.FindingOK, "it works: the certificate signs in; " + serverWords(x.answer.header), ""}
}

// serverWords are the versions that the server names.
func serverWords(h http.Header) string {
	text := "protocol versions " + show(h.Get("MS-ASProtocolVersions"))
	version := h.Get("MS-Server-ActiveSync")
	if version == "" {
		return text
	}
	text += "; Exchange " + show(version)
	for prefix, product := range map[string]string{"15.0": "2013", "15.1": "2016", "15.2": "2019 or SE"} {
		if strings.HasPrefix(version, prefix) {
			text += " (" + product + ")"
		}
	}
	return text
}

func (r *run) redirect(a answer) meaning {
	m := wrong("redirect", "it redirects to "+target(a.header.Get("Location"))+": ActiveSync does not follow that, and neither did this check", "ask the host that phones use, past the redirect")
	if u, err := url.Parse(a.header.Get("Location")); err == nil && u.Scheme == "http" {
		m.code, m.text = "redirect-plain", "it redirects to plain http, "+target(a.header.Get("Location"))+": not followed"
	}
	return m
}

// target shows an address of the server without query, which can hold secrets.
func target(location string) string {
	u, err := url.Parse(location)
	if err != nil || location == "" {
		return "an address that cannot be read"
	}
	u.RawQuery, u.Fragment, u.User = "", "", nil
	return show(u.String())
}

// unauthorized is 401: over IIS 401.1 and 401.2 alike.
func unauthorized(x exchange, with bool) meaning {
	passwords := "no password is asked for"
	if offered := schemes(x.answer.header); offered != "" {
		passwords = "passwords are taken too (" + offered + ")"
	}
	switch {
	case !with && x.asked != notAsked:
		return meaning{"pilot", portal.FindingOK, "a client without a certificate is asked to sign in otherwise: " + passwords + ", as in pilot mode", ""}
	case !with:
		return meaning{"password", portal.FindingOK, "a client without a certificate is asked to sign in otherwise: " + passwords, ""}
	case x.misfit != nil:
		return misfit(x)
	case !x.sent:
		return wrong("not-asked", "the server did not ask for the certificate on this connection: "+passwords, "run the script for Exchange with -Check on every server behind this name")
	}
	return wrong("not-mapped", "the certificate was taken, but no account was found for it (401.1, 401.2): "+passwords,
		"the issuing CA must be in NTAuth, UPN and SID must be the account's own, the mapping and the DS mapper must be on: docs/exchange.md, sections 1, 2 and 4; the domain controller's System log has event 39, 40 or 41")
}

// schemes are the ways to sign in that a 401 offers, without their parameters.
func schemes(h http.Header) string {
	var list []string
	for _, line := range h.Values("WWW-Authenticate") {
		scheme, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if scheme != "" && len(list) < 5 {
			list = append(list, show(scheme))
		}
	}
	return strings.Join(list, ", ")
}

func misfit(x exchange) meaning {
	return wrong("other-issuer", "the certificate fits none of what the server asks for ("+issuers(x.issuers)+"), so phones do not send it",
		"put the portal's root and issuing CA into the server's list of client issuers, or have it send none (the default since Windows Server 2012: SendTrustedIssuerList = 0)")
}

// forbidden is 403, by IIS's sub-status where the page shows it.
func (r *run) forbidden(x exchange, with bool) meaning {
	if !with {
		return meaning{"required", portal.FindingOK, "a client without a certificate is refused, as in required mode", ""}
	}
	if x.misfit != nil {
		return misfit(x)
	}
	switch x.answer.sub {
	case 7:
		return wrong("no-certificate", "403.7, no certificate came to the server", "a load balancer must pass TLS through (layer 4); if the server asks late, see docs/exchange.md, section 5")
	case 13:
		return wrong("revoked", "403.13: revoked, or the server could not fetch a revocation list",
			"from the server, as the machine, fetch the lists that the certificate names (certportal-exchange.ps1 -Check does): docs/exchange.md, section 3")
	case 16:
		return wrong("chain", "403.16: the server does not trust the chain of the certificate", "publish root and issuing CA (docs/exchange.md, section 1), then gpupdate /force on the server")
	case 17:
		return wrong("validity", "403.17: the certificate is expired or not yet valid for the server", "compare the clocks of server and CA")
	}
	if !x.sent {
		return wrong("no-certificate", "the server refuses (403) and did not ask for the certificate on this connection", "a load balancer must pass TLS through (layer 4); if the server asks late, see docs/exchange.md, section 5")
	}
	if m, found := r.outOfTime(x); found {
		return m
	}
	return wrong("forbidden", "403 after the certificate was sent; the page does not say which: 403.13 (revoked, or a list could not be fetched), 403.16 (chain not trusted), 403.17 (expired), or ActiveSync is off for the mailbox",
		"the IIS log of the server has the number in sc-substatus; then docs/exchange.md, the table of answers")
}

// outOfTime recognizes 403.17 by the clock of the server, where the page does not say.
func (r *run) outOfTime(x exchange) (meaning, bool) {
	if r.leaf == nil {
		return meaning{}, false
	}
	at, err := http.ParseTime(x.answer.header.Get("Date"))
	if err != nil || !at.Before(r.leaf.NotBefore) && !at.After(r.leaf.NotAfter) {
		return meaning{}, false
	}
	return wrong("validity", fmt.Sprintf("403, and by the server's clock (%s) the certificate is not valid: it is from %s to %s", moment(at), moment(r.leaf.NotBefore), moment(r.leaf.NotAfter)),
		"mend the clock of the server, or take a certificate that is valid"), true
}

// proxyRefuses is 400 of nginx, its answer to a certificate it refuses and to none.
func proxyRefuses(sent bool) meaning {
	if sent {
		return wrong("proxy-refuses", "nginx in front refuses the certificate: it does not trust the chain, the certificate is revoked or expired, or its list (ssl_crl) has ended",
			"read nginx's error log; ssl_client_certificate needs root and issuing CA, ssl_crl the lists of both")
	}
	return meaning{"required", portal.FindingOK, "a client without a certificate is refused by nginx in front, as in required mode", ""}
}
