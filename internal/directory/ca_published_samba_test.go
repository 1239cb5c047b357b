package directory_test

import (
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/directory"
	"certportal/internal/portal"
	"certportal/internal/test/samba"
	"certportal/internal/test/testkit"
)

// authorityAt makes a CA at a time. Each has the same names.
func authorityAt(t *testing.T, at time.Time) ca.Authority {
	t.Helper()
	h := testkit.Must(ca.CreateHierarchy(ca.HierarchyConfig{Organization: "Example", RootKind: ca.ECP256, IssuingKind: ca.ECP256}, at))(t)
	return ca.Authority{Name: "issuing", Certificate: h.Issuing, Chain: []*x509.Certificate{h.Root}}
}

func caFile(cert *x509.Certificate) directory.CAFile {
	name := strings.ToLower(strings.Fields(cert.Subject.CommonName)[1]) + ".cer"
	return directory.CAFile{Name: name, Address: "http://pki.example/ca/" + name}
}

// TestSambaPublished publishes an issuing CA in a forest, rightly and wrongly.
func TestSambaPublished(t *testing.T) {
	t.Parallel()
	dc := samba.Lease(t)
	own, namesake, other := authorityAt(t, time.Now()), authorityAt(t, time.Now()), authorityAt(t, time.Now().AddDate(-6, 0, 0))
	var many [][]byte
	for range 199 {
		many = append(many, testkit.Must(ca.CreateHierarchy(ca.HierarchyConfig{Organization: "Many", RootKind: ca.ECP256, IssuingKind: ca.ECP256}, time.Now()))(t).Root.Raw)
	}
	const nt, roots, aia = "CN=NTAuthCertificates", "CN=Example Root CA,CN=Certification Authorities", "CN=Example Issuing CA,CN=AIA"
	lines := []string{
		"Example Issuing CA in NTAuth", "certutil -dspublish -f issuing.cer NTAuthCA (the file is at http://pki.example/ca/issuing.cer)", "gpupdate /force", "certutil -pulse",
	}
	for _, test := range []struct {
		name    string
		publish map[string][][]byte
		hide    string
		late    time.Duration // by which the portal's clock is ahead
		want    []string      // in the findings that are not OK; empty for none
		not     []string
	}{
		{"all published", map[string][][]byte{nt: {own.Certificate.Raw}, roots: {own.Root().Raw}, aia: {own.Certificate.Raw}}, "", 0, nil, nil},
		{"nothing published", nil, "", 0, append(lines, "warning Example Root CA in Certification Authorities", "certutil -dspublish -f root.cer RootCA",
			"warning Example Issuing CA in AIA", "certutil -dspublish -f issuing.cer SubCA", "KB5057784"), nil},
		{"the root in NTAuth", map[string][][]byte{nt: {own.Root().Raw}, roots: {own.Root().Raw}, aia: {own.Certificate.Raw}}, "", 0, append(lines, "It is not there"), []string{"RootCA", "SubCA"}},
		{"another one of the same name", map[string][][]byte{nt: {namesake.Certificate.Raw}, roots: {own.Root().Raw}, aia: {own.Certificate.Raw}}, "", 0,
			append(lines, "Another certificate of the same name is there (valid until", ca.Fingerprint(namesake.Certificate)), nil},
		{"an ended one of the same name", map[string][][]byte{nt: {other.Certificate.Raw}, roots: {own.Root().Raw}, aia: {own.Certificate.Raw}}, "", 0,
			append(lines, "Another certificate of the same name is there (ended on"), nil},
		{"among 200", map[string][][]byte{nt: append(many[:199:199], own.Certificate.Raw), roots: {own.Root().Raw}, aia: {own.Certificate.Raw}}, "", 0, nil, nil},
		{"junk beside it", map[string][][]byte{nt: {{0}, []byte("junk"), own.Certificate.Raw}, roots: {own.Root().Raw}, aia: {own.Certificate.Raw}}, "", 0, nil, nil},
		{"with an octet more", map[string][][]byte{nt: {append(own.Certificate.Raw[:len(own.Certificate.Raw):len(own.Certificate.Raw)], 0)}, roots: {own.Root().Raw}, aia: {own.Certificate.Raw}}, "", 0, lines, nil},
		{"unreadable", map[string][][]byte{nt: {own.Certificate.Raw}, roots: {own.Root().Raw}, aia: {own.Certificate.Raw}}, nt, 0,
			append(lines, "or the portal's account cannot read them"), nil},
		{"ended", map[string][][]byte{nt: {own.Certificate.Raw}, roots: {own.Root().Raw}, aia: {own.Certificate.Raw}}, "", 6 * 365 * 24 * time.Hour,
			[]string{"failed Example Issuing CA in NTAuth: The certificate is there, and ended on"}, []string{"Example Root CA"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for name, values := range test.publish {
				added := dc.AddAuthority(t, name, values...)
				t.Cleanup(func() { dc.Delete(t, added.DN) })
				if name == test.hide {
					dc.HideCertificates(t, added.DN)
				}
			}
			config := domain(dc)
			config.Now = func() time.Time { return time.Now().Add(test.late) }
			found := openLDAP(t, config).CheckPublished(t.Context(), []ca.Authority{own}, caFile)
			testkit.Equal(t, "findings", len(found), 3)
			for _, f := range found {
				if len(f.Said) == 0 || f.Said[len(f.Said)-1].Key == "" {
					t.Errorf("%s is in English only", f.Text)
				}
			}
			got := worst(found)
			for _, part := range test.want {
				testkit.Contains(t, "findings", got, part)
			}
			if len(test.want) == 0 && got != "" {
				t.Errorf("got %s", got)
			}
			for _, part := range test.not {
				if strings.Contains(got, part) {
					t.Errorf("%s must not be in %s", part, got)
				}
			}
		})
	}
}

