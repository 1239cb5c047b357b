package ca_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/ca"
)

// company is a company's CAs and a request to them, with the certificate that is made of it.
type company struct {
	root, policy *ca.FixtureCA
	request      ca.Request
	cfg          ca.ImportConfig
}

// change alters the certificate that is made.
type change = func(*x509.Certificate)

func newCompany(t *testing.T, rootChange, policyChange change) *company {
	t.Helper()
	nothing := func(*x509.Certificate) {}
	if rootChange == nil {
		rootChange = nothing
	}
	if policyChange == nil {
		policyChange = nothing
	}
	c := &company{root: ca.FixtureRoot(t, rootChange)}
	c.policy = c.root.Below(t, "Policy CA", policyChange)
	subject, err := ca.ParseCAName("CN=Phones CA,O=Corp")
	if err != nil {
		t.Fatal(err)
	}
	r, err := ca.NewRequest(ca.FixtureKey(t, "issuing-ec"), ca.RequestConfig{Subject: subject})
	if err != nil {
		t.Fatal(err)
	}
	c.request = ca.Request{Name: "issuing", Request: r}
	c.cfg = ca.ImportConfig{
		Requests: []ca.Request{c.request}, Now: ca.FixtureNow(), Chain: []*x509.Certificate{c.root.Certificate, c.policy.Certificate},
		Needs: ca.AuthorityNeeds{Validity: 365 * 24 * time.Hour, Domains: []string{"corp.example"}, Hosts: []string{"portal.corp.example", "192.0.2.7"}},
	}
	return c
}

// certify makes the certificate of the request.
func (c *company) certify(t *testing.T, changes ...change) *x509.Certificate {
	t.Helper()
	asked := func(cert *x509.Certificate) {
		cert.Subject = pkix.Name{Organization: []string{"Corp"}, CommonName: "Phones CA"}
		cert.MaxPathLen, cert.MaxPathLenZero = 0, true
	}
	return c.policy.Certify(t, "Phones CA", c.request.Request.PublicKey, append([]change{asked}, changes...)...)
}

func texts(problems []ca.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		b.WriteString([]string{"note: ", "warning: ", "error: "}[p.Level] + p.Text + " | " + p.Ask + "\n")
	}
	return b.String()
}

func worst(problems []ca.Problem) ca.ImportLevel {
	level := ca.ImportNote
	for _, p := range problems {
		level = max(level, p.Level)
	}
	return level
}

func extension(t *testing.T, id asn1.ObjectIdentifier, critical bool, value any) change {
	t.Helper()
	raw, err := asn1.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: id, Critical: critical, Value: raw})
	}
}

// constraints makes name constraints of general names; tag 0 permits, 1 excludes.
func constraints(t *testing.T, tag int, names ...asn1.RawValue) change {
	t.Helper()
	var subtrees []byte
	for _, name := range names {
		tree, err := asn1.Marshal(struct{ Base asn1.RawValue }{name})
		if err != nil {
			t.Fatal(err)
		}
		subtrees = append(subtrees, tree...)
	}
	return extension(t, asn1.ObjectIdentifier{2, 5, 29, 30}, true, struct{ Trees asn1.RawValue }{
		asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, IsCompound: true, Bytes: subtrees},
	})
}

func textName(tag int, text string) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(text)}
}

func upnName(t *testing.T, text string) asn1.RawValue {
	t.Helper()
	id, err := asn1.Marshal(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	value, err := asn1.MarshalWithParams(asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(text)}, "")
	if err != nil {
		t.Fatal(err)
	}
	inner, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: value})
	if err != nil {
		t.Fatal(err)
	}
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: slices.Concat(id, inner)}
}

func directoryBase(t *testing.T, name pkix.Name) asn1.RawValue {
	t.Helper()
	raw, err := asn1.Marshal(name.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: raw}
}

