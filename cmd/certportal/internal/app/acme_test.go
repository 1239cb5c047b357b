package app

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/portal"
	"certportal/internal/test/daemon"
	"certportal/internal/test/pebble"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

const acmeHost, acmeCheckHost = "certificates.corp.example", "check.corp.example"

// openWithACME opens a portal whose certificate comes from a server, which reaches one portal
// over plain http.
func openWithACME(t *testing.T, data string, environ map[string]string, s *pebble.Server, plain int) *App {
	t.Helper()
	for key, value := range map[string]string{
		"PUBLIC_URL": "https://" + acmeHost, "PUBLIC_CHECK_URL": "https://" + acmeCheckHost, "PUBLIC_HTTP_URL": "http://pki.corp.example",
		"TLS_ACME_DIRECTORY": s.Directory, "TLS_ACME_ACCEPT_TERMS": "true", "TLS_ACME_CA_FILE": s.CAFile, "TLS_ACME_CONTACT": "pki@corp.example",
	} {
		environ["CERTPORTAL_"+key] = value
	}
	set := testkit.Must(config.Load("", environ))(t)
	set.Data, set.Listen, set.ListenOps, set.ListenCheck, set.ListenHTTP = data, "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", daemon.Loopback(plain)
	p, err := Open(t.Context(), Program{Version: "test"}, set, &config.Terminal{In: strings.NewReader(""), Out: io.Discard}, slog.New(slog.DiscardHandler))
	if err != nil {
		p.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// seen is the certificate that a client gets under a name.
func seen(t *testing.T, l net.Listener, name string) *x509.Certificate {
	t.Helper()
	conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

// TestACMEReplicas: a portal orders its certificate while the balancer sends the server to
// another replica, which then serves the same one.
func TestACMEReplicas(t *testing.T) {
	environ := onPostgres(t)
	port := testkit.Must(daemon.Port())(t)
	server := pebble.Start(t, pebble.Config{HTTPPort: port})
	data, other := t.TempDir(), t.TempDir()
	a := openWithACME(t, data, environ, server, 0)
	copyCA(t, data, other)
	b := openWithACME(t, other, environ, server, port)
	balancer := &http.Server{Handler: b.web.PlainHandler()}
	go balancer.Serve(b.http)
	t.Cleanup(func() { balancer.Close() })
	if seen := b.tls.leaf(); !b.CA.Issued(seen) {
		t.Errorf("before the first order %s is served, want the portal's own", seen.Issuer)
	}

	serveUntilEnd(t, a)
	testkit.Eventually(t, "a certificate by ACME", func() bool { return a.tls.acme.Certificate() != nil })
	cert := seen(t, a.https, acmeHost)
	if a.CA.Issued(cert) || cert.VerifyHostname(acmeCheckHost) != nil {
		t.Errorf("%s is served, issued by %s", cert.DNSNames, cert.Issuer)
	}
	testkit.Equal(t, "on the check page", seen(t, a.checkPort, acmeCheckHost).SerialNumber.Cmp(cert.SerialNumber), 0)
	for _, name := range []string{"localhost", "", "elsewhere.example"} {
		if own := seen(t, a.https, name); !a.CA.Issued(own) {
			t.Errorf("under %q: %s, want the portal's own", name, own.Issuer)
		}
	}
	if chain, _ := a.signer(); chain[0].SerialNumber.Cmp(cert.SerialNumber) != 0 {
		t.Error("Apple profiles are not signed with the certificate that phones trust")
	}
	// It is served, then kept in the folder, then recorded for the others.
	testkit.Eventually(t, "the certificate is that of the other replica", func() bool {
		return b.tls.acme.Look(t.Context()) == nil && b.tls.forPeople().Leaf.SerialNumber.Cmp(cert.SerialNumber) == 0
	})
	testkit.Equal(t, "certificates issued", strings.Count(server.Log(), "Issued certificate serial"), 1)
	if f := a.found(t, "tls"); portal.WorstFinding(f) == portal.FindingFailed || !strings.Contains(textOf(f), "renewed from") {
		t.Errorf("check: %s", textOf(f))
	}
	if served := servedByFiles(b.Settings); served == nil || served.SerialNumber.Cmp(cert.SerialNumber) != 0 {
		t.Error("a command beside the portal sees another certificate")
	}
}

// TestACMEServerIsAway: the portal starts all the same, with its own certificate, and raises an
// alert.
func TestACMEServerIsAway(t *testing.T) {
	port := testkit.Must(daemon.Port())(t)
	server := pebble.Start(t, pebble.Config{HTTPPort: port})
	server.Stop()
	p := openWithACME(t, t.TempDir(), fixture.FastCA(), server, port)
	serveUntilEnd(t, p)
	testkit.Eventually(t, "the alert", func() bool { return p.hasAlert(t, "acme-none") })
	if own := seen(t, p.https, acmeHost); !p.CA.Issued(own) {
		t.Errorf("%s is served, want the portal's own", own.Issuer)
	}
	if f := p.found(t, "tls"); portal.WorstFinding(f) != portal.FindingFailed || !strings.Contains(textOf(f), "does not answer") {
		t.Errorf("check: %s", textOf(f))
	}
	resp := testkit.Must(http.Get("http://" + p.http.Addr().String() + "/.well-known/acme-challenge/none"))(t)
	resp.Body.Close()
	testkit.Equal(t, "unknown token", resp.StatusCode, 404)
	if f := CheckInstallation(t.Context(), p.Settings, nil, p.log); !strings.Contains(textOf(f), "port 80 there must reach listen_http") {
		t.Errorf("config check: %s", textOf(f))
	}
}

// found runs one check.
func (p *App) found(t *testing.T, name string) []portal.Finding {
	t.Helper()
	for _, c := range p.doctor.Checks() {
		if c.Name == name {
			return c.Run(t.Context())
		}
	}
	t.Fatalf("there is no check %s", name)
	return nil
}

func textOf(list []portal.Finding) string {
	var b strings.Builder
	for _, f := range list {
		b.WriteString(string(f.State) + " " + f.What + ": " + f.Text + "\n")
	}
	return b.String()
}
