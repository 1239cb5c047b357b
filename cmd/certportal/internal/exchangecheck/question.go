package exchangecheck

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"

	"certportal/internal/portal"
)

// maxIssuers bounds how many issuers are printed.
const maxIssuers = 5

// late13 is what TLS 1.3 makes of a server that asks after the handshake.
const late13 = "switch TLS 1.3 (and HTTP/2) off for the binding, or have the server ask in the handshake (clientcertnegotiation=enable, with an address of its own): docs/exchange.md, section 5"

// question says whether and when the server asks for a client certificate.
func (r *run) question() Finding {
	f := Finding{What: stepQuestion, State: portal.FindingOK, Tried: "whether it asks during the handshake, or after OPTIONS of " + activeSyncPath}
	switch {
	case r.tls12.asked == late && r.tls13.connected() && r.tls13.asked == notAsked:
		f.Code, f.State = "late-under-tls13", portal.FindingFailed
		f.Text = "it asks after the request: over TLS 1.2 that works, over TLS 1.3 phones cannot be asked then (" + r.tls13.brief() + "), and phones prefer TLS 1.3"
		f.Mend = late13
	case r.tls12.asked == late:
		f.Code, f.Text = "late", "it asks after the request, for this folder only (renegotiation), and does not speak TLS 1.3: right for IIS"
	case r.tls12.asked == inHandshake && r.tls13.connected() && r.tls13.asked == notAsked:
		f.Code, f.State = "handshake-tls12", portal.FindingFailed
		f.Text, f.Mend = "it asks in the handshake of TLS 1.2, but not of TLS 1.3, which phones prefer", late13
	case r.tls12.asked == inHandshake || r.tls13.asked == inHandshake:
		f.Code, f.Text = "handshake", "it asks in the handshake: every client of this address and port is asked"
	case r.trouble():
		f.Code, f.State, f.Text = "not-known", skipped, "it did not ask, but it did not answer as ActiveSync either"
		return f
	case !r.tls12.connected() && lateTrap(r.tls13):
		f.Code, f.State = "late-under-tls13", portal.FindingFailed
		f.Text = "it speaks TLS 1.3 only and answers as servers do that want to ask after the request (" + r.tls13.brief() + "): over TLS 1.3 phones cannot be asked then"
		f.Mend = late13
	default:
		f.Code, f.State = "not-asked", portal.FindingFailed
		f.Text = "it asks for no certificate (" + r.best().brief() + "): phones can sign in with a password only"
		f.Mend = "run certportal-exchange.ps1 -Mode Pilot on every server behind this name (docs/exchange.md); a load balancer must pass TLS through"
		return f
	}
	f.Text += "; " + issuers(r.issuers())
	return f
}

// asks reports whether a certificate can be shown.
func (r *run) asks() bool { return r.tls12.asked != notAsked || r.tls13.asked != notAsked }

// issuers are those that the server names.
func (r *run) issuers() [][]byte {
	if len(r.tls12.issuers) > 0 {
		return r.tls12.issuers
	}
	return r.tls13.issuers
}

// lateTrap reports what servers answer over TLS 1.3 that would have to ask late: Windows
// Server 2022 resets the connection, 2025 answers 500.0, others 403.
func lateTrap(x exchange) bool {
	return x.stage == waiting && cut(x.err) || x.answer.status == 403 || x.answer.status == 500 && x.answer.code == codeNotSupported
}

// trouble reports an answer that says nothing about certificates.
func (r *run) trouble() bool {
	x := r.best()
	if !x.connected() {
		return false
	}
	m := r.meaning(x, false)
	return m.state == portal.FindingFailed && m.code != "open" && !(lateTrap(x) && !r.tls12.connected())
}

// issuers names the CAs whose certificates the server wants.
func issuers(raw [][]byte) string {
	if len(raw) == 0 {
		return "it names no issuers, so phones offer any certificate"
	}
	var list []string
	for _, der := range raw[:min(len(raw), maxIssuers)] {
		list = append(list, show(nameOf(der)))
	}
	more := ""
	if len(raw) > maxIssuers {
		more = fmt.Sprintf(" and %d more", len(raw)-maxIssuers)
	}
	return "it wants one issued by " + strings.Join(list, "; ") + more
}

func nameOf(der []byte) string {
	var sequence pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &sequence); err != nil || len(rest) > 0 {
		return "a name that cannot be read"
	}
	return sequence.String()
}