func TestCheckAuthorityAccepts(t *testing.T) {
	allUsages := extension(t, asn1.ObjectIdentifier{2, 5, 29, 37}, false, []asn1.ObjectIdentifier{
		{1, 3, 6, 1, 5, 5, 7, 3, 2}, {1, 3, 6, 1, 5, 5, 7, 3, 4}, {1, 3, 6, 1, 4, 1, 311, 10, 3, 4}, {1, 3, 6, 1, 5, 5, 7, 3, 9},
		{1, 3, 6, 1, 5, 5, 7, 3, 1}, {1, 3, 6, 1, 5, 5, 7, 3, 28}, {1, 3, 6, 1, 5, 5, 7, 3, 36},
	})
	for _, test := range []struct {
		name                 string
		root, policy, change change
	}{
		{name: "plain"},
		{name: "all usages", change: allUsages},
		{name: "path lengths that fit", root: func(c *x509.Certificate) { c.MaxPathLen = 2 }, policy: func(c *x509.Certificate) { c.MaxPathLen = 1 }},
		{name: "explicit policy far below", root: nil, policy: extension(t, asn1.ObjectIdentifier{2, 5, 29, 36}, true, struct {
			Require int `asn1:"tag:0"`
		}{3})},
		{name: "permitted names", policy: constraints(t, 0, textName(1, "corp.example"), textName(2, "corp.example"))},
		{name: "excluded other names", policy: constraints(t, 1, textName(1, "other.example"), textName(2, ".other.example"),
			directoryBase(t, pkix.Name{Organization: []string{"Other"}}))},
		{name: "permitted names of the root", root: constraints(t, 0, textName(1, "corp.example"))},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCompany(t, test.root, test.policy)
			if test.change == nil {
				test.change = func(*x509.Certificate) {}
			}
			cert := c.certify(t, test.change)
			c.cfg.Given = []*x509.Certificate{cert}
			p, problems := ca.CheckAuthority(c.cfg)
			if len(problems) > 0 {
				t.Fatal(texts(problems))
			}
			if !p.Certificate.Equal(cert) || len(p.Chain) != 2 || !p.Chain[0].Equal(c.policy.Certificate) || !p.Chain[1].Equal(c.root.Certificate) {
				t.Errorf("another chain: %v", p.Chain)
			}
			acceptedByOpenSSL(t, p)
		})
	}
}

// acceptedByOpenSSL issues a user's certificate below the proposal and lets OpenSSL verify it.
func acceptedByOpenSSL(t *testing.T, p ca.Proposal) {
	t.Helper()
	openssl := ca.FixtureProgram(t, "openssl")
	issuer := issuerOf(t, p.Certificate, ca.FixtureKey(t, "issuing-ec"))
	subject := ca.FixtureSubject()
	subject.UPN, subject.Mail = "alice@corp.example", "alice@corp.example"
	prepared, err := issuer.Prepare(ca.FixtureProfile(t), subject, ca.FixtureKey(t, "user-ec").Public(), ca.FixtureNow())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	out, err := ca.FixtureRun(t, openssl, "verify", "-x509_strict", "-purpose", "sslclient",
		"-attime", "1795338000", // FixtureNow
		"-CAfile", ca.FixtureFile(t, dir, "root.pem", ca.PEM(p.Chain[len(p.Chain)-1])),
		"-untrusted", ca.FixtureFile(t, dir, "chain.pem", ca.PEM(append([]*x509.Certificate{p.Certificate}, p.Chain...)...)),
		ca.FixtureFile(t, dir, "leaf.pem", ca.PEM(signed(t, issuer, prepared))))
	if err != nil {
		t.Errorf("OpenSSL: %v: %s", err, out)
	}
}

