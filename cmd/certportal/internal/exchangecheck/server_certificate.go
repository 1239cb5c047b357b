package exchangecheck

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"certportal/internal/portal"
)

// Limits of a server certificate.
const (
	soon = 14 * 24 * time.Hour

	// applesLimit is the longest validity of a server certificate on iPhones (Apple
	// HT210176).
	applesLimit = 825 * 24 * time.Hour
)

// Alerts of TLS (RFC 8446 section 6).
const (
	alertHandshakeFailure  = 40
	alertBadCertificate    = 42
	alertCertRevoked       = 44
	alertCertExpired       = 45
	alertCertUnknown       = 46
	alertUnknownCA         = 48
	alertProtocolVersion   = 70
	alertCertRequired      = 116
	alertUnrecognizedName  = 112
	alertNoCertificateSSL3 = 41
)

// unreachable explains why no server was found; false when one showed its certificate.
func (r *run) unreachable() (Finding, bool) {
	x := r.best()
	if len(r.tls12.chain) == 0 && r.tls13.stage > r.tls12.stage {
		x = r.tls13
	}
	if len(r.tls12.chain) > 0 || len(r.tls13.chain) > 0 {
		return Finding{}, false
	}
	f := Finding{What: stepServer, State: portal.FindingFailed, Tried: "TLS 1.2 and 1.3 to " + show(r.address)}
	var dns *net.DNSError
	var record tls.RecordHeaderError
	switch {
	case errors.As(x.err, &dns):
		f.Code, f.Text = "no-such-name", "the name does not resolve here"
		f.Mend = "use the name that phones use, and the DNS server that knows it"
	case errors.Is(x.err, syscall.ECONNREFUSED):
		f.Code, f.Text, f.Mend = "refused", "nothing listens there", "compare address and port; look at the load balancer and at IIS"
	case slow(x.err):
		f.Code, f.Text, f.Mend = "silent", fmt.Sprintf("no answer within %v", r.c.Timeout), "look at firewall, load balancer and IIS between this machine and the server"
	case errors.As(x.err, &record):
		f.Code, f.Text, f.Mend = "no-tls", "what answers there does not speak TLS", "compare address and port"
	case x.stage == handshaking && alertOf(x.err) == alertUnrecognizedName:
		f.Code, f.Text, f.Mend = "other-site", "the server has no site of this name", "use the name that phones use"
	case x.stage == handshaking && (alertOf(x.err) == alertProtocolVersion || alertOf(x.err) == alertHandshakeFailure):
		f.Code, f.Text = "tls-old", "no version of TLS or no cipher in common: phones want TLS 1.2 with ECDHE"
		f.Mend = "switch TLS 1.2 on for the server (SCHANNEL), with ECDHE ciphers"
	case x.stage == handshaking:
		f.Code, f.Text = "handshake", "the TLS handshake fails: "+show(x.err.Error())
		f.Mend = "a phone fails there too: look at the certificate of the binding and at the TLS settings of the server"
	default:
		f.Code, f.Text, f.Mend = "unreachable", "no connection: "+show(x.err.Error()), "look at the network between this machine and the server"
	}
	return f, true
}

// versions says which versions of TLS the server speaks.
func (r *run) versions() Finding {
	f := Finding{Code: "tls", What: stepTLS, State: portal.FindingOK, Tried: "a handshake with TLS 1.2 alone, and one with TLS 1.3 alone"}
	shown12, shown13 := len(r.tls12.chain) > 0, len(r.tls13.chain) > 0
	switch {
	case shown12 && shown13:
		f.Text = "TLS 1.2 and TLS 1.3"
	case shown12:
		f.Text = "TLS 1.2, no TLS 1.3"
	default:
		f.Text = "TLS 1.3 only: phones that speak TLS 1.2 at most cannot connect"
	}
	return f
}

// roots are what phones trust: their own roots, and those of the portal.
func (r *run) roots() *x509.CertPool {
	pool := r.c.System.Clone()
	for _, a := range r.c.Anchors {
		if bytes.Equal(a.Certificate.RawSubject, a.Certificate.RawIssuer) {
			pool.AddCert(a.Certificate)
		}
	}
	return pool
}

