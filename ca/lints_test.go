package ca

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// bench is a certificate template and its spec, as Prepare passes them to the lints. A
// mutation changes one without the other.
type bench struct {
	issuer   *Issuer
	template *x509.Certificate
	want     *spec
}

func newBench(t *testing.T, key string, server bool) *bench {
	t.Helper()
	issuer := FixtureIssuer(t, "ec")
	pub := FixtureKey(t, key).Public()
	kind, err := KindOf(pub)
	if err != nil {
		t.Fatal(err)
	}
	profile := FixtureProfile(t)
	template, err := userTemplate(profile, FixtureSubject(), kind)
	if err != nil {
		t.Fatal(err)
	}
	want := &spec{publication: FixturePublication(), validity: newValidity(FixtureNow(), profile.backdate, profile.validity),
		pub: pub, kind: kind, profile: profile, subject: FixtureSubject()}
	if server {
		template = &x509.Certificate{Subject: pkix.Name{CommonName: "portal.example.com"},
			DNSNames: []string{"portal.example.com"}, IPAddresses: []net.IP{{192, 0, 2, 7}},
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
		want.names = &names{hosts: template.DNSNames, addresses: template.IPAddresses}
	}
	p, err := issuer.prepare(template, want)
	if err != nil {
		t.Fatalf("the unchanged certificate: %v", err)
	}
	if p.Serial() != want.serial {
		t.Fatalf("got serial %s, want %s", p.Serial(), want.serial)
	}
	return &bench{issuer, template, want}
}

// findings builds the certificate from the template and lints it.
func (b *bench) findings(t *testing.T) []string {
	t.Helper()
	_, err := b.issuer.check(b.template, b.want)
	var refused *LintError
	if err != nil && !errors.As(err, &refused) {
		t.Fatalf("got %v, want a lint error", err)
	}
	if err == nil {
		return nil
	}
	return refused.Findings
}

// replace replaces the value of an extension.
func (b *bench) replace(id asn1.ObjectIdentifier, value []byte, critical bool) {
	b.remove(id)
	b.template.ExtraExtensions = append(b.template.ExtraExtensions, pkix.Extension{Id: id, Value: value, Critical: critical})
}

func (b *bench) remove(id asn1.ObjectIdentifier) {
	b.template.ExtraExtensions = slices.DeleteFunc(b.template.ExtraExtensions,
		func(e pkix.Extension) bool { return e.Id.Equal(id) })
}

func mustExtension(e pkix.Extension, err error) []byte {
	if err != nil {
		panic(err)
	}
	return e.Value
}

// mutation breaks one rule.
type mutation struct {
	name   string
	rule   string
	change func(*bench)
}

func commonMutations() []mutation {
	other := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 21, 10}
	return []mutation{
		{"another serial", "serial-number", func(b *bench) { b.template.SerialNumber = big.NewInt(1 << 40) }},
		{"short serial", "serial-number", func(b *bench) {
			b.want.serial, _ = SerialOf(big.NewInt(7))
			b.template.SerialNumber = big.NewInt(7)
		}},
		{"another issuer", "issuer-name", func(b *bench) {
			stand := *b.issuer.lintCert
			stand.RawSubject = nil
			stand.Subject = pkix.Name{CommonName: "Example Issuing CA"}
			b.issuer.lintCert = &stand
		}},
		{"another algorithm", "signature-algorithm", func(b *bench) { b.template.SignatureAlgorithm = x509.ECDSAWithSHA512 }},
		{"a second too long", "validity-as-ordered", func(b *bench) { b.template.NotAfter = b.template.NotAfter.Add(time.Second) }},
		{"a second too early", "validity-as-ordered", func(b *bench) { b.template.NotBefore = b.template.NotBefore.Add(-time.Second) }},
		{"beyond the issuer", "validity-in-issuer", func(b *bench) {
			b.want.validity.notAfter = b.issuer.cert.NotAfter.Add(time.Second)
			b.template.NotAfter = b.want.validity.notAfter
		}},
		{"another extension", "extensions-known", func(b *bench) { b.replace(other, []byte{0x30, 0}, false) }},
		{"critical CRL address", "extensions-known", func(b *bench) {
			b.replace(oidCDP(), []byte{0x30, 0x12, 0x30, 0x10, 0xa0, 0x0e, 0xa0, 0x0c, 0x86, 0x0a, 'h', 't', 't', 'p', ':', '/', '/', 'a', '/', 'b'}, true)
		}},
		{"authority key with serial", "authority-key-identifier", func(b *bench) {
			b.replace(oidAKI(), []byte{0x30, 0x03, 0x82, 0x01, 0x01}, false)
		}},
		{"another subject key", "subject-key-identifier", func(b *bench) { b.template.SubjectKeyId = []byte("another") }},
		{"CA", "basic-constraints-absent", func(b *bench) { b.template.BasicConstraintsValid, b.template.IsCA = true, true }},
		{"CA:FALSE", "basic-constraints-absent", func(b *bench) { b.template.BasicConstraintsValid = true }},
		{"no CRL address", "crl-distribution-points", func(b *bench) { b.template.CRLDistributionPoints = nil }},
		{"ldap first", "crl-distribution-points", func(b *bench) {
			b.want.publication.CRLURLs = []string{"ldap:///CN=a?b", "http://pki.example.com/a"}
			b.template.CRLDistributionPoints = b.want.publication.CRLURLs
		}},
		{"another issuer address", "authority-information-access", func(b *bench) {
			b.template.IssuingCertificateURL = []string{"http://pki.example.net/"}
		}},
		{"https responder", "authority-information-access", func(b *bench) {
			b.want.publication.OCSPURLs = []string{"https://pki.example.com/ocsp"}
			b.template.OCSPServer = b.want.publication.OCSPURLs
		}},
	}
}