// Each of these is refused or needs a word, with a sentence.
func TestCheckAuthorityRefuses(t *testing.T) {
	usages := func(list ...x509.ExtKeyUsage) change {
		return func(c *x509.Certificate) { c.ExtKeyUsage = list }
	}
	day := 24 * time.Hour
	for _, test := range []struct {
		name                 string
		root, policy, change change
		level                ca.ImportLevel
		want                 string
	}{
		{name: "leaf", change: func(c *x509.Certificate) { c.IsCA, c.MaxPathLen, c.MaxPathLenZero = false, -1, false }, level: ca.ImportError, want: "end entity"},
		{name: "no basicConstraints", change: func(c *x509.Certificate) { c.BasicConstraintsValid, c.IsCA = false, false }, level: ca.ImportError, want: "end entity"},
		{name: "no keyCertSign", change: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }, level: ca.ImportError, want: "keyCertSign"},
		{name: "no cRLSign", change: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign }, level: ca.ImportError, want: "cRLSign"},
		{name: "pathLen 0 above", policy: func(c *x509.Certificate) { c.MaxPathLen, c.MaxPathLenZero = 0, true }, level: ca.ImportError, want: "path length 0"},
		{name: "pathLen 1 of the root", root: func(c *x509.Certificate) { c.MaxPathLen = 1 }, level: ca.ImportError, want: "path length 1"},
		{name: "issuer that is no CA", policy: func(c *x509.Certificate) { c.IsCA, c.MaxPathLen = false, -1 }, level: ca.ImportError, want: `"Policy CA" is not the certificate of a CA`},
		{name: "issuer that may not sign", policy: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }, level: ca.ImportError, want: "may not sign certificates"},
		{name: "too short", change: func(c *x509.Certificate) { c.NotAfter = ca.FixtureNow().Add(380 * day) }, level: ca.ImportError, want: "less than a month"},
		{name: "short", change: func(c *x509.Certificate) { c.NotAfter = ca.FixtureNow().Add(600 * day) }, level: ca.ImportNote, want: "successor"},
		{name: "expired", change: func(c *x509.Certificate) { c.NotAfter = ca.FixtureNow().Add(-time.Hour) }, level: ca.ImportError, want: "ended on"},
		{name: "expired chain member", policy: func(c *x509.Certificate) { c.NotAfter = ca.FixtureNow().Add(-time.Hour) }, level: ca.ImportError, want: `"Policy CA" ended on`},
		{name: "chain member that ends early", policy: func(c *x509.Certificate) { c.NotAfter = ca.FixtureNow().Add(100 * day) }, level: ca.ImportError, want: `"Policy CA" ends on`},
		{name: "not yet valid", change: func(c *x509.Certificate) { c.NotBefore = ca.FixtureNow().Add(time.Hour) }, level: ca.ImportError, want: "not yet"},
		{name: "SHA-1", change: func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }, level: ca.ImportError, want: "SHA-1"},
		{name: "no client authentication", policy: usages(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageOCSPSigning), level: ca.ImportError, want: "client authentication"},
		{name: "no OCSP signing", policy: usages(x509.ExtKeyUsageClientAuth), level: ca.ImportError, want: "OCSP signing"},
		{name: "no secure e-mail", change: usages(x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageOCSPSigning), level: ca.ImportError, want: "secure e-mail"},
		{name: "application policies", change: extension(t, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 21, 10}, false,
			[]struct{ ID asn1.ObjectIdentifier }{{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 1}}}), level: ca.ImportError, want: "client authentication"},
		{name: "explicit policy", policy: extension(t, asn1.ObjectIdentifier{2, 5, 29, 36}, true, struct {
			Require int `asn1:"tag:0"`
		}{0}), level: ca.ImportError, want: "RequireExplicitPolicy"},
		{name: "explicit policy two below", policy: extension(t, asn1.ObjectIdentifier{2, 5, 29, 36}, true, struct {
			Require int `asn1:"tag:0"`
		}{2}), level: ca.ImportError, want: "RequireExplicitPolicy"},
		{name: "critical unknown extension", change: extension(t, asn1.ObjectIdentifier{1, 2, 3, 4}, true, 1), level: ca.ImportError, want: "1.2.3.4"},
		{name: "other UPN suffix", policy: constraints(t, 0, upnName(t, "@other.example")), level: ca.ImportError, want: "exclude the UPN someone@corp.example"},
		{name: "our UPN suffix excluded", policy: constraints(t, 1, upnName(t, "corp.example")), level: ca.ImportError, want: "exclude the UPN"},
		{name: "UPN suffix permitted", policy: constraints(t, 0, upnName(t, "@corp.example")), level: ca.ImportWarning, want: "OpenSSL"},
		{name: "other mail domain", policy: constraints(t, 0, textName(1, "other.example")), level: ca.ImportError, want: "e-mail address someone@corp.example"},
		{name: "mail domain below only", policy: constraints(t, 0, textName(1, ".corp.example")), level: ca.ImportError, want: "e-mail address"},
		{name: "other directory name", policy: constraints(t, 0, directoryBase(t, pkix.Name{Organization: []string{"Corp"}})), level: ca.ImportError, want: "distinguished name CN=someone@corp.example"},
		{name: "other host", policy: constraints(t, 0, textName(2, "other.example")), level: ca.ImportWarning, want: "DNS name portal.corp.example"},
		{name: "other address", policy: constraints(t, 0, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 7, Bytes: append(net.IP{10, 0, 0, 0}, 255, 0, 0, 0)}),
			level: ca.ImportWarning, want: "IP address 192.0.2.7"},
		{name: "constraints of the root", root: constraints(t, 0, textName(1, "other.example")), level: ca.ImportError, want: "e-mail address"},
		{name: "any usage", policy: usages(x509.ExtKeyUsageAny), level: ca.ImportWarning, want: "any usage"},
		{name: "changed subject", change: func(c *x509.Certificate) { c.Subject.CommonName = "Renamed CA" }, level: ca.ImportWarning, want: "changed the name"},
		{name: "subject of the issuer", change: func(c *x509.Certificate) {
			c.Subject = pkix.Name{Organization: []string{"Company"}, CommonName: "Policy CA"}
		}, level: ca.ImportError, want: "named like its issuer"},
		{name: "no CRL address", change: func(c *x509.Certificate) { c.CRLDistributionPoints = nil }, level: ca.ImportNote, want: "no http address"},
		{name: "ldap only", change: func(c *x509.Certificate) { c.CRLDistributionPoints = []string{"ldap:///CN=x"} }, level: ca.ImportNote, want: "no http address"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCompany(t, test.root, test.policy)
			if test.change == nil {
				test.change = func(*x509.Certificate) {}
			}
			c.cfg.Given = []*x509.Certificate{c.certify(t, test.change)}
			_, problems := ca.CheckAuthority(c.cfg)
			got := texts(problems)
			if worst(problems) != test.level || !strings.Contains(got, test.want) || len(problems) == 0 {
				t.Errorf("got %s", got)
			}
		})
	}
}

