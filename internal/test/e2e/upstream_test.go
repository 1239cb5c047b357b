package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
	"software.sslmate.com/src/go-pkcs12"

	"certportal/internal/test/standin"
	"certportal/internal/test/standin/est"
	"certportal/internal/test/standin/step"
	"certportal/internal/test/stepca"
	"certportal/internal/test/testkit"
)

// The journey with certificates of another CA, a stand-in for step-ca: a file that opens, a
// block that is carried out there, a wrong certificate that never reaches the phone, and the
// way back to the portal's own CA with all devices still managed.
func TestIssuedElsewhere(t *testing.T) {
	need(t, "chromium", "openssl")
	dir := t.TempDir()
	company := step.Start(t)
	key, err := company.Key()
	testkit.NoError(t, err)
	write(t, filepath.Join(dir, "key.jwk"), key)
	write(t, filepath.Join(dir, "chain.pem"), pemOf(company.Chain...))
	write(t, filepath.Join(dir, "server.pem"), pemOf(company.TLS))
	settings := "upstreams:\n- name: company\n  kind: step-ca\n  url: " + company.URL + "\n  chain: " + filepath.Join(dir, "chain.pem") +
		"\n  server_ca_file: " + filepath.Join(dir, "server.pem") + "\n  provisioner: " + step.Provisioner +
		"\n  provisioner_key_file: " + filepath.Join(dir, "key.jwk") + "\n"
	write(t, filepath.Join(dir, "settings.yaml"), settings)
	d := &demo{t: t, dir: filepath.Join(dir, "data")}
	d.args = []string{"demo", "--listen", "127.0.0.1:0", "--data", d.dir, "--config", filepath.Join(dir, "settings.yaml")}
	testkit.NoError(t, os.Mkdir(d.dir, 0o700))
	d.start("CERTPORTAL_CERTIFICATES_ISSUER=company")
	t.Cleanup(func() { d.stop(syscall.SIGTERM) })

	b := openTab(t, look{agent: androidUA})
	file, _, password := b.enrol(d)
	content, err := os.ReadFile(file)
	testkit.NoError(t, err)
	_, leaf, chain, err := pkcs12.DecodeChain(content, password)
	testkit.NoError(t, err)
	if company.Submits() != 1 || leaf.CheckSignatureFrom(company.Chain[0]) != nil || len(chain) != 1 || !chain[0].Equal(company.Chain[0]) {
		t.Fatalf("after %d requests the file holds %s of %s with %d above it", company.Submits(), leaf.Subject, leaf.Issuer, len(chain))
	}
	if !strings.Contains(fetch(t, d.http+"/ca/upstream-company.pem"), pemOf(company.Chain[1])) {
		t.Error("the root of the CA is not among those to be trusted")
	}

	// A certificate without the UPN never reaches the phone, and the old one goes on.
	device := strings.TrimSuffix(b.path(), "/install")
	company.SetWrong(standin.NoUPN)
	b.open(d.https + "/new?p=android")
	b.do(chromedp.SetValue("#name", "Second phone"))
	b.press(`main form .btn`)
	if text := b.text("main"); !strings.Contains(text, "Nothing was issued") || company.Submits() != 2 {
		t.Errorf("after %d requests: %s", company.Submits(), text)
	}
	b.picture("issued elsewhere refused")
	company.SetWrong(standin.Right)

	// The block is carried out there, and the page says so when it is.
	b.open(d.https + device + "/lost")
	b.press(`main .btn.danger`)
	b.picture("issued elsewhere blocked")
	testkit.Eventually(t, "the CA confirms the block", func() bool {
		b.open(d.https + device + "/lost")
		return b.attribute("[data-list]", "data-list") == "theirsdone"
	})
	b.picture("issued elsewhere confirmed")

	// Back to the portal's own CA: it issues, and devices of the other one are managed on.
	d.stop(syscall.SIGTERM)
	d.start()
	own := openTab(t, look{agent: androidUA})
	file, _, password = own.enrol(d)
	checkFile(t, d, file, password)
	if company.Submits() != 2 {
		t.Errorf("the CA was asked %d times", company.Submits())
	}
}

