package adcs_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"

	"certportal/ca/upstream/adcs"
	"certportal/internal/test/daemon"
	"certportal/internal/test/standin"
	directory "certportal/internal/test/standin/adcs"
	"certportal/internal/test/testkit"
)

// hidden is a key that only signs, as in an HSM.
type hidden struct{ crypto.Signer }

// newAgent makes a self-signed agent.
func newAgent(t *testing.T, key crypto.Signer) *adcs.Agent {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Agent"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), UnknownExtKeyUsage: []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 311, 20, 2, 1}},
		KeyUsage: x509.KeyUsageDigitalSignature, IsCA: true, BasicConstraintsValid: true,
	}
	der := testkit.Must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
	agent := &adcs.Agent{Certificate: testkit.Must(x509.ParseCertificate(der))(t), Key: key}
	testkit.NoError(t, agent.Check(time.Now()))
	return agent
}

func agents(t *testing.T) map[string]*adcs.Agent {
	t.Helper()
	key := testkit.Must(rsa.GenerateKey(rand.Reader, 2048))(t)
	padded := newAgent(t, testkit.ECKey(t))
	padded.PadNames = true
	return map[string]*adcs.Agent{
		"ecdsa": newAgent(t, testkit.ECKey(t)), "rsa": newAgent(t, key), "padded": padded,
		"hidden ecdsa": newAgent(t, hidden{testkit.ECKey(t)}), "hidden rsa": newAgent(t, hidden{key}),
	}
}

func TestRequestOnBehalf(t *testing.T) {
	request, _ := standin.NewRequest(t)
	for name, agent := range agents(t) {
		raw := testkit.Must(agent.Request(request.CSR, `CORP\änna.müller`))(t)
		message := testkit.Must(pkcs7.Parse(raw))(t)
		testkit.NoError(t, message.Verify())
		if !bytes.Equal(message.Content, request.CSR) {
			t.Errorf("%s: content is not the request", name)
		}
		want := `CORP\änna.müller`
		if agent.PadNames {
			if got := string(raw); !strings.Contains(got, "\x00r\x00e\x00q\x00u\x00e\x00s\x00t\x00e\x00r\x00n\x00a\x00m\x00e\x00\x00") {
				t.Errorf("%s: no NUL behind the name", name)
			}
			continue
		}
		testkit.Equal(t, name+" requester", testkit.Must(directory.Requester(message))(t), want)
	}
}

// TestOpenSSLVerifiesRequestOnBehalf asks another implementation of CMS for signature,
// content and attribute.
func TestOpenSSLVerifiesRequestOnBehalf(t *testing.T) {
	openssl := daemon.Program("openssl")
	if openssl == "" {
		daemon.Need(t, "openssl is not installed")
	}
	request, _ := standin.NewRequest(t)
	folder := t.TempDir()
	write := func(name string, content []byte) string {
		name = filepath.Join(folder, name)
		testkit.NoError(t, os.WriteFile(name, content, 0o600))
		return name
	}
	for name, agent := range agents(t) {
		file := write("request.der", testkit.Must(agent.Request(request.CSR, `CORP\anna`))(t))
		roots := write("root.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: agent.Certificate.Raw}))
		content := filepath.Join(folder, "content.der")
		out, err := exec.Command(openssl, "cms", "-verify", "-binary", "-inform", "DER", "-in", file,
			"-CAfile", roots, "-purpose", "any", "-out", content).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
			continue
		}
		if got := testkit.Must(os.ReadFile(content))(t); !bytes.Equal(got, request.CSR) {
			t.Errorf("%s: openssl reads another content", name)
		}
		message := testkit.Must(os.ReadFile(file))(t)
		dump := string(testkit.Must(exec.Command(openssl, "asn1parse", "-inform", "DER", "-in", file).Output())(t))
		got := textsBehind(t, dump, "1.3.6.1.4.1.311.13.2.1", message)
		nul := ""
		if agent.PadNames {
			nul = "\x00"
		}
		testkit.Equal(t, name+": pair", strings.Join(got, "|"), "requestername"+nul+`|CORP\anna`+nul)
		if strings.Contains(dump, "1.3.6.1.4.1.311.21.10") {
			t.Errorf("%s: request holds application policies, which ESC15 uses", name)
		}
	}
}

// textsBehind gives the two BMPStrings behind an object identifier, where openssl found them.
func textsBehind(t *testing.T, dump, identifier string, message []byte) []string {
	t.Helper()
	_, behind, found := strings.Cut(dump, ":"+identifier+"\n")
	if !found {
		t.Fatalf("openssl finds no %s", identifier)
	}
	var texts []string
	for _, m := range regexp.MustCompile(`(\d+):d=\s*\d+\s+hl=(\d+) l=\s*(\d+) prim: BMPSTRING`).FindAllStringSubmatch(behind, 2) {
		var n [3]int
		for i := range n {
			n[i] = testkit.Must(strconv.Atoi(m[i+1]))(t)
		}
		var text strings.Builder
		for at := n[0] + n[1]; at < n[0]+n[1]+n[2]; at += 2 {
			text.WriteRune(rune(message[at])<<8 | rune(message[at+1]))
		}
		texts = append(texts, text.String())
	}
	return texts
}

func TestAgentFromAnotherKeyIsNotTrusted(t *testing.T) {
	agent := newAgent(t, testkit.ECKey(t))
	agent.Key = testkit.ECKey(t)
	if agent.Check(time.Now()) == nil {
		t.Error("agent with the key of another is accepted")
	}
}