// CAs between the issuing one and the root belong among the intermediate ones.
func TestSambaPublishedIntermediate(t *testing.T) {
	t.Parallel()
	dc := samba.Lease(t)
	own, policy := authorityAt(t, time.Now()), authorityAt(t, time.Now())
	own.Chain = []*x509.Certificate{policy.Certificate, policy.Root()}
	dc.AddAuthority(t, "CN=NTAuthCertificates", own.Certificate.Raw)
	dc.AddAuthority(t, "CN=Root,CN=Certification Authorities", policy.Root().Raw)
	dc.AddAuthority(t, "CN=Issuing,CN=AIA", own.Certificate.Raw)
	people := openLDAP(t, domain(dc))
	found := people.CheckPublished(t.Context(), []ca.Authority{own}, func(*x509.Certificate) directory.CAFile { return directory.CAFile{Name: "policy.cer"} })
	got := worst(found)
	if len(found) != 4 || strings.Count(got, "warning") != 1 {
		t.Errorf("got %s, want a warning of 4 findings", got)
	}
	testkit.Contains(t, "findings", got, "certutil -dspublish -f policy.cer SubCA (get the file from your company's CA)")
	dc.AddAuthority(t, "CN=Policy,CN=AIA", policy.Certificate.Raw)
	if got := worst(people.CheckPublished(t.Context(), []ca.Authority{own}, caFile)); got != "" {
		t.Errorf("all published: got %s", got)
	}
}

// A directory that does not answer is a finding, in bounded time.
func TestSambaPublishedWithoutServer(t *testing.T) {
	t.Parallel()
	dc := samba.Start(t)
	config := domain(dc)
	config.Timeout = time.Second
	people := openLDAP(t, config)
	dc.Freeze()
	found := people.CheckPublished(t.Context(), []ca.Authority{authorityAt(t, time.Now())}, caFile)
	if len(found) != 1 || found[0].State != portal.FindingFailed {
		t.Errorf("got %s", fmt.Sprint(found))
	}
	dc.Thaw()
}

// Another directory has no such containers.
func TestPublishedInPlainLDAP(t *testing.T) {
	people := openLDAP(t, directory.LDAPConfig{
		Kind: directory.PlainLDAP, Servers: []string{"ldaps://127.0.0.1:1"}, User: "cn=reader", Base: "dc=example", Domain: "example",
		Password: func() (string, error) { return "password", nil }, Attributes: directory.Attributes{UPN: "mail"},
	})
	if found := people.CheckPublished(t.Context(), []ca.Authority{authorityAt(t, time.Now())}, caFile); found != nil {
		t.Errorf("got %v", found)
	}
}