func userMutations() []mutation {
	names := func(change func(*Subject)) func(*bench) {
		return func(b *bench) {
			s := FixtureSubject()
			change(&s)
			b.replace(oidSAN(), mustExtension(userSAN(s)), false)
		}
	}
	sid := FixtureSubject().SID
	return []mutation{
		{"another common name", "subject-is-the-persons", func(b *bench) { b.template.Subject.CommonName = "bob@example.com" }},
		{"more in the subject", "subject-is-the-persons", func(b *bench) { b.template.Subject.Organization = []string{"Example"} }},
		{"another UPN", "san-upn", names(func(s *Subject) { s.UPN = "administrator@example.com" })},
		{"UPN in another case", "san-upn", names(func(s *Subject) { s.UPN = "Alice@example.com" })},
		{"no names", "san-upn", func(b *bench) { b.remove(oidSAN()) }},
		{"UPN as IA5String", "san-upn", func(b *bench) {
			value := mustExtension(userSAN(FixtureSubject()))
			b.replace(oidSAN(), []byte(strings.Replace(string(value), "\x0c\x11alice", "\x16\x11alice", 1)), false)
		}},
		{"UPN twice", "san-upn", func(b *bench) {
			value := mustExtension(userSAN(Subject{UPN: FixtureSubject().UPN}))
			b.replace(oidSAN(), layer(0x30, slices.Concat(value[2:], value[2:])), false)
		}},
		{"another address", "san-mail", names(func(s *Subject) { s.Mail = "ceo@example.com" })},
		{"no address", "san-mail", names(func(s *Subject) { s.Mail = "" })},
		{"address without mail", "san-mail", func(b *bench) { b.want.subject.Mail = "" }},
		{"host name", "san-nothing-else", func(b *bench) {
			value := mustExtension(userSAN(Subject{UPN: FixtureSubject().UPN}))
			b.replace(oidSAN(), layer(0x30, slices.Concat(value[2:], layer(0x82, []byte("dc.example.com")))), false)
		}},
		{"SID as address", "san-nothing-else", func(b *bench) {
			value := mustExtension(userSAN(FixtureSubject()))
			b.replace(oidSAN(), layer(0x30, slices.Concat(value[2:], layer(0x86, []byte("tag:microsoft.com,2022-09-14:sid:"+sid)))), false)
		}},
		{"another SID", "sid-extension", func(b *bench) {
			b.replace(oidSIDExtension(), mustExtension(sidExtension("S-1-5-21-1-2-3-500")), false)
		}},
		{"no SID", "sid-extension", func(b *bench) { b.remove(oidSIDExtension()) }},
		{"SID nobody gave", "sid-extension", func(b *bench) { b.want.subject.SID = "" }},
		{"critical SID", "sid-extension", func(b *bench) {
			b.replace(oidSIDExtension(), mustExtension(sidExtension(sid)), true)
		}},
		{"SID one layer short", "sid-extension", func(b *bench) {
			value := mustExtension(sidExtension(sid))
			b.replace(oidSIDExtension(), layer(0x30, value[4:]), false)
		}},
		{"another template", "template-name", func(b *bench) {
			b.replace(oidTemplate(), mustExtension(templateExtension("DomainController")), false)
		}},
		{"template as UTF8String", "template-name", func(b *bench) { b.replace(oidTemplate(), layer(0x0c, []byte("User")), false) }},
		{"another order of usages", "extended-key-usage", usages(oidClientAuth(), oidEmailProtection(), oidEFS())},
		{"server usage", "extended-key-usage", usages(oidEFS(), oidEmailProtection(), oidClientAuth(), oidServerAuth())},
		{"any usage", "extended-key-usage", usages(asn1.ObjectIdentifier{2, 5, 29, 37, 0})},
		{"agent usage in a profile", "extended-key-usage", func(b *bench) {
			b.want.profile.extKeyUsages = []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 311, 20, 2, 1}}
			usages(b.want.profile.extKeyUsages...)(b)
		}},
		{"certificate signing", "key-usage", func(b *bench) { b.template.KeyUsage |= x509.KeyUsageCertSign }},
		{"key usage not critical", "key-usage", func(b *bench) {
			b.template.KeyUsage = 0
			b.replace(oidKeyUsage(), []byte{0x03, 0x02, 0x05, 0xa0}, false)
		}},
		{"otherName of another kind", "san-upn", func(b *bench) {
			id := []byte{0x06, 0x03, 0x2a, 0x03, 0x04}
			b.replace(oidSAN(), layer(0x30, layer(0xa0, slices.Concat(id, layer(0xa0, layer(0x0c, []byte("alice@example.com")))))), false)
		}},
	}
}

