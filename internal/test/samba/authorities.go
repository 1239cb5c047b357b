package samba

import (
	"os/exec"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/test/daemon"
)

// PublicKeyServices is the container of the forest's CA certificates.
const PublicKeyServices = "CN=Public Key Services,CN=Services,CN=Configuration," + Base

// AddAuthority adds an entry with CA certificates below PublicKeyServices, as certutil
// -dspublish does: "CN=NTAuthCertificates", or "CN=Root,CN=Certification Authorities".
func (dc *DC) AddAuthority(t testing.TB, name string, certificates ...[]byte) Entry {
	t.Helper()
	dn := name + "," + PublicKeyServices
	var values []string
	for _, certificate := range certificates {
		values = append(values, string(certificate))
	}
	request := ldap.NewAddRequest(dn, nil)
	request.Attribute("objectClass", []string{"certificationAuthority"})
	request.Attribute("cACertificate", values)
	for _, mandatory := range []string{"authorityRevocationList", "certificateRevocationList"} {
		request.Attribute(mandatory, []string{"\x00"})
	}
	if err := dc.admin(t).Add(request); err != nil {
		t.Fatalf("adding %s: %v", dn, err)
	}
	return dc.addedEntry(t, dn)
}

// AddKeyService adds an entry below PublicKeyServices, such as that of a CA
// ("CN=CA,CN=Enrollment Services") or of a certificate template.
func (dc *DC) AddKeyService(t testing.TB, name, class string, attributes map[string][]string) Entry {
	t.Helper()
	dn := name + "," + PublicKeyServices
	request := ldap.NewAddRequest(dn, nil)
	request.Attribute("objectClass", []string{class})
	for attribute, values := range attributes {
		request.Attribute(attribute, values)
	}
	if err := dc.admin(t).Add(request); err != nil {
		t.Fatalf("adding %s: %v", dn, err)
	}
	return dc.addedEntry(t, dn)
}

// HideCertificates forbids to read the certificates of an entry.
func (dc *DC) HideCertificates(t testing.TB, dn string) {
	t.Helper()
	const attribute = "bf967932-0de6-11d0-a285-00aa003049e2" // schemaIDGUID of cACertificate
	out, err := exec.Command(daemon.Program("samba-tool"), "dsacl", "set", "-H", dc.database(), "--objectdn="+dn,
		"--sddl=(OD;;RP;"+attribute+";;WD)", "--configfile="+dc.config()).CombinedOutput()
	if err != nil {
		t.Fatalf("hiding the certificates of %s: %v\n%s", dn, err, out)
	}
}