// A weak key above is named with its kind and size.
func TestCheckAuthorityRefusesWeakIssuers(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	small, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		ca   *ca.FixtureCA
		want string
	}{
		{"RSA 1024", &ca.FixtureCA{Key: weak}, "1024 bits"},
		{"P-224", &ca.FixtureCA{Key: small}, "P-224"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCompany(t, nil, nil)
			test.ca.Certificate = c.root.Certify(t, "Policy CA", test.ca.Key.Public())
			c.policy = test.ca
			c.cfg.Given = []*x509.Certificate{c.certify(t), test.ca.Certificate}
			_, problems := ca.CheckAuthority(c.cfg)
			if got := texts(problems); !strings.Contains(got, test.want) {
				t.Errorf("got %s", got)
			}
		})
	}
}

// RSASSA-PSS and SHA-1 need other remedies.
func TestCheckAuthorityTellsSignaturesApart(t *testing.T) {
	for _, test := range []struct {
		algorithm x509.SignatureAlgorithm
		level     ca.ImportLevel
		want      []string
	}{
		{x509.SHA256WithRSAPSS, ca.ImportWarning, []string{"RSASSA-PSS", "AlternateSignatureAlgorithm=0"}},
		{x509.SHA1WithRSA, ca.ImportError, []string{"SHA-1", "CNGHashAlgorithm SHA256"}},
	} {
		c := newCompany(t, nil, nil)
		key := ca.FixtureKey(t, "root-rsa")
		c.policy = &ca.FixtureCA{Certificate: c.root.Certify(t, "Policy CA", key.Public()), Key: key}
		c.cfg.Given = []*x509.Certificate{c.certify(t, func(c *x509.Certificate) { c.SignatureAlgorithm = test.algorithm }), c.policy.Certificate}
		p, problems := ca.CheckAuthority(c.cfg)
		got := texts(problems)
		for _, want := range test.want {
			if !strings.Contains(got, want) {
				t.Errorf("%v: got %s", test.algorithm, got)
			}
		}
		if worst(problems) != test.level || len(p.Chain) != 2 {
			t.Errorf("%v: level %d, chain of %d: %s", test.algorithm, worst(problems), len(p.Chain), got)
		}
	}
}