// The journey with the real step-ca and the template of its docs page, and the block in its
// revocation list. Without the template nothing reaches the phone.
func TestStepCAIssues(t *testing.T) {
	need(t, "chromium", "openssl")
	for _, tt := range []struct {
		name   string
		config stepca.Config
		issues bool
	}{
		{"documented", stepca.Config{Template: strings.ReplaceAll(testkit.DocBlocks(t, "upstream-step-ca.md", "gotemplate")[0], "@corp.example", "@demo.example")}, true},
		{"plain", stepca.Config{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			company := stepca.Start(t, tt.config)
			for name, text := range map[string]string{
				"key.jwk": company.Key, "password": stepca.Password, "chain.pem": pemOf(company.Root, company.Issuer), "server.pem": pemOf(company.Root),
			} {
				write(t, filepath.Join(dir, name), text)
			}
			write(t, filepath.Join(dir, "settings.yaml"), "upstreams:\n- name: company\n  kind: step-ca\n  url: "+company.URL+"\n  chain: "+filepath.Join(dir, "chain.pem")+
				"\n  server_ca_file: "+filepath.Join(dir, "server.pem")+"\n  provisioner: "+stepca.Provisioner+"\n  provisioner_key_file: "+filepath.Join(dir, "key.jwk")+
				"\n  password_file: "+filepath.Join(dir, "password")+"\ncertificates: {issuer: company}\n")
			d := &demo{t: t, dir: filepath.Join(dir, "data")}
			testkit.NoError(t, os.Mkdir(d.dir, 0o700))
			d.args = []string{"demo", "--listen", "127.0.0.1:0", "--data", d.dir, "--config", filepath.Join(dir, "settings.yaml")}
			d.start()
			t.Cleanup(func() { d.stop(syscall.SIGTERM) })
			b := openTab(t, look{agent: androidUA})
			if !tt.issues {
				b.signIn(d, d.person("employee"))
				b.press(`main a[href^="/new"]`)
				b.press(`main form .btn`)
				if text := b.text("main"); !strings.Contains(text, "Nothing was issued") {
					t.Errorf("page says: %s", text)
				}
				return
			}
			file, _, password := b.enrol(d)
			leaf, _ := keep(t, file, password)
			chain := filepath.Join(dir, "chain.pem")
			command(t, "openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", chain, leaf)
			b.open(d.https + strings.TrimSuffix(b.path(), "/install") + "/lost")
			b.press(`main .btn.danger`)
			testkit.Eventually(t, "step-ca confirms the block", func() bool {
				b.open(d.https + b.path())
				return b.attribute("[data-list]", "data-list") == "theirsdone"
			})
			crl := filepath.Join(dir, "list.der")
			command(t, "curl", "-s", "--cacert", filepath.Join(dir, "server.pem"), "-o", crl, company.URL+"/1.0/crl")
			command(t, "openssl", "crl", "-inform", "DER", "-in", crl, "-out", filepath.Join(dir, "list.pem"))
			out, err := exec.Command("openssl", "verify", "-crl_check", "-CRLfile", filepath.Join(dir, "list.pem"), "-CAfile", chain, leaf).CombinedOutput()
			if err == nil || !strings.Contains(string(out), "certificate revoked") {
				t.Errorf("OpenSSL with the list of step-ca: %v\n%s", err, out)
			}
		})
	}
}

// The pages of a certificate that is approved later, against the bars of all pages, with a
// stand-in for EST.
func TestPagesOfAnotherCA(t *testing.T) {
	slow(t)
	browserTool(t, "axe-core", "axe.min.js")
	dir := t.TempDir()
	company := est.Start(t)
	for name, text := range map[string]string{
		"chain.pem": pemOf(company.Chain...), "server.pem": pemOf(company.TLS), "password": est.Password,
	} {
		write(t, filepath.Join(dir, name), text)
	}
	write(t, filepath.Join(dir, "settings.yaml"), "upstreams:\n- name: company\n  kind: est\n  url: "+company.URL+"\n  chain: "+filepath.Join(dir, "chain.pem")+
		"\n  server_ca_file: "+filepath.Join(dir, "server.pem")+"\n  user: "+est.User+"\n  password_file: "+filepath.Join(dir, "password")+"\ncertificates: {issuer: company}\n")
	d := &demo{t: t, dir: filepath.Join(dir, "data")}
	testkit.NoError(t, os.Mkdir(d.dir, 0o700))
	d.args = []string{"demo", "--listen", "127.0.0.1:0", "--data", d.dir, "--config", filepath.Join(dir, "settings.yaml")}
	d.start()
	t.Cleanup(func() { d.stop(syscall.SIGTERM) })
	company.Set(standin.Pending)
	b := openTab(t, look{agent: androidUA, language: "de", scripts: true})
	b.signIn(d, d.person("employee"))
	b.press(`main a[href^="/new"]`)
	b.press(`main form .btn`)
	install := b.path()
	b.walk(d, "de", []screen{{name: "upstream-waiting", show: func(b *tab, d *demo) { b.open(d.https + install) }}})
	company.Set(standin.None)
	company.Approve()
	testkit.Eventually(t, "the certificate is ready", func() bool {
		b.open(d.https + install)
		return strings.Contains(b.text("h1"), "ist fertig")
	})
	b.walk(d, "de", []screen{{name: "upstream-ready", show: func(b *tab, d *demo) { b.open(d.https + install) }}})
	b.press(`main form .btn`)
	if file, _ := b.download("#download"); file == "" {
		t.Error("there is no file")
	}
	b.open(d.https + strings.TrimSuffix(install, "/install") + "/lost")
	b.press(`main .btn.danger`)
	b.walk(d, "de", []screen{{name: "upstream-blocked", show: func(b *tab, d *demo) { b.open(d.https + strings.TrimSuffix(install, "/install") + "/lost") }}})
}
