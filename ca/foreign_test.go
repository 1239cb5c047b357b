package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

// foreignCA is a CA that copies all extensions of a request into the certificate.
type foreignCA struct {
	root, issuing *FixtureCA
	want          Foreign
	request       *x509.CertificateRequest
}

func newForeignCA(t *testing.T) *foreignCA {
	t.Helper()
	key := FixtureKey(t, "user-rsa")
	c := &foreignCA{root: FixtureRoot(t)}
	c.issuing = c.root.Below(t, "Company Issuing CA")
	c.want = Foreign{
		Profile: FixtureProfile(t), Subject: FixtureSubject(), Key: key.Public(),
		Anchors: []*x509.Certificate{c.root.Certificate}, Intermediates: []*x509.Certificate{c.issuing.Certificate},
	}
	der, err := c.want.Profile.CertificateRequest(c.want.Subject, key)
	if err != nil {
		t.Fatal(err)
	}
	if c.request, err = x509.ParseCertificateRequest(der); err != nil {
		t.Fatal(err)
	}
	if err := c.request.CheckSignature(); err != nil {
		t.Fatalf("request: %v", err)
	}
	return c
}

// issue signs the request with what change makes of it.
func (c *foreignCA) issue(t *testing.T, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0x61000a), Subject: c.request.Subject, ExtraExtensions: slices.Clone(c.request.Extensions),
		NotBefore: FixtureNow().Add(-10 * time.Minute), NotAfter: FixtureNow().AddDate(1, 0, 0),
	}
	if change != nil {
		change(template)
	}
	return fixtureSign(t, template, c.issuing.Certificate, c.request.PublicKey, c.issuing.Key)
}

func TestForeignAcceptsWhatWasAskedFor(t *testing.T) {
	c := newForeignCA(t)
	for _, tt := range []struct {
		name   string
		change func(*x509.Certificate)
	}{
		{"all that was asked for", nil},
		{"subject of the directory, as AD CS builds it", func(cert *x509.Certificate) {
			cert.Subject = pkix.Name{CommonName: "Alice Liddell", OrganizationalUnit: []string{"Users"}, ExtraNames: []pkix.AttributeTypeAndValue{
				{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "alice.liddell@example.com"},
			}}
		}},
		{"usages in another order", func(cert *x509.Certificate) {
			replaceExtension(t, cert, oidExtKeyUsage(), []asn1.ObjectIdentifier{oidClientAuth(), oidEmailProtection(), oidEFS()})
		}},
		{"an extension more, which is not critical", func(cert *x509.Certificate) {
			cert.ExtraExtensions = append(cert.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 21, 7}, Value: []byte{5, 0}})
		}},
		{"no name of the template", func(cert *x509.Certificate) { dropExtension(cert, oidTemplate()) }},
		{"application policies that say the same", func(cert *x509.Certificate) {
			addApplicationPolicies(t, cert, oidClientAuth(), oidEmailProtection())
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := c.want.Check(c.issue(t, tt.change), FixtureNow()); err != nil {
				t.Error(err)
			}
		})
	}
}

