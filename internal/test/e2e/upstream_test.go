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
	"certportal/internal/test/stepca"
	"certportal/internal/test/testkit"
)

// The journey, unchanged, with a CA of each kind: a file that opens, a block that the page
// says the truth about, a wrong certificate that never reaches the phone, and the way back
// to the portal's own CA with all devices still managed.
func TestIssuedElsewhere(t *testing.T) {
	need(t, "chromium", "openssl")
	for _, kind := range []string{"step-ca", "vault", "ejbca", "est", "adcs", "certsrv"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			d, company := demoAt(t, kind)
			b := openTab(t, look{agent: androidUA})
			device := issuedElsewhere(t, d, b, company)
			refusedElsewhere(t, d, b, company)
			blockedElsewhere(t, d, b, company, device)
			backToTheOwnCA(t, d, company, device)
		})
	}
}

func issuedElsewhere(t *testing.T, d *demo, b *tab, company company) (device string) {
	t.Helper()
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
	return strings.TrimSuffix(b.path(), "/install")
}

// A certificate without the UPN never reaches the phone, and the old one goes on.
func refusedElsewhere(t *testing.T, d *demo, b *tab, company company) {
	t.Helper()
	company.SetWrong(standin.NoUPN)
	b.open(d.https + "/new?p=android")
	b.do(chromedp.SetValue("#name", "Second phone"))
	b.press(`main form .btn`)
	if text := b.text("main"); !strings.Contains(text, "Nothing was issued") || company.Submits() != 2 {
		t.Errorf("after %d requests: %s", company.Submits(), text)
	}
	b.picture("issued elsewhere refused")
	company.SetWrong(standin.Right)
}

// The block is carried out by the CA, and the page says so when it is, or it waits for an
// administrator, and the page says that.
func blockedElsewhere(t *testing.T, d *demo, b *tab, company company, device string) {
	t.Helper()
	b.open(d.https + device + "/lost")
	b.press(`main .btn.danger`)
	b.picture("issued elsewhere blocked")
	testkit.Eventually(t, "the page says how far the block is", func() bool {
		b.open(d.https + device + "/lost")
		state := b.attribute("[data-list]", "data-list")
		return confirmed(state) || !company.revokes && state == "theirs"
	})
	b.picture("issued elsewhere confirmed")
}

// confirmed reports whether a page says that the other CA revoked: it answered so, or its list,
// which the portal reads on a clock of its own, names the certificate.
func confirmed(state string) bool { return state == "theirsdone" || state == "theirslisted" }

// The portal's own CA issues again, and the device with a certificate of the other one is
// still managed.
func backToTheOwnCA(t *testing.T, d *demo, company company, device string) {
	t.Helper()
	d.stop(syscall.SIGTERM)
	d.start()
	own := openTab(t, look{agent: androidUA})
	file, _, password := own.enrol(d)
	checkFile(t, d, file, password)
	if company.Submits() != 2 {
		t.Errorf("the CA was asked %d times", company.Submits())
	}
	own.open(d.https + device)
	if text := own.text("main"); !strings.Contains(text, "Blocked") {
		t.Errorf("page of the device of the other CA: %s", text)
	}
}

// The journey with the real step-ca and the template of its docs page, and the block in its
// revocation list. Without the template nothing reaches the phone.
func TestStepCAIssues(t *testing.T) {
	t.Parallel() // most of it waits for the list
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
			chain, server := file(t, dir, "chain.pem", pemOf(company.Root, company.Issuer)), file(t, dir, "server.pem", pemOf(company.Root))
			d := demoElsewhere(t, dir, "step-ca", map[string]any{
				"url": company.URL, "chain": chain, "server_ca_file": server, "provisioner": stepca.Provisioner,
				"provisioner_key_file": file(t, dir, "key.jwk", company.Key), "password_file": file(t, dir, "password", stepca.Password),
			})
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
			command(t, "openssl", "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", chain, leaf)
			b.open(d.https + strings.TrimSuffix(b.path(), "/install") + "/lost")
			b.press(`main .btn.danger`)
			testkit.Eventually(t, "step-ca confirms the block", func() bool {
				b.open(d.https + b.path())
				return confirmed(b.attribute("[data-list]", "data-list"))
			})
			crl := filepath.Join(dir, "list.der")
			command(t, "curl", "-s", "--cacert", server, "-o", crl, company.URL+"/1.0/crl")
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
	t.Parallel()
	slow(t)
	browserTool(t, "axe-core", "axe.min.js")
	d, company := demoAt(t, "est")
	company.Set(standin.Pending)
	b := openTab(t, look{agent: androidUA, language: "de", scripts: true})
	b.signIn(d, d.person("employee"))
	b.press(`main a[href^="/new"]`)
	b.press(`main form .btn`)
	install := b.path()
	b.walk(d, "de", []screen{{name: "upstream-waiting", show: func(b *tab, d *demo) { b.open(d.https + install) }}})
	company.Set(standin.None)
	company.approve()
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
	adminPagesOfAnotherCA(t, d)
}

// adminPagesOfAnotherCA has an administrator test the CA, and looks at the pages.
func adminPagesOfAnotherCA(t *testing.T, d *demo) {
	t.Helper()
	b := openTab(t, look{language: "de", scripts: true})
	b.signIn(d, d.person("admin"))
	b.open(d.https + "/admin/ca")
	b.press(`form:has(input[name="kind"][value="issue"]) .btn`)
	testkit.Eventually(t, "the test has a result", func() bool {
		b.open(d.https + "/admin/ca")
		return strings.Contains(b.text("main"), "ada@")
	})
	at := func(path string) func(*tab, *demo) { return func(b *tab, d *demo) { b.open(d.https + path) } }
	b.walk(d, "de", []screen{
		{name: "upstream-admin-tests", show: at("/admin/ca")},
		{name: "upstream-admin-directory", show: at("/admin/ca/directory")},
		{name: "upstream-admin-overview", show: at("/admin")},
	})
}
