package ca

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// stored is the certificate of a bench as a database might hold it: no lint ran.
func (b *bench) stored(t testing.TB) *x509.Certificate {
	t.Helper()
	raw, err := x509.CreateCertificate(rand.Reader, b.template, b.issuer.lintCert, b.want.pub, b.issuer.lintKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func storedLinter(t testing.TB) *StoredLinter {
	t.Helper()
	l, err := NewStoredLinter()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func findingsOf(t *testing.T, err error) []string {
	t.Helper()
	var refused *LintError
	if err != nil && !errors.As(err, &refused) {
		t.Fatalf("got %v, want a lint error", err)
	}
	if err == nil {
		return nil
	}
	return refused.Findings
}

// settled are the mutations of [TestLintsRefuse] that make a certificate which settings or a
// directory could have asked for: no rule that holds for every profile can find them.
func settled() []string {
	return []string{
		"a second too long", "a second too early", "another issuer address",
		"more in the subject", "another address", "no address", "address without mail",
		"another SID", "no SID", "SID nobody gave", "another template", "another host",
	}
}

// TestC2_StoredLint has each mutation that the lints before a signature refuse, in a certificate
// that is signed.
func TestC2_StoredLint(t *testing.T) {
	l := storedLinter(t)
	for _, test := range []struct {
		key    string
		server bool
		list   []mutation
	}{
		{"user-rsa", false, slices.Concat(commonMutations(), userMutations())},
		{"server-ec", true, slices.Concat(commonMutations(), serverMutations())},
	} {
		for _, m := range test.list {
			t.Run(test.key+"/"+m.rule+"/"+m.name, func(t *testing.T) {
				b := newBench(t, test.key, test.server)
				if found := findingsOf(t, l.Check(b.stored(t), b.issuer.cert)); found != nil {
					t.Fatalf("before: %q", found)
				}
				m.change(b)
				found := findingsOf(t, l.Check(b.stored(t), b.issuer.cert))
				if lawful := slices.Contains(settled(), m.name); lawful != (found == nil) {
					t.Errorf("found %q, lawful under some profile: %v", found, lawful)
				}
			})
		}
	}
}

// A certificate that was lawful under other settings is no finding.
func TestC2_StoredLintOfOlderProfiles(t *testing.T) {
	l, issuer := storedLinter(t), FixtureIssuer(t, "rsa")
	long := "a.name.that.is.longer.than.the.sixty.four.characters.of.a.common.name@example.com"
	entry := pkix.RDNSequence{{{Type: asn1.ObjectIdentifier{2, 5, 4, 10}, Value: "Example"}}, {{Type: oidCommonName(), Value: "Alice Liddell"}}}
	for _, test := range []struct {
		name   string
		change func(*ProfileConfig, *Subject)
	}{
		{"three years", func(c *ProfileConfig, _ *Subject) { c.Validity = maxValidity }},
		{"an hour", func(c *ProfileConfig, _ *Subject) { c.Validity = time.Hour }},
		{"logging on alone", func(c *ProfileConfig, _ *Subject) { c.ExtKeyUsages = []string{"clientAuth"} }},
		{"no logging on", func(c *ProfileConfig, _ *Subject) { c.ExtKeyUsages = []string{"efs"} }},
		{"another template", func(c *ProfileConfig, _ *Subject) { c.Template = "Phones of Example" }},
		{"display name", func(c *ProfileConfig, s *Subject) { c.Subject, s.Name = SubjectDisplayName, "Alice Liddell" }},
		{"name of the directory", func(c *ProfileConfig, s *Subject) { c.Subject, s.DirectoryName = SubjectDirectoryName, entry }},
		{"long UPN", func(_ *ProfileConfig, s *Subject) { s.UPN = long }},
		{"no SID and no mail", func(c *ProfileConfig, s *Subject) { c.RequireSID, s.SID, s.Mail = false, "", "" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg, s := FixtureProfileConfig(), FixtureSubject()
			test.change(&cfg, &s)
			profile, err := NewProfile(cfg)
			if err != nil {
				t.Fatal(err)
			}
			p, err := issuer.Prepare(profile, s, FixtureKey(t, "user-ec").Public(), FixtureNow())
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Check(p.cert, issuer.cert); err != nil {
				t.Error(err)
			}
		})
	}
}

// The portal's own certificates are linted by their one usage; with a second one they are held
// to the rules of people, which refuse both.
func TestC2_StoredLintOfOwnCertificates(t *testing.T) {
	l, issuer := storedLinter(t), FixtureIssuer(t, "ec")
	for name, cfg := range map[string]OwnConfig{
		"user-rsa":   RAConfig{Name: "Portal RA"},
		"user-ec":    AuditSignerConfig{Name: "Portal Audit"},
		"server-ec":  ResponderConfig{Name: "Portal OCSP"},
		"issuing-ec": FixtureServer(),
	} {
		p, err := issuer.PrepareOwn(cfg, FixtureKey(t, name).Public(), FixtureNow())
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Check(p.cert, issuer.cert); err != nil {
			t.Errorf("%T: %v", cfg, err)
		}
	}
	b := newBench(t, "server-ec", true)
	b.template.ExtKeyUsage = append(b.template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	refusedBy(t, findingsOf(t, l.Check(b.stored(t), b.issuer.cert)), "extended-key-usage")
	b = newBench(t, "server-ec", true)
	b.template.NotAfter = b.template.NotBefore.Add(maxServerValidity + time.Second)
	refusedBy(t, findingsOf(t, l.Check(b.stored(t), b.issuer.cert)), "validity")
}

// A certificate of another CA is held to what every profile demands of it.
func TestC2_StoredLintOfForeignCertificates(t *testing.T) {
	l, c := storedLinter(t), newForeignCA(t)
	if err := l.CheckForeign(c.issue(t, nil)); err != nil {
		t.Errorf("as asked for: %v", err)
	}
	for rule, change := range map[string]func(*x509.Certificate){
		"end-entity":         func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true },
		"extended-key-usage": func(c *x509.Certificate) { c.ExtraExtensions = withUsage(c.ExtraExtensions, oidServerAuth()) },
		"subject-is-no-other-persons": func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: "administrator@example.com"}
		},
		"san-upn": func(c *x509.Certificate) { c.ExtraExtensions = without(c.ExtraExtensions, oidSAN()) },
	} {
		refusedBy(t, findingsOf(t, l.CheckForeign(c.issue(t, change))), rule)
	}
}

func without(list []pkix.Extension, id asn1.ObjectIdentifier) []pkix.Extension {
	return slices.DeleteFunc(list, func(e pkix.Extension) bool { return e.Id.Equal(id) })
}

func withUsage(list []pkix.Extension, usage asn1.ObjectIdentifier) []pkix.Extension {
	return append(without(list, oidExtKeyUsage()), pkix.Extension{
		Id: oidExtKeyUsage(), Value: mustExtension(usageExtension([]asn1.ObjectIdentifier{oidClientAuth(), usage})),
	})
}

func TestC2_StoredLintOfAWeakKey(t *testing.T) {
	b := newBench(t, "user-rsa", false)
	cert := b.stored(t)
	cert.PublicKey = FixturePublicKey(t, "roca")
	found := findingsOf(t, storedLinter(t).Check(cert, b.issuer.cert))
	if !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, "public-key: ") }) {
		t.Errorf("found %q", found)
	}
}

// BenchmarkStoredLint is the cost of one certificate of audit verify --certificates beyond its
// signature, which is measured beside it.
func BenchmarkStoredLint(b *testing.B) {
	l, issuer := storedLinter(b), FixtureIssuer(b, "ec")
	for _, key := range []string{"rsa", "ec"} {
		p, err := issuer.Prepare(FixtureProfile(b), FixtureSubject(), FixtureKey(b, "user-"+key).Public(), FixtureNow())
		if err != nil {
			b.Fatal(err)
		}
		cert, err := issuer.Sign(p)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("lint-"+key, func(b *testing.B) {
			for b.Loop() {
				if err := l.Check(cert, issuer.cert); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("signature-"+key, func(b *testing.B) {
			for b.Loop() {
				if err := cert.CheckSignatureFrom(issuer.cert); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
