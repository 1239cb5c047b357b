//go:build pkcs11

package app

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/cmd/certportal/internal/hsm"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/portal"
	"certportal/internal/test/softhsm"
	"certportal/internal/test/standin/ces"
	"certportal/internal/test/testkit"
)

// TestTokenHoldsAgentKey is a portal whose enrolment agent and TLS client certificate have
// their keys in a token: both sign, and what is wrong with the token is said and sends
// nothing. A token that is back works without a restart.
func TestTokenHoldsAgentKey(t *testing.T) {
	for _, kind := range []ca.KeyKind{ca.RSA3072, ca.ECP256} {
		t.Run(string(kind), func(t *testing.T) {
			h := softhsm.New(t, "Portal")
			server := ces.Start(t)
			s := adcsSettings(t, server)
			u := &s.Upstreams[0]
			s.CA.PKCS11.Module = h.Module
			u.KeyPassphraseFile, u.AgentKeyPassphraseFile = h.PINFile, h.PINFile
			u.Key, u.AgentKey = "pkcs11:token=Portal;object=none", "pkcs11:token=Portal;object=none"
			tokens := localca.Tokens(&s)
			t.Cleanup(func() { _ = tokens.Close() })
			agent := testkit.Must(tokens.Create("Portal", "agent", kind))(t)
			client := testkit.Must(tokens.Create("Portal", "client", kind))(t)
			writePEM(t, u.AgentCertificate, server.AgentOf(t, agent.Public(), time.Now().Add(time.Hour)))
			writePEM(t, u.Certificate, server.ClientOf(t, client.Public()))

			if f := keyFinding(t, &s, time.Now()); f.State != portal.FindingFailed || !strings.Contains(f.Text, hsm.ErrNoKey.Error()) {
				t.Errorf("keys that are not there: %+v", f)
			}
			place := func(key *hsm.Key) (byLabel, byID string) {
				ref := testkit.Must(hsm.ParseReference(key.Reference()))(t)
				id := ""
				for _, b := range ref.ID {
					id += fmt.Sprintf("%%%02x", b)
				}
				return "pkcs11:token=Portal;object=" + strings.ReplaceAll(ref.Label, " ", "%20"), "pkcs11:token=Portal;id=" + id
			}
			u.AgentKey, _ = place(agent)
			_, u.Key = place(client)
			if f := keyFinding(t, &s, time.Now()); f.State != portal.FindingOK {
				t.Errorf("keys that are there: %+v", f)
			}

			p, anna := upstreamPortal(t, &s, tokens)
			p.MustEnroll(anna, "Phone", "form")
			if asked := server.Asked(); len(asked) != 1 || asked[0] != `CORP\anna` {
				t.Fatalf("asked for %q", asked)
			}
			u.AgentKey, u.Key = u.Key, u.AgentKey
			if f := keyFinding(t, &s, time.Now()); f.State != portal.FindingFailed || !strings.Contains(f.Text, "another key than the one whose") {
				t.Errorf("keys of the other certificate: %+v", f)
			}
			u.AgentKey, u.Key = u.Key, u.AgentKey
			testTokenAway(t, h, func(device string) error {
				_, err := p.Enroll(t.Context(), p.Request(anna, device, device))
				return err
			})
			if server.Submits() != 2 {
				t.Errorf("%d requests were sent", server.Submits())
			}
			testkit.NoError(t, tokens.Close()) // a module asks for no PIN while a session of the process has signed in
			h.SetPIN("111111")
			if f := keyFinding(t, &s, time.Now()); f.State != portal.FindingFailed || !strings.Contains(f.Text, hsm.ErrPIN.Error()) {
				t.Errorf("wrong PIN: %+v", f)
			}
			testkit.NoError(t, os.Chmod(h.PINFile, 0o644))
			if f := keyFinding(t, &s, time.Now()); f.State != portal.FindingFailed || !strings.Contains(f.Text, "chmod 600") {
				t.Errorf("readable PIN: %+v", f)
			}
		})
	}
}

