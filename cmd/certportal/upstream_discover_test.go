package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/test/samba"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// The Configuration partition of a real domain controller is read, its templates are judged,
// and the settings that are printed are settings.
func TestUpstreamDiscoverCommand(t *testing.T) {
	dc := samba.Lease(t)
	h := fixture.Hierarchy(t, "ec-p256")
	for _, e := range []struct {
		name, class string
		attributes  map[string][]string
	}{
		{"CN=Corp Issuing CA,CN=Enrollment Services", "pKIEnrollmentService", map[string][]string{
			"dNSHostName": {"ca01.corp.example"}, "cACertificate": {string(h.Issuing.Raw)}, "certificateTemplates": {"PortalOpen", "PortalGood", "PortalGone"},
			"msPKI-Enrollment-Servers": {
				"1\n1\n0\nhttps://ces.corp.example/Corp%20Issuing%20CA_CES_Anonymous/service.svc/CES\n0",
				"1\n2\n0\nhttps://ces.corp.example/Corp%20Issuing%20CA_CES_Kerberos/service.svc/CES\n0",
				"2\n8\n0\nhttps://ces.corp.example/Corp%20Issuing%20CA_CES_Certificate/service.svc/CES\n0",
			},
		}},
		{"CN=PortalGood,CN=Certificate Templates", "pKICertificateTemplate", templateEntry("33554432", "1")},
		{"CN=PortalOpen,CN=Certificate Templates", "pKICertificateTemplate", templateEntry("1", "0")},
	} {
		added := dc.AddKeyService(t, e.name, e.class, e.attributes)
		t.Cleanup(func() { dc.Delete(t, added.DN) })
	}
	data := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(data, name)
		testkit.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	base := fmt.Sprintf(`data: %s
directory:
  kind: active-directory
  servers: [%q]
  ca_file: %s
  user: %s
  password_file: %s
  domain: %s
`, data, dc.URL(), dc.CAFile, samba.Reader, write("password", samba.ReaderPassword), samba.Domain)
	out := mustRun(t, "--config", write("settings.yaml", base), "upstream", "discover")
	for _, want := range []string{
		`# ca01.corp.example\Corp Issuing CA`, "CES_Anonymous/service.svc/CES (Anonymous): the portal cannot sign in this way", "CES_Certificate/service.svc/CES (Certificate)",
		"template PortalOpen", "CRITICAL: The template takes the names from the request (ESC1)", "template PortalGone: its entry cannot be read",
		"template: 'PortalGood'", "kind: adcs", "#   issuer: 'corp-issuing-ca'",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q:\n%s", want, out)
		}
	}
	s := testkit.Must(config.Load(write("found.yaml", base+out), nil))(t)
	testkit.NoError(t, s.Check())
	if len(s.Upstreams) != 1 || s.Certificates.Issuer != "" || s.Upstreams[0].Template != "PortalGood" ||
		!strings.HasSuffix(s.Upstreams[0].URL, "CES_Certificate/service.svc/CES") {
		t.Errorf("settings are %+v", s.Upstreams)
	}
	if r := certportal(t, "", "--data", data, "upstream", "discover"); r.code == exitDone || !strings.Contains(r.err, "Active Directory") {
		t.Errorf("without Active Directory: %d, %s", r.code, r.err)
	}
}

// templateEntry is a template with these flags of names and so many signatures.
func templateEntry(names, signatures string) map[string][]string {
	return map[string][]string{
		"displayName": {"Portal user"}, "flags": {"131642"}, "msPKI-Certificate-Name-Flag": {names}, "msPKI-Enrollment-Flag": {"0"},
		"msPKI-RA-Signature": {signatures}, "msPKI-RA-Application-Policies": {"1.3.6.1.4.1.311.20.2.1"}, "msPKI-Template-Schema-Version": {"2"},
		"msPKI-Minimal-Key-Size": {"256"},
		"pKIExtendedKeyUsage":    {"1.3.6.1.4.1.311.10.3.4", "1.3.6.1.5.5.7.3.4", "1.3.6.1.5.5.7.3.2"}, "pKIExpirationPeriod": {"\x00\x40\x39\x87\x2e\xe1\xfe\xff"},
	}
}
