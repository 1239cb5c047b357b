package app

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/hsm"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/portal"
	"certportal/internal/test/standin/ces"
	"certportal/internal/test/testkit"
)

// openssl runs OpenSSL in a folder, and expects a text.
func openssl(t *testing.T, dir, want string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		t.Errorf("openssl %s: %v, want %q in\n%s", strings.Join(args, " "), err, want, out)
	}
}

// encryptKeys encrypts both keys of the settings by OpenSSL.
func encryptKeys(t *testing.T, u *config.UpstreamSettings) {
	t.Helper()
	dir := filepath.Dir(u.Key)
	testkit.NoError(t, os.WriteFile(filepath.Join(dir, "passphrase"), []byte("correct horse\n"), 0o600))
	for _, key := range []*string{&u.Key, &u.AgentKey} {
		sealed := *key + ".sealed"
		openssl(t, dir, "", "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in", *key, "-out", sealed, "-passout", "file:passphrase")
		testkit.NoError(t, os.Remove(*key))
		*key = sealed
	}
	u.KeyPassphraseFile, u.AgentKeyPassphraseFile = filepath.Join(dir, "passphrase"), filepath.Join(dir, "passphrase")
}

// keyFinding gives the check of the keys.
func keyFinding(t *testing.T, s *config.Settings, now time.Time) portal.Finding {
	t.Helper()
	list := upstreamKeyFindings(s, now)
	if len(list) != 1 {
		t.Fatalf("findings %+v", list)
	}
	return list[0]
}

// Keys that are encrypted at rest sign in to the CA and sign for people. With a wrong
// passphrase nothing is sent, and the checks say why.
func TestUpstreamKeysEncrypted(t *testing.T) {
	server := ces.Start(t)
	s := adcsSettings(t, server)
	u := &s.Upstreams[0]
	encryptKeys(t, u)
	p, anna := upstreamPortal(t, &s, localca.Tokens(&s))
	p.MustEnroll(anna, "Phone", "form")
	if asked := server.Asked(); len(asked) != 1 {
		t.Fatalf("asked for %q", asked)
	}
	if f := keyFinding(t, &s, time.Now()); f.State != portal.FindingOK {
		t.Errorf("check: %+v", f)
	}
	testkit.NoError(t, os.WriteFile(u.AgentKeyPassphraseFile, []byte("wrong\n"), 0o600))
	if f := keyFinding(t, &s, time.Now()); f.State != portal.FindingFailed || !strings.Contains(f.Text, "wrong passphrase") {
		t.Errorf("check with a wrong passphrase: %+v", f)
	}
	list := testkit.Must(upstreamsToCheck(&s, localca.Tokens(&s), time.Now))(t)
	if err := list[0].Keys(); err == nil || !strings.Contains(err.Error(), "enrolment agent: key") {
		t.Errorf("doctor with a wrong passphrase: %v", err)
	}
	if _, err := p.Enroll(t.Context(), p.Request(anna, "Tablet", "again")); err == nil {
		t.Error("a certificate without the agent's key")
	}
	if server.Submits() != 1 {
		t.Errorf("%d requests were sent", server.Submits())
	}
}

// An agent that expired and one whose key is another's are found before a request fails.
func TestUpstreamKeysThatCannotBeUsed(t *testing.T) {
	server := ces.Start(t)
	s := adcsSettings(t, server)
	u := &s.Upstreams[0]
	if f := keyFinding(t, &s, time.Now().Add(2*time.Hour)); f.State != portal.FindingFailed ||
		!strings.Contains(f.Text, "enrolment agent: certificate of the enrolment agent is valid from") || !strings.Contains(f.Text, "TLS client certificate: it is valid from") {
		t.Errorf("after the end: %+v", f)
	}
	own := u.AgentKey
	u.AgentKey = u.Key
	if f := keyFinding(t, &s, time.Now()); f.State != portal.FindingFailed || !strings.Contains(f.Text, "is not that of the certificate") {
		t.Errorf("key of another: %+v", f)
	}
	u.AgentKey = own
	u.AgentCertificate = u.Certificate
	u.AgentKey = u.Key
	if f := keyFinding(t, &s, time.Now()); f.State != portal.FindingFailed || !strings.Contains(f.Text, "lacks the extended key usage") {
		t.Errorf("no agent: %+v", f)
	}
}

// Without PKCS#11 a key in a token is refused with what to do.
func TestUpstreamKeysInTokensNeedPKCS11(t *testing.T) {
	server := ces.Start(t)
	s := adcsSettings(t, server)
	s.CA.PKCS11.Module = "/usr/lib/none.so"
	s.Upstreams[0].AgentKey, s.Upstreams[0].AgentKeyPassphraseFile = "pkcs11:token=Portal;object=agent", "/pin"
	f := keyFinding(t, &s, time.Now())
	if want := map[bool]string{false: "built without PKCS#11", true: "/pin"}[hsm.Built]; f.State != portal.FindingFailed || !strings.Contains(f.Text, want) {
		t.Errorf("check: %+v, want %q", f, want)
	}
}