func usages(list ...asn1.ObjectIdentifier) func(*bench) {
	return func(b *bench) { b.replace(oidExtKeyUsage(), mustExtension(usageExtension(list)), false) }
}

func serverMutations() []mutation {
	return []mutation{
		{"another host", "server-names", func(b *bench) { b.template.DNSNames = []string{"mail.example.com"} }},
		{"another address", "server-names", func(b *bench) { b.template.IPAddresses = []net.IP{{192, 0, 2, 8}} }},
		{"client usage", "server-usage", func(b *bench) {
			b.template.ExtKeyUsage = append(b.template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
		}},
		{"encipherment", "server-usage", func(b *bench) { b.template.KeyUsage |= x509.KeyUsageKeyAgreement }},
		{"SID", "extensions-known", func(b *bench) {
			b.replace(oidSIDExtension(), mustExtension(sidExtension("S-1-5-21-1-2-3-500")), false)
		}},
	}
}

func TestLintsRefuse(t *testing.T) {
	for _, test := range []struct {
		name   string
		key    string
		server bool
		list   []mutation
	}{
		{"user with RSA key", "user-rsa", false, slices.Concat(commonMutations(), userMutations())},
		{"server", "server-ec", true, slices.Concat(commonMutations(), serverMutations())},
	} {
		for _, m := range test.list {
			t.Run(test.name+"/"+m.rule+"/"+m.name, func(t *testing.T) {
				b := newBench(t, test.key, test.server)
				m.change(b)
				refusedBy(t, b.findings(t), m.rule)
			})
		}
	}
}

func refusedBy(t *testing.T, findings []string, rule string) {
	t.Helper()
	if !slices.ContainsFunc(findings, func(f string) bool { return strings.HasPrefix(f, rule+": ") }) {
		t.Errorf("got %q, want a finding of %s", findings, rule)
	}
}

// Two rules check what crypto/x509 itself never accepts, so they get a certificate
// that was changed after parsing.
func TestLintsRefuseWhatTheParserWouldNot(t *testing.T) {
	b := newBench(t, "user-ec", false)
	p, err := b.issuer.check(b.template, b.want)
	if err != nil {
		t.Fatal(err)
	}
	cert := *p.cert
	cert.Extensions = append(slices.Clone(cert.Extensions), cert.Extensions[0])
	if err := lintUnique(&cert, b.want); err == nil {
		t.Error("an extension twice: got no finding")
	}
	cert.PublicKey = FixtureKey(t, "server-ec").Public()
	if err := lintPublicKey(&cert, b.want); err == nil {
		t.Error("another key: got no finding")
	}
}

// Every rule must have a mutation that it refuses.
func TestEveryRuleHasItsMutation(t *testing.T) {
	seen := map[string]bool{"extensions-unique": true, "public-key": true} // the test above
	for _, m := range slices.Concat(commonMutations(), userMutations(), serverMutations()) {
		seen[m.rule] = true
	}
	for _, r := range slices.Concat(commonRules(), userRules(), serverRules()) {
		if !seen[r.name] {
			t.Errorf("no test breaks %s", r.name)
		}
		if r.source == "" {
			t.Errorf("%s cites nothing", r.name)
		}
	}
}

func TestStandardLintsRefuse(t *testing.T) {
	for _, test := range []struct {
		name   string
		rule   string
		change func(*bench)
	}{
		{"encipherment with an EC key", "e_ecdsa_allowed_ku", func(b *bench) { b.template.KeyUsage |= x509.KeyUsageKeyEncipherment }},
		{"html in the subject", "e_subj_contains_html_entities", func(b *bench) { b.template.Subject.CommonName = "&#64;example.com" }},
		{"blank before the subject", "w_subject_dn_leading_whitespace", func(b *bench) { b.template.Subject.CommonName = " alice@example.com" }},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, "user-ec", false)
			test.change(b)
			refusedBy(t, b.findings(t), test.rule)
		})
	}
}