// TestTokenKeyOfItsCertificate is a portal whose administrator gave labels: two certificates
// that name the same key, and a label that is used again for the next one. A key that was used
// before never signs for another certificate.
func TestTokenKeyOfItsCertificate(t *testing.T) {
	h := softhsm.New(t, "Portal")
	server := ces.Start(t)
	s := adcsSettings(t, server)
	u := &s.Upstreams[0]
	s.CA.PKCS11.Module = h.Module
	u.KeyPassphraseFile, u.AgentKeyPassphraseFile = h.PINFile, h.PINFile
	u.Key, u.AgentKey = "pkcs11:token=Portal;object=agent", "pkcs11:token=Portal;object=agent"
	tokens := localca.Tokens(&s)
	t.Cleanup(func() { _ = tokens.Close() })
	first, next := testkit.Must(rsa.GenerateKey(rand.Reader, 2048))(t), testkit.Must(rsa.GenerateKey(rand.Reader, 2048))(t)
	held := testkit.Must(tokens.Key(hsm.Reference{Token: "Portal", Label: "agent", Public: first.Public()}))(t)
	importKey(t, first, "agent", "01")
	writePEM(t, u.AgentCertificate, server.AgentOf(t, first.Public(), time.Now().Add(time.Hour)))
	for range 2 { // the agent's use of the key comes between
		err := keysOf(*u, tokens).check(time.Now())
		if err == nil || !strings.Contains(err.Error(), "TLS client certificate: ") || !strings.Contains(err.Error(), "another key than the one whose") || strings.Contains(err.Error(), "enrolment agent") {
			t.Errorf("two certificates with one key: %v", err)
		}
	}
	importKey(t, next, "client", "02")
	u.Key = "pkcs11:token=Portal;object=client"
	writePEM(t, u.Certificate, server.ClientOf(t, next.Public()))
	p, anna := upstreamPortal(t, &s, tokens)
	p.MustEnroll(anna, "Phone", "form")

	renewed := testkit.Must(rsa.GenerateKey(rand.Reader, 2048))(t)
	writePEM(t, u.AgentCertificate, server.AgentOf(t, renewed.Public(), time.Now().Add(time.Hour)))
	if err := keysOf(*u, tokens).check(time.Now()); err == nil || !strings.Contains(err.Error(), "another key than the one whose") {
		t.Errorf("the certificate is renewed, and the key is the old one: %v", err)
	}
	if _, err := p.Enroll(t.Context(), p.Request(anna, "Tablet", "old key")); err == nil || server.Submits() != 1 {
		t.Errorf("the old key signed for the new certificate: %v, %d requests", err, server.Submits())
	}
	testkit.NoError(t, held.Destroy())
	importKey(t, renewed, "agent", "03")
	testkit.NoError(t, keysOf(*u, tokens).check(time.Now()))
	p.MustEnroll(anna, "Tablet", "new key")
}

// importKey has SoftHSM's program put a key into the token, as an administrator does.
func importKey(t *testing.T, key *rsa.PrivateKey, label, id string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key.pem")
	der := testkit.Must(x509.MarshalPKCS8PrivateKey(key))(t)
	testkit.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	out, err := exec.CommandContext(t.Context(), "softhsm2-util", "--import", file, "--token", "Portal", "--label", label, "--id", id, "--pin", softhsm.PIN).CombinedOutput()
	if err != nil {
		t.Fatalf("importing a key: %v\n%s", err, out)
	}
}

// testTokenAway enrols while the token is away, which fails, and when it is back.
func testTokenAway(t *testing.T, h *softhsm.HSM, enrol func(device string) error) {
	t.Helper()
	h.Remove()
	if err := enrol("away"); err == nil {
		t.Error("a certificate without the token")
	}
	h.Restore()
	n := 0
	testkit.Eventually(t, "a certificate when the token is back", func() bool {
		n++
		return enrol(fmt.Sprintf("back %d", n)) == nil
	})
}

func writePEM(t *testing.T, file string, cert *x509.Certificate) {
	t.Helper()
	testkit.NoError(t, os.WriteFile(file, []byte(certificatesPEM(cert)), 0o600))
}
