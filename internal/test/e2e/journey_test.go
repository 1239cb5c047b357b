package e2e

import (
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"certportal/ca"
)

// enrol goes from the sign-in page over the home page to a file in hand.
func (b *tab) enrol(d *demo) (file, name, password string) {
	b.t.Helper()
	b.signIn(d, d.person("employee"))
	b.press(`main a[href^="/new"]`)
	b.press(`main form .btn`)
	if !strings.HasSuffix(b.path(), "/install") {
		b.t.Fatalf("after asking for a certificate at %s, want the install page:\n%s", b.path(), b.text("main"))
	}
	password = strings.Join(strings.Fields(b.text("#install-password")), "")
	file, name = b.download("#download")
	return file, name, password
}

func TestJourney(t *testing.T) {
	need(t, "chromium", "openssl")
	tests := []struct {
		name    string
		agent   string
		scripts bool
	}{
		{"Android without JavaScript", androidUA, false},
		{"Android with JavaScript", androidUA, true},
		{"Windows with JavaScript", windowsUA, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := startDemo(t)
			b := openTab(t, look{agent: tt.agent, scripts: tt.scripts})
			file, name, password := b.enrol(d)
			if !strings.HasSuffix(name, ".p12") {
				t.Errorf("file is called %q, want .p12", name)
			}
			b.picture("result " + tt.name)
			checkFile(t, d, file, password)
			// A reload shows the same certificate and the same password.
			serial := b.attribute("[data-serial]", "data-serial")
			b.open(d.https + b.path())
			if got := b.attribute("[data-serial]", "data-serial"); got != serial {
				t.Errorf("after a reload serial %s, want %s", got, serial)
			}
			b.open(d.https + "/")
			if got := b.attribute("[data-device]", "data-device"); got == "" {
				t.Error("the device is not on the home page")
			}
		})
	}
}

// checkFile opens the file with the password of the page and has OpenSSL verify
// and print what is in it.
func checkFile(t *testing.T, d *demo, file, password string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, leaf, chain, err := pkcs12.DecodeChain(content, password)
	if err != nil {
		t.Fatalf("opening the file with the password %q: %v", password, err)
	}
	dir := t.TempDir()
	leafFile, chainFile, rootFile := filepath.Join(dir, "leaf.pem"), filepath.Join(dir, "chain.pem"), filepath.Join(dir, "root.pem")
	write(t, leafFile, pemOf(leaf))
	write(t, chainFile, pemOf(chain...))
	root := fetch(t, d.http+"/ca/root.pem")
	write(t, rootFile, root)
	command(t, "openssl", "verify", "-x509_strict", "-check_ss_sig", "-purpose", "sslclient", "-CAfile", rootFile, "-untrusted", chainFile, leafFile)

	text := command(t, "openssl", "x509", "-in", leafFile, "-noout", "-text")
	for _, want := range []string{
		"Subject: CN = anna@demo.example",
		"UPN:", "anna@demo.example", "email:anna@demo.example",
		"1.3.6.1.4.1.311.25.2:", "S-1-5-21-1004336348-1177238915-682003330-1101",
		"1.3.6.1.4.1.311.20.2:", "TLS Web Client Authentication", "E-mail Protection", "Microsoft Encrypted File System",
		"Digital Signature, Key Encipherment",
		"URI:" + d.http + "/crl/issuing.crl", "CA Issuers - URI:" + d.http + "/ca/issuing.cer",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("openssl x509 -text does not show %q:\n%s", want, text)
		}
	}
	checkPointers(t, d, leafFile, chainFile, rootFile, dir)
}

