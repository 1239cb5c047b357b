package app

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// revokerCertificate makes the certificate of a host that revokes.
func revokerCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key := testkit.ECKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "ca01"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der := testkit.Must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: testkit.Must(x509.ParseCertificate(der))(t)}
}

// TestA10_RevokerPort: the portal answers the host of a CA on the port of the settings alone,
// and what its file names counts without a restart. The script has that address.
func TestA10_RevokerPort(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		testkit.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	first, second := revokerCertificate(t), revokerCertificate(t)
	environ := fixture.FastCA()
	maps.Copy(environ, map[string]string{
		"CERTPORTAL_LISTEN_REVOKER": "127.0.0.1:0", "CERTPORTAL_PUBLIC_URL": "https://certificates.corp.example",
		"CERTPORTAL_UPSTREAMS_0_NAME": "company", "CERTPORTAL_UPSTREAMS_0_KIND": "est", "CERTPORTAL_UPSTREAMS_0_URL": "https://ca.corp.example",
		"CERTPORTAL_UPSTREAMS_0_USER": "u", "CERTPORTAL_UPSTREAMS_0_PASSWORD_FILE": write("password", "p"),
		"CERTPORTAL_UPSTREAMS_0_CHAIN":               write("chain.pem", certificatesPEM(fixture.NewUpstreamCA(t, time.Now).Root)),
		"CERTPORTAL_UPSTREAMS_0_REVOKER_CERTIFICATE": write("revoker.pem", certificatesPEM(first.Leaf)),
	})
	p := testkit.Must(openWith(t, filepath.Join(dir, "data"), environ))(t)
	serveUntilEnd(t, p)
	ask := func(show tls.Certificate, port net.Listener) (int, string) {
		client := p.client()
		transport := client.Transport.(*http.Transport)
		transport.TLSClientConfig.ServerName, transport.TLSClientConfig.Certificates = "localhost", []tls.Certificate{show}
		defer transport.CloseIdleConnections()
		response, err := client.Get("https://" + port.Addr().String() + "/revocations/company")
		if err != nil {
			return 0, err.Error()
		}
		defer response.Body.Close()
		return response.StatusCode, string(testkit.Must(io.ReadAll(response.Body))(t))
	}
	if status, text := ask(first, p.revokerPort); status != http.StatusOK || !strings.Contains(text, `"revocations":[]`) {
		t.Errorf("the host: status %d, %s", status, text)
	}
	if status, _ := ask(second, p.revokerPort); status != 0 {
		t.Errorf("a stranger: status %d", status)
	}
	for _, port := range []net.Listener{p.revokerPort, p.checkPort} {
		c := p.client().Transport.(*http.Transport).TLSClientConfig.Clone()
		c.ServerName, c.Certificates, c.NextProtos = "localhost", []tls.Certificate{first}, []string{"h2"}
		conn, err := tls.Dial("tcp", port.Addr().String(), c)
		if err != nil {
			continue // nothing is offered that the client speaks
		}
		if got := conn.ConnectionState().NegotiatedProtocol; got != "" {
			t.Errorf("with a client certificate %q is spoken", got)
		}
		conn.Close()
	}
	for _, port := range []net.Listener{p.https, p.checkPort} {
		if status, text := ask(first, port); strings.Contains(text, "revocations\":") {
			t.Errorf("another port: status %d, %s", status, text)
		}
	}
	write("revoker.pem", certificatesPEM(second.Leaf))
	if status, _ := ask(first, p.revokerPort); status != 0 {
		t.Errorf("a certificate that was taken away: status %d", status)
	}
	if status, _ := ask(second, p.revokerPort); status != http.StatusOK {
		t.Errorf("its successor: status %d", status)
	}
	if script, err := RevocationScript(p.Settings, "company"); err == nil || !strings.Contains(err.Error(), "certutil") {
		t.Errorf("for a CA that is not AD CS: %v, %.20q", err, script)
	}
	settings := *p.Settings
	settings.Upstreams = slices.Clone(settings.Upstreams)
	settings.Upstreams[0].Kind = config.UpstreamCertsrv
	settings.ListenRevoker, settings.PublicHTTPURL = ":8445", "http://pki.corp.example"
	script := string(testkit.Must(RevocationScript(&settings, "company"))(t))
	for _, want := range []string{"'https://certificates.corp.example:8445'", "'company'", "/revocations/"} {
		if !strings.Contains(script, want) {
			t.Errorf("the script has no %s", want)
		}
	}
}