// serverCertificate judges the certificate as a phone does.
func (r *run) serverCertificate() Finding {
	x := r.tls12
	if len(x.chain) == 0 {
		x = r.tls13
	}
	leaf := x.chain[0]
	f := Finding{What: stepTrust, State: portal.FindingFailed, Tried: fmt.Sprintf("the chain of %s against the roots of this machine and %d of the portal, as phones get them",
		name(leaf), len(r.c.Anchors))}
	if x.tooLong > 0 {
		f.Code, f.Text = "long-chain", fmt.Sprintf("the server sends %d certificates", x.tooLong)
		f.Mend = "bind the certificate with its intermediates only"
		return f
	}
	between := x509.NewCertPool()
	for _, cert := range x.chain[1:] {
		between.AddCert(cert)
	}
	options := x509.VerifyOptions{Roots: r.roots(), Intermediates: between, CurrentTime: r.c.Now(), DNSName: r.host}
	chains, err := leaf.Verify(options)
	if err != nil {
		return r.distrusted(f, x.chain, err)
	}
	r.trusted = true
	f.Code, f.State = "trusted", portal.FindingOK
	f.Text = fmt.Sprintf("phones trust it, through %s; ends on %s", r.vouching(chains), leaf.NotAfter.UTC().Format(time.DateOnly))
	switch {
	case leaf.NotAfter.Sub(r.c.Now()) < soon:
		f.Code, f.State = "ends-soon", portal.FindingWarning
		f.Mend = "renew it; a renewed certificate may reset the binding (DS mapper): run the script with -Check afterwards"
	case leaf.NotAfter.Sub(leaf.NotBefore) > applesLimit:
		f.Code, f.State = "valid-too-long", portal.FindingWarning
		f.Text += fmt.Sprintf("; it is valid for %d days, and iPhones refuse more than 825", int(leaf.NotAfter.Sub(leaf.NotBefore).Hours()/24))
		f.Mend = "issue one of at most 825 days"
	}
	return f
}

// vouching names the root of the shortest chain.
func (r *run) vouching(chains [][]*x509.Certificate) string {
	root := chains[0][len(chains[0])-1]
	for _, a := range r.c.Anchors {
		if a.Certificate.Equal(root) {
			return fmt.Sprintf("%s (%s)", show(a.Name), name(root))
		}
	}
	return "the public root " + name(root)
}

// distrusted explains why phones refuse the certificate.
func (r *run) distrusted(f Finding, chain []*x509.Certificate, err error) Finding {
	leaf, now := chain[0], r.c.Now()
	var other x509.HostnameError
	var invalid x509.CertificateInvalidError
	var algorithm x509.InsecureAlgorithmError
	switch {
	case errors.As(err, &other):
		f.Code, f.Text = "other-name", fmt.Sprintf("it is for %s, not for %s", names(leaf), show(r.host))
		f.Mend = "ask the name that phones use, or issue a certificate with it as subject alternative name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && now.Before(invalid.Cert.NotBefore):
		f.Code, f.Text = "not-yet-valid", fmt.Sprintf("%s is valid from %s on only", name(invalid.Cert), moment(invalid.Cert.NotBefore))
		f.Mend = "compare the clocks of this machine and of the CA"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		f.Code, f.Text = "ended", fmt.Sprintf("%s ended on %s", name(invalid.Cert), moment(invalid.Cert.NotAfter))
		f.Mend = "renew it and bind the new one (Enable-ExchangeCertificate -Services IIS)"
	case errors.As(err, &algorithm):
		f.Code, f.Text, f.Mend = "weak-signature", "it is signed with SHA-1 or MD5, which phones refuse", "issue one with SHA-256"
	case errors.As(err, &invalid):
		f.Code, f.Text = "unfit", "it is not fit for a server: "+show(err.Error())
		f.Mend = "issue one for server authentication, under a CA that may issue it"
	default:
		return r.unknownRoot(f, chain)
	}
	return f
}

// unknownRoot names the CA that phones lack.
func (r *run) unknownRoot(f Finding, chain []*x509.Certificate) Finding {
	top := chain[len(chain)-1]
	for _, a := range r.c.Anchors {
		if bytes.Equal(a.Certificate.RawSubject, top.RawIssuer) && top.CheckSignatureFrom(a.Certificate) != nil {
			f.Code = "other-key"
			f.Text = fmt.Sprintf("its issuer is called like %s, but has another key: a renewed CA, or one that only looks like it (SHA-256 of the highest certificate sent: %x)",
				show(a.Name), sha256.Sum256(top.Raw))
			f.Mend = "compare the fingerprint with your CA's; if it is the renewed one, put its certificate into the setting anchors"
			return f
		}
	}
	f.Code = "untrusted"
	if bytes.Equal(top.RawSubject, top.RawIssuer) {
		f.Text = fmt.Sprintf("phones do not trust its root %s (SHA-256 %x)", name(top), sha256.Sum256(top.Raw))
		f.Mend = "put this root into the setting anchors after comparing the fingerprint, so that phones get it; best is a public certificate"
		return f
	}
	f.Text = fmt.Sprintf("phones lack what is above: the server sends %d certificates, the highest is %s, issued by %s", len(chain), name(top), show(top.Issuer.String()))
	f.Mend = fmt.Sprintf("if %s is a root of your own, put it into the setting anchors; if it is an intermediate, install it on the server so that it is sent", show(top.Issuer.String()))
	return f
}

// names are the names that a certificate is for.
func names(cert *x509.Certificate) string {
	list := cert.DNSNames
	for _, ip := range cert.IPAddresses {
		list = append(list, ip.String())
	}
	if len(list) == 0 {
		return "no name (a common name alone does not count)"
	}
	return show(strings.Join(list, ", "))
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
