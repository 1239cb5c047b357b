package directory_test

import (
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/test/samba"
	"certportal/internal/test/testkit"
)

// A revoked CA that is in NTAuth is a fault, and one that is not there is none: nothing asks
// for it to be published again.
func TestSambaRevokedCAInNTAuth(t *testing.T) {
	t.Parallel()
	dc := samba.Lease(t)
	gone, there := authorityAt(t, time.Now()), authorityAt(t, time.Now())
	dc.AddAuthority(t, "CN=NTAuthCertificates", there.Certificate.Raw)
	people := openLDAP(t, domain(dc))
	found := directory.CheckRemoved(t.Context(), people, []ca.Authority{gone, there})
	if len(found) != 2 || found[0].State != portal.FindingOK || found[1].State != portal.FindingFailed {
		t.Fatalf("got %+v", found)
	}
	testkit.Contains(t, "remedy", found[1].Text, "certutil -viewdelstore \"ldap:///CN=NTAuthCertificates,CN=Public Key Services,CN=Services,CN=Configuration,DC=")
	if found := directory.CheckRemoved(t.Context(), people, nil); found != nil {
		t.Errorf("nothing was revoked: got %+v", found)
	}
}