// What another CA returns is refused when it differs in anything that a server decides by.
func TestF14_ForeignRefusesWhatDiffers(t *testing.T) {
	c := newForeignCA(t)
	other := FixtureSubject()
	other.UPN, other.SID, other.Mail = "ceo@example.com", "S-1-5-21-1381186052-4247692386-135928078-500", "ceo@example.com"
	for _, tt := range []struct {
		name   string
		change func(*x509.Certificate)
		want   string // the finding
	}{
		{"UPN of another person", func(cert *x509.Certificate) {
			replaceSAN(t, cert, Subject{UPN: other.UPN, Mail: FixtureSubject().Mail})
		}, "san-upn"},
		{"no subject alternative name", func(cert *x509.Certificate) { dropExtension(cert, oidSAN()) }, "san-upn"},
		{"a host name instead of the UPN", func(cert *x509.Certificate) {
			dropExtension(cert, oidSAN())
			cert.DNSNames = []string{"alice@example.com"}
		}, "san-upn"},
		{"a host name beside the UPN", func(cert *x509.Certificate) { addGeneralName(t, cert, 2, "mail.example.com") }, "san-nothing-else"},
		{"a URI with another SID", func(cert *x509.Certificate) { addGeneralName(t, cert, 6, sidURI(other.SID)) }, "san-nothing-else"},
		{"mail of another person", func(cert *x509.Certificate) {
			replaceSAN(t, cert, Subject{UPN: FixtureSubject().UPN, Mail: other.Mail})
		}, "san-nothing-else"},
		{"SID of another person", func(cert *x509.Certificate) {
			e, err := sidExtension(other.SID)
			if err != nil {
				t.Fatal(err)
			}
			dropExtension(cert, oidSIDExtension())
			cert.ExtraExtensions = append(cert.ExtraExtensions, e)
		}, "sid"},
		{"no SID", func(cert *x509.Certificate) { dropExtension(cert, oidSIDExtension()) }, "sid"},
		{"no usages", func(cert *x509.Certificate) { dropExtension(cert, oidExtKeyUsage()) }, "extended-key-usage"},
		{"any usage", func(cert *x509.Certificate) {
			replaceExtension(t, cert, oidExtKeyUsage(), []asn1.ObjectIdentifier{{2, 5, 29, 37, 0}})
		}, "extended-key-usage"},
		{"enrolment agent", func(cert *x509.Certificate) {
			replaceExtension(t, cert, oidExtKeyUsage(), []asn1.ObjectIdentifier{oidClientAuth(), oidEmailProtection(), oidEFS(), {1, 3, 6, 1, 4, 1, 311, 20, 2, 1}})
		}, "extended-key-usage"},
		{"without mail", func(cert *x509.Certificate) {
			replaceExtension(t, cert, oidExtKeyUsage(), []asn1.ObjectIdentifier{oidClientAuth(), oidEFS()})
		}, "extended-key-usage"},
		{"agent by application policy", func(cert *x509.Certificate) {
			addApplicationPolicies(t, cert, oidClientAuth(), asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 1})
		}, "application-policies"},
		{"a CA", func(cert *x509.Certificate) { cert.BasicConstraintsValid, cert.IsCA = true, true }, "end-entity"},
		{"signs certificates", func(cert *x509.Certificate) {
			dropExtension(cert, oidKeyUsage())
			cert.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign
		}, "key-usage"},
		{"no key usage", func(cert *x509.Certificate) { dropExtension(cert, oidKeyUsage()) }, "key-usage"},
		{"unknown critical extension", func(cert *x509.Certificate) {
			cert.ExtraExtensions = append(cert.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}})
		}, "end-entity"},
		{"three years", func(cert *x509.Certificate) { cert.NotAfter = FixtureNow().AddDate(3, 0, 0) }, "validity"},
		{"three months", func(cert *x509.Certificate) { cert.NotAfter = FixtureNow().AddDate(0, 3, 0) }, "validity"},
		{"from tomorrow", func(cert *x509.Certificate) { cert.NotBefore = FixtureNow().AddDate(0, 0, 1) }, "validity"},
		{"from last week", func(cert *x509.Certificate) { cert.NotBefore = FixtureNow().AddDate(0, 0, -7) }, "validity"},
		{"an @ in the subject", func(cert *x509.Certificate) { cert.Subject = pkix.Name{CommonName: other.UPN} }, "subject-is-no-other-persons"},
	} {
		t.Run(tt.name, func(t *testing.T) { wantFinding(t, c.want.Check(c.issue(t, tt.change), FixtureNow()), tt.want) })
	}
}

// Key and issuer are not the CA's to choose.
func TestF14_ForeignRefusesAnotherKeyAndIssuer(t *testing.T) {
	c := newForeignCA(t)
	good := c.issue(t, nil)
	stranger := FixtureRoot(t)
	for _, tt := range []struct {
		name   string
		change func(*Foreign)
		want   string
	}{
		{"another key", func(f *Foreign) { f.Key = FixtureKey(t, "user-ec").Public() }, "public-key"},
		{"no key", func(f *Foreign) { f.Key = crypto.PublicKey(nil) }, "public-key"},
		{"another root of the same name", func(f *Foreign) { f.Anchors = []*x509.Certificate{stranger.Certificate} }, "issuer"},
		{"no root", func(f *Foreign) { f.Anchors = nil }, "issuer"},
		{"no chain", func(f *Foreign) { f.Intermediates = nil }, "issuer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := c.want
			tt.change(&want)
			wantFinding(t, want.Check(good, FixtureNow()), tt.want)
		})
	}
}