// The order of the files, duplicates and strangers among them do not matter.
func TestCheckAuthorityFindsTheChain(t *testing.T) {
	c := newCompany(t, nil, nil)
	cert, stranger := c.certify(t), ca.FixtureRoot(t).Below(t, "Stranger").Certificate
	// The policy CA was renewed: the older certificate of its key ended.
	old := c.root.Certify(t, "Policy CA", c.policy.Key.Public(), func(t *x509.Certificate) { t.NotAfter = ca.FixtureNow().Add(-time.Hour) })
	all := []*x509.Certificate{stranger, c.root.Certificate, old, c.policy.Certificate, cert, c.root.Certificate}
	for _, given := range [][]*x509.Certificate{all, func() []*x509.Certificate { r := slices.Clone(all); slices.Reverse(r); return r }()} {
		c.cfg.Given, c.cfg.Chain = given, nil
		p, problems := ca.CheckAuthority(c.cfg)
		if len(problems) > 0 || len(p.Chain) != 2 || !p.Chain[0].Equal(c.policy.Certificate) {
			t.Errorf("chain %v: %s", p.Chain, texts(problems))
		}
	}
	// A hundred certificates of one name and key do not take for ever.
	c.cfg.Chain = nil
	for range 100 {
		c.cfg.Chain = append(c.cfg.Chain, c.root.Certify(t, "Policy CA", c.policy.Key.Public()))
	}
	c.cfg.Given = []*x509.Certificate{cert}
	if _, problems := ca.CheckAuthority(c.cfg); !strings.Contains(texts(problems), "Company Root CA") {
		t.Error(texts(problems))
	}
}

func TestCheckAuthorityNamesWhatIsMissing(t *testing.T) {
	c := newCompany(t, nil, nil)
	c.cfg.Given, c.cfg.Chain = []*x509.Certificate{c.certify(t)}, nil
	_, problems := ca.CheckAuthority(c.cfg)
	got := texts(problems)
	if !strings.Contains(got, "CN=Policy CA,O=Company") || !strings.Contains(got, "http://pki.company.example/root.crt") || worst(problems) != ca.ImportError {
		t.Errorf("intermediate: got %s", got)
	}
	c.cfg.Chain = []*x509.Certificate{c.policy.Certificate}
	_, problems = ca.CheckAuthority(c.cfg)
	if got := texts(problems); !strings.Contains(got, `The certificate of "CN=Company Root CA,O=Company"`) {
		t.Errorf("root: got %s", got)
	}
	c.cfg.Chain = []*x509.Certificate{c.root.Certificate, c.root.Below(t, "Policy CA").Certificate}
	_, problems = ca.CheckAuthority(c.cfg)
	if got := texts(problems); !strings.Contains(got, "another key") {
		t.Errorf("renewed intermediate: got %s", got)
	}
}

