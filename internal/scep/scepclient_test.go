package scep_test

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/smallstep/pkcs7"

	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

// The client is micromdm's scepclient, as published. It uses the default algorithms of
// its library, DES and SHA-1. The test builds it twice: unchanged, and with an additional
// file that sets the library's two variables to AES and SHA-256.
const (
	clientModule  = "github.com/micromdm/scep/v2"
	clientProgram = clientModule + "/cmd/scepclient"
	clientMod     = "module scepclient\n\ngo 1.24\n\nrequire (\n\t" + clientModule + " v2.3.0\n\tgithub.com/smallstep/pkcs7 v0.2.3\n)\n"
	clientModern  = `package main

import "github.com/smallstep/pkcs7"

func init() {
	pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES256CBC
	if err := pkcs7.SetDefaultDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256); err != nil {
		panic(err)
	}
}
`
)

// scepclient builds the program as published and the one with AES and SHA-256.
func scepclient(t *testing.T) (published, modern string) {
	t.Helper()
	folder, err := daemon.Cached("scepclient-2.3.0-pkcs7-0.2.3", buildClient)
	if err != nil {
		daemon.Need(t, fmt.Sprintf("scepclient is absent: %v", err))
	}
	return filepath.Join(folder, "published"), filepath.Join(folder, "modern")
}

func buildClient(folder string) error {
	run := func(args ...string) (string, error) {
		cmd := exec.Command("go", args...)
		cmd.Dir = folder
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
		out, err := cmd.Output()
		if err != nil {
			var stderr []byte
			if exit, ok := err.(*exec.ExitError); ok {
				stderr = exit.Stderr
			}
			return "", fmt.Errorf("go %s: %w\n%s", args[0], err, stderr)
		}
		return strings.TrimSpace(string(out)), nil
	}
	if err := os.WriteFile(filepath.Join(folder, "go.mod"), []byte(clientMod), 0o644); err != nil {
		return err
	}
	if _, err := run("build", "-o", "published", clientProgram); err != nil {
		return err
	}
	source, err := run("list", "-m", "-f", "{{.Dir}}", clientModule)
	if err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(folder, "source"), os.DirFS(filepath.Join(source, "cmd", "scepclient"))); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "source", "modern.go"), []byte(clientModern), 0o644); err != nil {
		return err
	}
	_, err = run("build", "-o", "modern", "./source")
	return err
}

// device runs a client in its own folder, which holds key and certificate.
type device struct {
	t       *testing.T
	program string
	dir     string
	url     string
}

func (d device) run(args ...string) (string, error) {
	d.t.Helper()
	args = append([]string{
		"-server-url", d.url, "-private-key", filepath.Join(d.dir, "key.pem"), "-key-encipherment-selector",
	}, args...)
	out, err := exec.CommandContext(d.t.Context(), d.program, args...).CombinedOutput()
	return string(out), err
}

func (d device) certificate() *x509.Certificate {
	d.t.Helper()
	file := testkit.Must(os.ReadFile(filepath.Join(d.dir, "client.pem")))(d.t)
	block, _ := pem.Decode(file)
	if block == nil {
		d.t.Fatal("no PEM in the certificate file")
	}
	return testkit.Must(x509.ParseCertificate(block.Bytes))(d.t)
}

func TestScepclientEnrols(t *testing.T) {
	_, modern := scepclient(t)
	h := newRenewingFixture(t)
	c := h.challenge(h.anna)
	d := device{t, modern, t.TempDir(), h.url}
	out, err := d.run("-challenge", c.Secret, "-cn", h.bert.UPN, "-organization", "Domain Admins", "-dnsname", "dc.corp.example")
	if err != nil {
		t.Fatalf("%v\n%s\n%v", err, out, h.last().Detail)
	}
	cert := d.certificate()
	if err := cert.CheckSignatureFrom(h.hierarchy.Issuing); err != nil {
		t.Error(err)
	}
	if got, want := cert.Subject.String(), "CN="+h.anna.UPN; got != want {
		t.Errorf("subject %q, want %q", got, want)
	}
	if len(cert.DNSNames) != 0 || !slices.Equal(cert.EmailAddresses, []string{h.anna.Mail}) {
		t.Errorf("names %v and %v, want those of the directory", cert.DNSNames, cert.EmailAddresses)
	}
	for what, text := range map[string]string{"UPN": h.anna.UPN, "SID": h.anna.SID} {
		if !strings.Contains(string(cert.Raw), text) {
			t.Errorf("the certificate lacks the %s", what)
		}
	}
	h.pass(renewable)
	// With key and certificate present, the program requests a renewal with the same key,
	// which already has a certificate.
	if out, err := d.run(); err == nil || h.last().Detail["reason"] != portal.KeyReused {
		t.Errorf("renewal with the same key: %v, %v\n%s", err, h.last().Detail, out)
	}
	// The program cannot sign the request for a new key with the old key; another test
	// covers that renewal with the library.
}