// checkPointers follows the addresses in the certificate, over plain http.
func checkPointers(t *testing.T, d *demo, leafFile, chainFile, rootFile, dir string) {
	t.Helper()
	crl := filepath.Join(dir, "issuing.crl")
	write(t, crl, fetch(t, d.http+"/crl/issuing.crl"))
	command(t, "openssl", "crl", "-inform", "DER", "-in", crl, "-verify", "-noout", "-CAfile", chainFile)
	crlPEM := filepath.Join(dir, "issuing.pem")
	command(t, "openssl", "crl", "-inform", "DER", "-in", crl, "-out", crlPEM)
	command(t, "openssl", "verify", "-crl_check", "-CRLfile", crlPEM, "-CAfile", rootFile, "-untrusted", chainFile, leafFile)
	issuing, err := x509.ParseCertificate([]byte(fetch(t, d.http+"/ca/issuing.cer")))
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range issuing.CRLDistributionPoints {
		if list, err := x509.ParseRevocationList([]byte(fetch(t, address))); err != nil {
			t.Errorf("%s: %v", address, err)
		} else if list.Number == nil {
			t.Errorf("%s has no number", address)
		}
	}
}

func TestImporters(t *testing.T) {
	need(t, "chromium", "openssl", "pk12util", "certutil", "certtool", "keytool")
	d := startDemo(t)
	b := openTab(t, look{})
	file, _, password := b.enrol(d)
	files := map[string]string{"as offered": file}
	b.open(d.https + b.path())
	eval[bool](b, `document.querySelectorAll("details").forEach(d => d.open = true), true`)
	files["the other type"], _ = b.download("#download-other")
	for kind, file := range files {
		t.Run(kind, func(t *testing.T) { importEverywhere(t, d, file, password) })
	}
}

// importEverywhere has every reader we can run here open the file.
func importEverywhere(t *testing.T, d *demo, file, password string) {
	t.Helper()
	dir := t.TempDir()
	name := "Anna"
	if out := command(t, "openssl", "pkcs12", "-in", file, "-passin", "pass:"+password, "-nodes"); !strings.Contains(out, name) {
		t.Errorf("OpenSSL shows no name:\n%s", out)
	}
	nss := "sql:" + dir
	command(t, "certutil", "-N", "-d", nss, "--empty-password")
	root := filepath.Join(dir, "root.pem")
	write(t, root, fetch(t, d.http+"/ca/root.pem"))
	command(t, "certutil", "-A", "-d", nss, "-n", "root", "-t", "CT,C,C", "-i", root)
	command(t, "pk12util", "-i", file, "-d", nss, "-W", password)
	listed := command(t, "certutil", "-L", "-d", nss)
	if !strings.Contains(listed, name) {
		t.Errorf("NSS shows no name:\n%s", listed)
	}
	for line := range strings.Lines(listed) {
		if nick, _, ok := strings.Cut(line, "  "); ok && strings.Contains(nick, name) {
			command(t, "certutil", "-V", "-d", nss, "-u", "C", "-e", "-n", strings.TrimSpace(nick))
		}
	}
	command(t, "certtool", "--p12-info", "--inder", "--infile", file, "--password", password)
	store := filepath.Join(dir, "store.p12")
	command(t, "keytool", "-importkeystore", "-noprompt", "-srckeystore", file, "-srcstoretype", "PKCS12",
		"-srcstorepass", password, "-destkeystore", store, "-deststoretype", "PKCS12", "-deststorepass", "changeit")
	if out := command(t, "keytool", "-list", "-keystore", store, "-storepass", "changeit"); !strings.Contains(out, "PrivateKeyEntry") || !strings.Contains(strings.ToLower(out), "anna") {
		t.Errorf("Java shows no key with a name:\n%s", out)
	}
}

func TestInAppBrowserIsWarned(t *testing.T) {
	d := startDemo(t)
	b := openTab(t, look{agent: wechatUA, language: "zh-CN"})
	b.open(d.https + "/login")
	if got := b.text("body"); !strings.Contains(got, "在浏览器打开") {
		t.Errorf("no warning for WeChat:\n%s", got)
	}
	b.picture("login-wechat")
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func fetch(t *testing.T, address string) string {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, %v", address, resp.StatusCode, err)
	}
	return string(body)
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func pemOf(certs ...*x509.Certificate) string { return string(ca.PEM(certs...)) }
