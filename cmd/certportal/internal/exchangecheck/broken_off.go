package exchangecheck

import (
	"fmt"

	"certportal/internal/portal"
)

// alerts explains how a server refuses a certificate in TLS, as servers with OpenSSL do.
func alerts(number int) meaning {
	switch number {
	case alertCertRevoked:
		return wrong("revoked", "the server says that the certificate is revoked (TLS alert 44)", "take another certificate; if it was revoked just now, this is right")
	case alertCertExpired:
		return wrong("validity", "the server says that the certificate is expired or not yet valid (TLS alert 45)", "compare the clocks of server and CA")
	case alertCertUnknown:
		return wrong("list-ended", "the server cannot tell whether the certificate is good (TLS alert 46), as servers with OpenSSL say when a revocation list that they keep has ended", "renew the server's copy of the lists of root and issuing CA")
	case alertUnknownCA:
		return wrong("chain", "the server does not trust the chain, or has no revocation list of one of its CAs (TLS alert 48)", "give the server root and issuing CA of the portal, and the lists of both: docs/exchange.md, sections 1 and 3")
	case alertCertRequired:
		return wrong("no-certificate", "the server got no certificate (TLS alert 116)", "the certificate does not fit what the server asks for")
	}
	return wrong("tls-refused", fmt.Sprintf("the server refuses the certificate in TLS (alert %d)", number), "read the server's log at this moment")
}

// brokenOff explains a connection that ended before an answer.
func (r *run) brokenOff(x exchange, with bool) meaning {
	number := alertOf(x.err)
	switch {
	case slow(x.err):
		return wrong("silent", fmt.Sprintf("no answer within %v", r.c.Timeout), "look at the server and at what is in front; a large uploadReadAheadSize or a hanging back end shows so")
	case x.stage < handshaking:
		return wrong("unreachable", "no connection: "+show(x.err.Error()), "look at the network between this machine and the server")
	case !with && x.asked != notAsked && (number == alertHandshakeFailure || number == alertBadCertificate || number == alertCertRequired || number == alertNoCertificateSSL3):
		return meaning{"required", portal.FindingOK, "a client without a certificate is refused in TLS, as in required mode", ""}
	case with && x.misfit != nil:
		return misfit(x)
	case with && x.sent && number >= 0:
		return alerts(number)
	case number >= 0:
		return wrong("tls-refused", fmt.Sprintf("the server ends the connection with TLS alert %d", number), "read the server's log at this moment")
	case x.stage == waiting && cut(x.err) && x.asked == notAsked && x.version13():
		return wrong("late-under-tls13", "the connection is cut after the request, as Windows Server 2022 does when it would have to ask for a certificate late over TLS 1.3", late13)
	case cut(x.err) && with && x.sent:
		return wrong("cut", "the server cuts the connection after the certificate", "read the server's System log (Schannel) at this moment")
	case cut(x.err):
		return wrong("cut", "the server closes the connection without an answer", "read the log of the server or of the load balancer at this moment")
	}
	if x.stage == handshaking {
		return wrong("handshake", "the TLS handshake fails: "+show(x.err.Error()), "a phone fails there too: look at the TLS settings of the server")
	}
	return wrong("garbage", "what answers is no web server, or its answer is broken", "compare address and port")
}