func TestScepclientIsRefused(t *testing.T) {
	published, modern := scepclient(t)
	h := newFixture(t)
	used, expired := h.challenge(h.anna), h.challenge(h.anna)
	first := device{t, modern, t.TempDir(), h.url}
	if out, err := first.run("-challenge", used.Secret); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	h.pass(enroll.ChallengeLife)
	good := h.challenge(h.anna)
	for _, tt := range []struct{ name, program, challenge, reason string }{
		{"missing", modern, "", portal.ChallengeMissing},
		{"foreign", modern, "of another portal", portal.ChallengeUnknown},
		{"replayed", modern, used.Secret, portal.ChallengeUsed},
		{"expired", modern, expired.Secret, portal.ChallengeExpired},
		{"DES and SHA-1", published, good.Secret, "message-algorithm"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := h.serials()
			out, err := device{t, tt.program, t.TempDir(), h.url}.run("-challenge", tt.challenge)
			if err == nil || !strings.Contains(out, "failInfo") {
				t.Errorf("got %v, want a failure of SCEP\n%s", err, out)
			}
			last := h.last()
			if last.Action != audit.EnrolmentRefused || last.Detail["reason"] != tt.reason || h.serials() != before {
				t.Errorf("last entry %s %v after %d serials, want refusal %q", last.Action, last.Detail, h.serials()-before, tt.reason)
			}
		})
	}
}

// OpenSSL verifies the responses independently.
func TestOpenSSLReadsTheAnswers(t *testing.T) {
	openssl := daemon.Program("openssl")
	if openssl == "" {
		daemon.Need(t, "openssl is absent")
	}
	h := newFixture(t)
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	asPEM := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	p, c := newPhone(t, 0), h.challenge(h.anna)
	m := h.first(p, c.Secret)
	_, success := h.post(m.Raw)
	other := newPhone(t, 1)
	_, failure := h.post(h.first(other, c.Secret).Raw)
	chain := write("chain.pem", append(asPEM("CERTIFICATE", h.hierarchy.Root.Raw), asPEM("CERTIFICATE", h.hierarchy.Issuing.Raw)...))
	envelope := filepath.Join(dir, "envelope.der")
	for name, answer := range map[string][]byte{"success": success, "failure": failure} {
		args := []string{"cms", "-verify", "-inform", "DER", "-in", write(name, answer), "-CAfile", chain,
			"-purpose", "any", "-binary", "-out", envelope}
		if name == "failure" {
			args = append(args, "-content", write("nothing", nil))
		} else {
			args[len(args)-1] = filepath.Join(dir, "success.envelope")
		}
		if out, err := exec.Command(openssl, args...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		// As in signed profiles (RFC 3370 section 3.2).
		signer := testkit.Must(pkcs7.Parse(answer))(t).Signers[0].DigestEncryptionAlgorithm
		if !signer.Algorithm.Equal(pkcs7.OIDEncryptionAlgorithmRSA) || !bytes.Equal(signer.Parameters.FullBytes, asn1.NullBytes) {
			t.Errorf("%s is signed as %s with parameters %x, want rsaEncryption with NULL", name, signer.Algorithm, signer.Parameters.FullBytes)
		}
	}
	key := testkit.Must(x509.MarshalPKCS8PrivateKey(p.key))(t)
	out, err := exec.Command(openssl, "cms", "-decrypt", "-inform", "DER", "-in", filepath.Join(dir, "success.envelope"),
		"-recip", write("phone.pem", asPEM("CERTIFICATE", p.signer.Raw)), "-inkey", write("phone.key", asPEM("PRIVATE KEY", key)),
		"-out", filepath.Join(dir, "bundle.der")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err = exec.Command(openssl, "pkcs7", "-inform", "DER", "-in", filepath.Join(dir, "bundle.der"), "-print_certs", "-noout").CombinedOutput()
	if err != nil || !strings.Contains(string(out), h.anna.UPN) {
		t.Errorf("%v\n%s", err, out)
	}
}
