package directory_test

import (
	"slices"
	"testing"
	"time"

	"certportal/ca/upstream/adcs/discovery"
	"certportal/internal/directory"
	"certportal/internal/test/samba"
	"certportal/internal/test/testkit"
)

// TestSambaForest reads a CA and a template as AD CS leaves them in the directory.
func TestSambaForest(t *testing.T) {
	t.Parallel()
	dc := samba.Lease(t)
	authority := authorityAt(t, time.Now())
	for name, e := range map[string]struct {
		class      string
		attributes map[string][]string
	}{
		"CN=Example-CA,CN=Enrollment Services": {"pKIEnrollmentService", map[string][]string{
			"dNSHostName": {"ca01.corp.example"}, "cACertificate": {string(authority.Certificate.Raw)}, "certificateTemplates": {"PortalUser", "Machine"},
			"msPKI-Enrollment-Servers": {
				"1\n8\n0\nhttps://ces.corp.example/Example-CA_CES_Certificate/service.svc/CES\n0",
				"1\n2\n0\nhttps://ces.corp.example/Example-CA_CES_Kerberos/service.svc/CES\n0",
			},
		}},
		"CN=PortalUser,CN=Certificate Templates": {"pKICertificateTemplate", map[string][]string{
			"displayName": {"Portal user"}, "flags": {"131642"}, "msPKI-Certificate-Name-Flag": {"-2113929216"}, "msPKI-Enrollment-Flag": {"2"},
			"msPKI-RA-Signature": {"1"}, "msPKI-RA-Application-Policies": {"1.3.6.1.4.1.311.20.2.1"}, "msPKI-Template-Schema-Version": {"2"},
			"msPKI-Minimal-Key-Size": {"2048"}, "pKIExtendedKeyUsage": {"1.3.6.1.5.5.7.3.2"}, "pKIExpirationPeriod": {"\x00\x40\x39\x87\x2e\xe1\xfe\xff"},
		}},
	} {
		added := dc.AddKeyService(t, name, e.class, e.attributes)
		t.Cleanup(func() { dc.Delete(t, added.DN) })
	}
	forest := testkit.Must(directory.ReadForest(t.Context(), openLDAP(t, domain(dc))))(t)
	i := slices.IndexFunc(forest.Services, func(s discovery.Service) bool { return s.Name == "Example-CA" })
	j := slices.IndexFunc(forest.Templates, func(t discovery.Template) bool { return t.Name == "PortalUser" })
	if i < 0 || j < 0 {
		t.Fatalf("CA or template is not found: %+v", forest)
	}
	service, template := forest.Services[i], forest.Templates[j]
	testkit.Equal(t, "config", service.Config(), `ca01.corp.example\Example-CA`)
	testkit.Equal(t, "certificates", len(service.Certificates), 1)
	testkit.Equal(t, "issues the template", service.Issues(template.Name), true)
	usable := service.Usable()
	testkit.Equal(t, "usable addresses", len(usable), 2)
	testkit.Equal(t, "best", usable[0].Authentication, discovery.ClientCertificate)
	testkit.Equal(t, "last", usable[1].Authentication, discovery.Kerberos)
	findings := template.Findings(discovery.Needs{KeyBits: 2048, Validity: 365 * 24 * time.Hour, Agent: true})
	testkit.Equal(t, "findings", len(findings), 1)
	testkit.Contains(t, "finding", findings[0].Text, "waits for an officer")
	testkit.Equal(t, "unreadable entries", len(forest.Unreadable), 0)
}
