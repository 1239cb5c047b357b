package ca_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"certportal/ca"
)

// issueAs issues a certificate whose subject has a form.
func issueAs(t testing.TB, form ca.SubjectForm, s ca.Subject) *x509.Certificate {
	t.Helper()
	cfg := ca.FixtureProfileConfig()
	cfg.Subject = form
	profile, err := ca.NewProfile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	issuer := ca.FixtureIssuer(t, "ec")
	prepared, err := issuer.Prepare(profile, s, ca.FixtureKey(t, "user-ec").Public(), ca.FixtureNow())
	if err != nil {
		t.Fatalf("%s: %+v: %v", form, s, err)
	}
	cert, err := issuer.Sign(prepared)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// directoryName makes one from attribute types and values in turn, the root first.
func directoryName(texts ...string) pkix.RDNSequence {
	ids := map[string]asn1.ObjectIdentifier{
		"CN": {2, 5, 4, 3}, "OU": {2, 5, 4, 11}, "C": {2, 5, 4, 6},
		"DC": {0, 9, 2342, 19200300, 100, 1, 25}, "UID": {0, 9, 2342, 19200300, 100, 1, 1},
	}
	var name pkix.RDNSequence
	for i := 0; i < len(texts); i += 2 {
		name = append(name, pkix.RelativeDistinguishedNameSET{{Type: ids[texts[i]], Value: texts[i+1]}})
	}
	return name
}

func TestSubjectForms(t *testing.T) {
	const upn = "anna@corp.example"
	at := func(texts ...string) pkix.RDNSequence {
		return append(directoryName("DC", "example", "DC", "corp"), directoryName(texts...)...)
	}
	several := at("OU", "People")
	several = append(several, pkix.RelativeDistinguishedNameSET{at("CN", "Anna")[2][0], at("UID", "anna")[2][0]})
	deep := at()
	for range 31 {
		deep = append(deep, directoryName("OU", "Deep")...)
	}
	const unchanged = "CN=" + upn
	for _, test := range []struct {
		name    string
		form    ca.SubjectForm
		subject ca.Subject
		want    string // RFC 4514, the person first
	}{
		{"UPN", ca.SubjectUPN, ca.Subject{Name: "Anna Schmidt", DirectoryName: at("CN", "Anna Schmidt")}, unchanged},
		{"default", "", ca.Subject{Name: "Anna Schmidt"}, unchanged},
		{"display name", ca.SubjectDisplayName, ca.Subject{Name: " Anna Schmidt "}, "CN=Anna Schmidt"},
		{"display name in Chinese", ca.SubjectDisplayName, ca.Subject{Name: "王小明"}, "CN=王小明"},
		{"with & and comma", ca.SubjectDisplayName, ca.Subject{Name: "Schmidt, Anna (R&D)"}, `CN=Schmidt\, Anna (R&D)`},
		{"no display name", ca.SubjectDisplayName, ca.Subject{}, unchanged},
		{"display name of another's UPN", ca.SubjectDisplayName, ca.Subject{Name: "boss@corp.example"}, unchanged},
		{"display name with HTML", ca.SubjectDisplayName, ca.Subject{Name: "boss&#64;corp.example"}, unchanged},
		{"display name too long", ca.SubjectDisplayName, ca.Subject{Name: strings.Repeat("n", 65)}, unchanged},
		{"display name not UTF-8", ca.SubjectDisplayName, ca.Subject{Name: "J\xf6rg"}, unchanged},
		{"directory name", ca.SubjectDirectoryName, ca.Subject{DirectoryName: at("OU", "Büro & Co", "CN", "Schmidt, Anna")}, `CN=Schmidt\, Anna,OU=Büro & Co,DC=corp,DC=example`},
		{"of OpenLDAP", ca.SubjectDirectoryName, ca.Subject{DirectoryName: at("OU", "people", "UID", "anna")}, "UID=anna,OU=people,DC=corp,DC=example"},
		{"entry named by the UPN", ca.SubjectDirectoryName, ca.Subject{DirectoryName: at("CN", upn)}, "CN=anna@corp.example,DC=corp,DC=example"},
		{"no directory name", ca.SubjectDirectoryName, ca.Subject{Name: "Anna Schmidt"}, unchanged},
		{"of several parts", ca.SubjectDirectoryName, ca.Subject{DirectoryName: several}, unchanged},
		{"unit like another's UPN", ca.SubjectDirectoryName, ca.Subject{DirectoryName: at("OU", "boss@corp.example", "CN", "Anna")}, unchanged},
		{"another attribute", ca.SubjectDirectoryName, ca.Subject{DirectoryName: at("C", "DE", "CN", "Anna")}, unchanged},
		{"domain that is not ASCII", ca.SubjectDirectoryName, ca.Subject{DirectoryName: at("DC", "büro", "CN", "Anna")}, unchanged},
		{"outer space", ca.SubjectDirectoryName, ca.Subject{DirectoryName: at("CN", " Anna")}, unchanged},
		{"empty part", ca.SubjectDirectoryName, ca.Subject{DirectoryName: at("OU", "", "CN", "Anna")}, unchanged},
		{"too deep", ca.SubjectDirectoryName, ca.Subject{DirectoryName: deep}, unchanged},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.subject.UPN = upn
			cert := issueAs(t, test.form, test.subject)
			var found pkix.RDNSequence
			if _, err := asn1.Unmarshal(cert.RawSubject, &found); err != nil {
				t.Fatal(err)
			}
			got := strings.NewReplacer("0.9.2342.19200300.100.1.25=#1304636f7270", "DC=corp",
				"0.9.2342.19200300.100.1.25=#13076578616d706c65", "DC=example",
				"0.9.2342.19200300.100.1.1=#1304616e6e61", "UID=anna").Replace(found.String())
			if strings.Contains(got, "DC=") && !strings.Contains(string(cert.RawSubject), "\x16\x04corp") {
				t.Error("the domain is not an IA5String")
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if !ca.IssuedTo(cert, ca.Subject{UPN: upn}) {
				t.Error("the certificate does not name the UPN")
			}
		})
	}
	if _, err := ca.ParseSubjectForm("cn"); err == nil {
		t.Error("a form that does not exist is accepted")
	}
}

// FuzzSubjectForm: no name of a directory is a reason to refuse a certificate, and none
// puts an @ of another person into the subject.
func FuzzSubjectForm(f *testing.F) {
	for _, seed := range []string{"Anna Schmidt", "Schmidt, Anna", "boss@corp.example", "a\u202eb", "&#64;", " a", "\xff", "", "a+b=c"} {
		f.Add(seed, seed, "corp")
	}
	const upn = "anna@corp.example"
	f.Fuzz(func(t *testing.T, name, unit, domain string) {
		s := ca.Subject{UPN: upn, Name: name, DirectoryName: directoryName("DC", domain, "OU", unit, "CN", name)}
		for _, form := range ca.SubjectForms() {
			cert := issueAs(t, form, s)
			for _, part := range cert.Subject.Names {
				if value, _ := part.Value.(string); strings.Contains(value, "@") && value != upn {
					t.Errorf("%s: %q in the subject", form, value)
				}
			}
		}
	})
}