// What was given instead of the certificate of a request is named.
func TestCheckAuthorityExplainsStrangers(t *testing.T) {
	dir, running := newFolder(t)
	_ = dir
	h := ca.FixtureHierarchy(t, "ec")
	own := &ca.FixtureCA{Certificate: h.Root, Key: h.RootKey}
	c := newCompany(t, nil, nil)
	c.cfg.Folder = running
	key := ca.FixtureKey(t, "user-rsa")
	for _, test := range []struct {
		name  string
		given *x509.Certificate
		want  string
	}{
		{"running CA", running.Issuing(), "imported already"},
		{"renewal of the running CA", own.Certify(t, "Renewed", running.Issuing().PublicKey), "not renewed with the same key"},
		{"another CA", c.policy.Certify(t, "Other", key.Public()), "belongs to no request"},
		{"a leaf", c.policy.Certify(t, "anna", key.Public(), func(c *x509.Certificate) { c.IsCA, c.MaxPathLen = false, -1 }), "of an end entity"},
	} {
		// The key of the fixture's issuing CA must not be that of the request.
		subject, _ := ca.ParseCAName("CN=Phones CA,O=Corp")
		r, err := ca.NewRequest(ca.FixtureKey(t, "root-rsa"), ca.RequestConfig{Subject: subject})
		if err != nil {
			t.Fatal(err)
		}
		c.cfg.Requests = []ca.Request{{Name: "issuing-2", Request: r}}
		c.cfg.Given = []*x509.Certificate{test.given}
		if _, problems := ca.CheckAuthority(c.cfg); !strings.Contains(texts(problems), test.want) || worst(problems) != ca.ImportError {
			t.Errorf("%s: got %s", test.name, texts(problems))
		}
	}
	c.cfg.Requests, c.cfg.Given = nil, []*x509.Certificate{c.certify(t)}
	c.cfg.Folder = nil
	if _, problems := ca.CheckAuthority(c.cfg); !strings.Contains(texts(problems), "certportal ca csr") {
		t.Errorf("no request: got %s", texts(problems))
	}
	c.cfg.Requests = []ca.Request{c.request}
	c.cfg.Given = []*x509.Certificate{c.certify(t), c.certify(t)}
	if _, problems := ca.CheckAuthority(c.cfg); !strings.Contains(texts(problems), "two certificates") {
		t.Errorf("two: got %s", texts(problems))
	}
}

// Names and key identifiers of CAs must differ.
func TestCheckAuthorityComparesWithOthers(t *testing.T) {
	dir := t.TempDir()
	c := newCompany(t, nil, nil)
	key := ca.FixtureKey(t, "user-ec")
	there := c.policy.Certify(t, "Phones CA", key.Public(), func(c *x509.Certificate) {
		c.Subject = pkix.Name{Organization: []string{"Corp"}, CommonName: "Phones CA"}
	})
	addFiles(t, dir, "issuing", key, there, c.policy.Certificate, c.root.Certificate)
	folder, err := ca.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	c.cfg.Folder, c.cfg.Chain = folder, nil // the chain is that of the first
	c.cfg.Given = []*x509.Certificate{c.certify(t, func(t *x509.Certificate) { t.SubjectKeyId = there.SubjectKeyId })}
	p, problems := ca.CheckAuthority(c.cfg)
	got := texts(problems)
	if !strings.Contains(got, "is named like issuing") || !strings.Contains(got, "subject key identifier of") || len(p.Chain) != 2 {
		t.Errorf("chain of %d, got %s", len(p.Chain), got)
	}
}

// crypto/x509 makes no certificate with serial 0: one is altered, and its signature is wrong.
func TestCheckAuthorityRefusesSerialZero(t *testing.T) {
	c := newCompany(t, nil, nil)
	cert := c.certify(t)
	cert.SerialNumber = new(big.Int)
	cert.SubjectKeyId = nil
	c.cfg.Given = []*x509.Certificate{cert}
	_, problems := ca.CheckAuthority(c.cfg)
	if got := texts(problems); !strings.Contains(got, "serial number 0") || !strings.Contains(got, "no subject key identifier") {
		t.Errorf("got %s", got)
	}
}
