package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"html"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"certportal/ca"
	"certportal/internal/test/relyingparty"
)

// phone is a device with its certificate, as a mail server meets it.
type phone struct {
	page   string // of the device
	serial ca.Serial
	leaf   *x509.Certificate
	pair   *tls.Certificate // with key and issuing CA
	file   string           // the certificate, PEM
}

// newPhone enrols without a browser.
func (d *demo) newPhone(c *http.Client, name string) phone {
	d.t.Helper()
	path := d.enrolBy(c, name)
	p := d.opened(d.fetchFile(c, path))
	p.page = strings.TrimSuffix(path, "/install")
	return p
}

// fetchFile downloads the file of an install page, and reads its password there.
func (d *demo) fetchFile(c *http.Client, path string) (content []byte, password string) {
	d.t.Helper()
	status, page, err := d.get(d.t.Context(), c, path)
	link := downloadLink.FindStringSubmatch(page)
	if err != nil || status != http.StatusOK || link == nil {
		d.t.Fatalf("%s: status %d, %v, no link to a file:\n%s", path, status, err, page)
	}
	status, text, err := d.get(d.t.Context(), c, html.UnescapeString(link[1]))
	if err != nil || status != http.StatusOK {
		d.t.Fatalf("the file: status %d, %v", status, err)
	}
	return []byte(text), strings.Join(strings.Fields(tags.ReplaceAllString(passwordHTML(page), "")), "")
}

// opened is the phone that installed a file.
func (d *demo) opened(content []byte, password string) phone {
	d.t.Helper()
	key, leaf, chain, err := pkcs12.DecodeChain(content, password)
	if err != nil {
		d.t.Fatalf("opening the file with the password %q: %v", password, err)
	}
	serial, err := ca.SerialOf(leaf.SerialNumber)
	if err != nil {
		d.t.Fatal(err)
	}
	p := phone{serial: serial, leaf: leaf, pair: &tls.Certificate{PrivateKey: key, Leaf: leaf}}
	for _, cert := range append([]*x509.Certificate{leaf}, chain...) {
		p.pair.Certificate = append(p.pair.Certificate, cert.Raw)
	}
	p.file = filepath.Join(d.t.TempDir(), "phone.pem")
	if err := os.WriteFile(p.file, ca.PEM(leaf), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return p
}

// trust are the CA certificates in files, as a server's administrator fetches them
// once.
type trust struct {
	root, issuing, both string
	certs               map[string]*x509.Certificate // by name of the list each signs
}

func (d *demo) trust(t *testing.T) trust {
	t.Helper()
	dir := t.TempDir()
	a := trust{
		root: filepath.Join(dir, "root.pem"), issuing: filepath.Join(dir, "issuing.pem"), both: filepath.Join(dir, "both.pem"),
		certs: map[string]*x509.Certificate{},
	}
	root, issuing := fetch(t, d.http+"/ca/root.pem"), fetch(t, d.http+"/ca/issuing.pem")
	write(t, a.root, root)
	write(t, a.issuing, issuing)
	write(t, a.both, root+issuing)
	for name, text := range map[string]string{"root": root, "issuing": issuing} {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			t.Fatalf("%s.pem: %q", name, text)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		a.certs[name] = cert
	}
	return a
}

// list fetches a list and has it parsed and its signature checked.
func (d *demo) list(t *testing.T, a trust, name string) *x509.RevocationList {
	t.Helper()
	list, err := x509.ParseRevocationList([]byte(fetch(t, d.http+"/crl/"+name+".crl")))
	if err != nil {
		t.Fatal(err)
	}
	if err := list.CheckSignatureFrom(a.certs[name]); err != nil {
		t.Fatalf("list %s: %v", name, err)
	}
	return list
}

// lists are both lists in PEM, as servers and tools read them.
func (d *demo) lists(t *testing.T, a trust) string {
	t.Helper()
	text := ""
	for _, name := range []string{"root", "issuing"} {
		text += string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: d.list(t, a, name).Raw}))
	}
	return text
}

// entry finds a serial in a list.
func entry(list *x509.RevocationList, serial ca.Serial) (x509.RevocationListEntry, bool) {
	for _, e := range list.RevokedCertificateEntries {
		if e.SerialNumber.Cmp(serial.Big()) == 0 {
			return e, true
		}
	}
	return x509.RevocationListEntry{}, false
}

// relyingConfig is that of a server beside the portal, with a certificate from the
// same CA: the portal's own.
func (d *demo) relyingConfig(a trust) relyingparty.Config {
	d.t.Helper()
	text, err := os.ReadFile(a.both)
	if err != nil {
		d.t.Fatal(err)
	}
	return relyingparty.Config{
		Certificate: filepath.Join(d.dir, "tls", "server.crt"), Key: filepath.Join(d.dir, "tls", "server.key"),
		Roots: d.roots(), Authorities: string(text),
	}
}

// servers are Apache and nginx, each going by lists and asking online.
func (d *demo) servers(t *testing.T, a trust) (byList, online []*relyingparty.Server) {
	t.Helper()
	c := d.relyingConfig(a)
	lists, asking := c, c
	lists.Lists, asking.Online = d.lists(t, a), true
	byList = []*relyingparty.Server{relyingparty.Apache(t, lists), relyingparty.Nginx(t, lists)}
	online = []*relyingparty.Server{relyingparty.Apache(t, asking), relyingparty.Nginx(t, asking)}
	return byList, online
}

// versions are those of TLS that servers speak with phones.
func versions() map[string]uint16 {
	return map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13}
}

func wantAdmitted(t *testing.T, how string, s *relyingparty.Server, p phone) {
	t.Helper()
	for in, version := range versions() {
		if got := s.Ask(p.pair, version); !got.Admitted || !strings.Contains(got.Person, p.leaf.Subject.CommonName) {
			t.Errorf("%s %s, %s: %s, want let in as %s\n%s", s.Name, how, in, got, p.leaf.Subject.CommonName, s.Log())
		}
	}
}

// wantRefused checks the reason too: a server that refuses every phone proves nothing.
func wantRefused(t *testing.T, how string, s *relyingparty.Server, p phone) {
	t.Helper()
	for in, version := range versions() {
		if got := s.Ask(p.pair, version); got.Admitted || !strings.Contains(got.Why, "revoked") {
			t.Errorf("%s %s, %s: %s, want refused as revoked\n%s", s.Name, how, in, got, s.Log())
		}
	}
}