func TestForeignSIDByURI(t *testing.T) {
	c := newForeignCA(t)
	byURI := func(sid string) func(*x509.Certificate) {
		return func(cert *x509.Certificate) {
			dropExtension(cert, oidSIDExtension())
			addGeneralName(t, cert, 6, sidURI(sid))
		}
	}
	right := c.issue(t, byURI(FixtureSubject().SID))
	wantFinding(t, c.want.Check(right, FixtureNow()), "sid")
	c.want.SIDByURI = true
	if err := c.want.Check(right, FixtureNow()); err != nil {
		t.Errorf("allowed: %v", err)
	}
	wantFinding(t, c.want.Check(c.issue(t, byURI("S-1-5-21-1-2-3-500")), FixtureNow()), "san-nothing-else")
	wantFinding(t, c.want.Check(c.issue(t, func(cert *x509.Certificate) { dropExtension(cert, oidSIDExtension()) }), FixtureNow()), "sid")
}

func wantFinding(t *testing.T, err error, name string) {
	t.Helper()
	var refused *ForeignError
	if !errors.As(err, &refused) {
		t.Fatalf("error is %v, want a refusal for %s", err, name)
	}
	if !slices.ContainsFunc(refused.Findings, func(f string) bool { return strings.HasPrefix(f, name+": ") }) {
		t.Errorf("findings %q, want %s", refused.Findings, name)
	}
}

func dropExtension(cert *x509.Certificate, id asn1.ObjectIdentifier) {
	cert.ExtraExtensions = slices.DeleteFunc(cert.ExtraExtensions, func(e pkix.Extension) bool { return e.Id.Equal(id) })
}

func replaceExtension(t *testing.T, cert *x509.Certificate, id asn1.ObjectIdentifier, content any) {
	t.Helper()
	value, err := asn1.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	dropExtension(cert, id)
	cert.ExtraExtensions = append(cert.ExtraExtensions, pkix.Extension{Id: id, Value: value})
}

func replaceSAN(t *testing.T, cert *x509.Certificate, s Subject) {
	t.Helper()
	e, err := userSAN(s)
	if err != nil {
		t.Fatal(err)
	}
	dropExtension(cert, oidSAN())
	cert.ExtraExtensions = append(cert.ExtraExtensions, e)
}

// addGeneralName adds a name that is text to the subject alternative name.
func addGeneralName(t *testing.T, cert *x509.Certificate, tag int, value string) {
	t.Helper()
	i := slices.IndexFunc(cert.ExtraExtensions, func(e pkix.Extension) bool { return e.Id.Equal(oidSAN()) })
	var names []asn1.RawValue
	if _, err := asn1.Unmarshal(cert.ExtraExtensions[i].Value, &names); err != nil {
		t.Fatal(err)
	}
	names = append(names, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(value)})
	replaceExtension(t, cert, oidSAN(), names)
}

func addApplicationPolicies(t *testing.T, cert *x509.Certificate, ids ...asn1.ObjectIdentifier) {
	t.Helper()
	type policy struct{ ID asn1.ObjectIdentifier }
	var policies []policy
	for _, id := range ids {
		policies = append(policies, policy{id})
	}
	replaceExtension(t, cert, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 21, 10}, policies)
}

// The request asks for what the embedded CA would issue.
func TestCertificateRequestHasTheProfile(t *testing.T) {
	c := newForeignCA(t)
	for _, id := range []asn1.ObjectIdentifier{oidSAN(), oidSIDExtension(), oidExtKeyUsage(), oidKeyUsage(), oidTemplate()} {
		if !slices.ContainsFunc(c.request.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(id) }) {
			t.Errorf("extension %s is missing", id)
		}
	}
	profile, err := NewProfile(ProfileConfig{Name: "User", RequireSID: true})
	if err != nil {
		t.Fatal(err)
	}
	var bad *SubjectError
	if _, err := profile.CertificateRequest(Subject{UPN: "alice@example.com"}, FixtureKey(t, "user-ec")); !errors.As(err, &bad) {
		t.Errorf("without SID: %v, want a SubjectError", err)
	}
}

func BenchmarkForeignCheck(b *testing.B) {
	root := FixtureRoot(b)
	key := FixtureKey(b, "user-rsa")
	want := Foreign{Profile: FixtureProfile(b), Subject: FixtureSubject(), Key: key.Public(), Anchors: []*x509.Certificate{root.Certificate}}
	der, err := want.Profile.CertificateRequest(want.Subject, key)
	if err != nil {
		b.Fatal(err)
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		b.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		b.Fatal(err)
	}
	cert := fixtureSign(b, &x509.Certificate{
		SerialNumber: serial, Subject: request.Subject, ExtraExtensions: request.Extensions,
		NotBefore: FixtureNow(), NotAfter: FixtureNow().AddDate(1, 0, 0),
	}, root.Certificate, key.Public(), root.Key)
	for b.Loop() {
		if err := want.Check(cert, FixtureNow()); err != nil {
			b.Fatal(err)
		}
	}
}