func TestListLintsRefuse(t *testing.T) {
	issuer := FixtureIssuer(t, "ec")
	one, err := SerialOf(big.NewInt(1))
	if err != nil {
		t.Fatal(err)
	}
	now := FixtureNow()
	for _, test := range []struct {
		name    string
		rule    string
		revoked []Revocation
	}{
		{"serial twice", "e_crl_unique_revoked_certificate", []Revocation{{Serial: one, At: now}, {Serial: one, At: now}}},
		{"time never set", "e_crl_revocation_date_too_early", []Revocation{{Serial: one, At: time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)}}},
		{"unused reason", "e_crl_has_valid_reason_code", []Revocation{{Serial: one, At: now, Reason: 7}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := CRLConfig{Number: big.NewInt(1), ThisUpdate: now, NextUpdate: now.Add(time.Hour)}
			err := issuer.lints.list(signedList(t, issuer, cfg, one, test.revoked))
			var refused *LintError
			if !errors.As(err, &refused) {
				t.Fatalf("got %v, want a lint error", err)
			}
			refusedBy(t, refused.Findings, test.rule)
		})
	}
}

// signedList signs a list without the checks that come before the lints.
func signedList(t *testing.T, issuer *Issuer, cfg CRLConfig, number Serial, revoked []Revocation) []byte {
	t.Helper()
	tbs, err := issuer.listTBS(cfg, number, revoked)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := sign(issuer.lintKey, issuer.kind, tbs)
	if err != nil {
		t.Fatal(err)
	}
	return issuer.assemble(tbs, signature)
}

// The profile allows every set of usages that lints allow for either algorithm.
func TestEverySetOfUsagesPasses(t *testing.T) {
	issuer := FixtureIssuer(t, "ec")
	all := []string{"clientAuth", "emailProtection", "efs"}
	for set := 1; set < 8; set++ {
		cfg := FixtureProfileConfig()
		for n, name := range all {
			if set&(1<<n) != 0 {
				cfg.ExtKeyUsages = append(cfg.ExtKeyUsages, name)
			}
		}
		profile, err := NewProfile(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []crypto.Signer{FixtureKey(t, "user-rsa"), FixtureKey(t, "user-ec")} {
			if _, err := issuer.Prepare(profile, FixtureSubject(), key.Public(), FixtureNow()); err != nil {
				t.Errorf("%v: %v", cfg.ExtKeyUsages, err)
			}
		}
	}
}

// The throwaway key must not change what is signed.
func TestStandInGivesTheSameBytes(t *testing.T) {
	for _, algorithm := range []string{"rsa", "ec"} {
		issuer := FixtureIssuer(t, algorithm)
		p, err := issuer.Prepare(FixtureProfile(t), FixtureSubject(), FixtureKey(t, "user-ec").Public(), FixtureNow())
		if err != nil {
			t.Fatal(err)
		}
		if issuer.lintKey.Public() == issuer.signer.Public() {
			t.Error("lints sign with the CA's key")
		}
		// A certificate signed with the throwaway key must not verify.
		if err := p.cert.CheckSignatureFrom(issuer.cert); err == nil {
			t.Error("the prepared certificate verifies under the CA")
		}
	}
}
