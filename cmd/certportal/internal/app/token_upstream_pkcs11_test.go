//go:build pkcs11

package app

import (
	"crypto/x509"
	"fmt"
	"os"
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
