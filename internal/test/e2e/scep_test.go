package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"
	"github.com/smallstep/scep/x509util"
)

// enrollment is what a phone reads in the SCEP payload.
type enrollment struct {
	URL, Challenge string
	CAFingerprint  string // base64
}

// TestKeyMadeOnThePhone is an iPhone with SCEP on: the profile holds no key and no
// password, the phone makes the key, and what it asks to be called does not
// matter.
func TestKeyMadeOnThePhone(t *testing.T) {
	need(t, "chromium", "openssl", "python3")
	d := startDemo(t, "CERTPORTAL_SCEP_ENABLED=true", "CERTPORTAL_EXCHANGE_HOST=mail.demo.example")
	b := openTab(t, look{agent: iphoneUA})
	b.signIn(d, d.person("employee"))
	b.press(`main a[href^="/new"]`)
	b.press(`main form .btn`)
	if n := eval[int](b, `document.querySelectorAll("#install-password").length`); n != 0 {
		t.Error("the page shows a password")
	}
	b.picture("result iPhone own key")
	file, _ := b.download("#download")
	_, inside := readProfile(t, d, file)
	if of("com.apple.security.pkcs12", inside).PayloadType != "" {
		t.Error("the profile holds a key")
	}
	payload := of("com.apple.security.scep", inside)
	if mail := of("com.apple.eas.account", inside); mail.PayloadCertificateUUID != payload.PayloadUUID || payload.PayloadUUID == "" {
		t.Errorf("the mailbox signs in with %q, the payload is %q", mail.PayloadCertificateUUID, payload.PayloadUUID)
	}
	var e enrollment
	if err := json.Unmarshal(payload.PayloadContent, &e); err != nil {
		t.Fatal(err)
	}
	checkIdentity(t, askSCEP(t, e, "administrator@demo.example"), "anna@demo.example", "S-1-5-21-1004336348-1177238915-682003330-1101")

	b.open(d.https + b.path())
	b.picture("result iPhone own key arrived")
	if n := eval[int](b, `document.querySelectorAll("#download").length`); n != 0 {
		t.Error("the profile is offered again")
	}
}

// askSCEP is the phone: it asks for the agent, sends one request and opens the
// answer.
func askSCEP(t *testing.T, e enrollment, name string) *x509.Certificate {
	t.Helper()
	certs := agents(t, e)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509util.CreateCertificateRequest(rand.Reader, &x509util.CertificateRequest{
		CertificateRequest: x509.CertificateRequest{Subject: pkix.Name{CommonName: name}, SignatureAlgorithm: x509.SHA256WithRSA},
		ChallengePassword:  e.Challenge,
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		t.Fatal(err)
	}
	self := selfSigned(t, key)
	// The library's own defaults are DES and SHA-1, which the portal refuses.
	pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES256CBC
	if err := pkcs7.SetDefaultDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256); err != nil {
		t.Fatal(err)
	}
	message, err := scep.NewCSRRequest(request, &scep.PKIMessage{
		MessageType: scep.PKCSReq, Recipients: certs, SignerKey: key, SignerCert: self,
	}, scep.WithCertsSelector(scep.EnciphermentCertsSelector()))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := scep.ParsePKIMessage(sendSCEP(t, e.URL+"?operation=PKIOperation", message.Raw), scep.WithCACerts(certs))
	if err != nil {
		t.Fatal(err)
	}
	if answer.PKIStatus != scep.SUCCESS {
		t.Fatalf("answer %s, %s", answer.PKIStatus, answer.FailInfo)
	}
	if err := answer.DecryptPKIEnvelope(self, key); err != nil {
		t.Fatal(err)
	}
	return answer.CertRepMessage.Certificate
}

// agents are the certificates that the portal offers, the CA among them that the
// profile names.
func agents(t *testing.T, e enrollment) []*x509.Certificate {
	t.Helper()
	certs, err := scep.CACerts([]byte(fetch(t, e.URL+"?operation=GetCACert")))
	if err != nil {
		t.Fatal(err)
	}
	for _, cert := range certs {
		sum := sha1.Sum(cert.Raw)
		if base64.StdEncoding.EncodeToString(sum[:]) == e.CAFingerprint {
			return certs
		}
	}
	t.Fatalf("none of the %d certificates has the fingerprint %s", len(certs), e.CAFingerprint)
	return nil
}

// selfSigned is what a device without a certificate signs with.
func selfSigned(t *testing.T, key *rsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "phone"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func sendSCEP(t *testing.T, address string, message []byte) []byte {
	t.Helper()
	resp, err := http.Post(address, "application/x-pki-message", bytes.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("PKIOperation: status %d, %v", resp.StatusCode, err)
	}
	return body
}
