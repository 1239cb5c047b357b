package discovery_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/ca/upstream/adcs/discovery"
	"certportal/internal/test/testkit"
)

const day = 24 * time.Hour

// user is the template User as Windows installs it: its numbers are public knowledge.
func user() discovery.Attributes {
	return discovery.Attributes{
		"cn": {[]byte("User")}, "displayName": {[]byte("User")}, "flags": {[]byte("66106")},
		"msPKI-Certificate-Name-Flag": {[]byte("-1509949440")}, "msPKI-Enrollment-Flag": {[]byte("41")},
		"msPKI-Private-Key-Flag": {[]byte("16")}, "msPKI-RA-Signature": {[]byte("0")}, "msPKI-Minimal-Key-Size": {[]byte("2048")},
		"msPKI-Template-Schema-Version": {[]byte("1")}, "pKIExpirationPeriod": {{0x00, 0x40, 0x39, 0x87, 0x2e, 0xe1, 0xfe, 0xff}},
		"pKIExtendedKeyUsage": {[]byte("1.3.6.1.4.1.311.10.3.4"), []byte("1.3.6.1.5.5.7.3.4"), []byte("1.3.6.1.5.5.7.3.2")},
	}
}

func needs() discovery.Needs {
	return discovery.Needs{KeyBits: 2048, Validity: 365 * day, Slack: 2 * day, Agent: true}
}

func parsed(t *testing.T, a discovery.Attributes) discovery.Template {
	t.Helper()
	return testkit.Must(discovery.ParseTemplate(a))(t)
}

func TestTemplateUser(t *testing.T) {
	template := parsed(t, user())
	testkit.Equal(t, "validity", discovery.Words(template.Validity), "1 year")
	testkit.Equal(t, "bits", template.KeyBits, 2048)
	testkit.Equal(t, "version", template.Version, 1)
	findings := template.Findings(needs())
	testkit.Equal(t, "findings", len(findings), 2)
	testkit.Contains(t, "first", findings[0].Text, "0x80094812")
	testkit.Equal(t, "level of the first", findings[0].Level, discovery.Warning)
	testkit.Contains(t, "second", findings[1].Text, "Enrollment Agents")
}

func TestFindings(t *testing.T) {
	v2 := map[string]string{
		"msPKI-Template-Schema-Version": "2", "msPKI-RA-Signature": "1", "msPKI-Certificate-Name-Flag": "33554432",
		"msPKI-RA-Application-Policies": "1.3.6.1.4.1.311.20.2.1",
	}
	for name, test := range map[string]struct {
		change map[string]string
		needs  func(*discovery.Needs)
		want   string // in the first finding; empty: none
	}{
		"good":                     {},
		"version 4, list":          {change: map[string]string{"msPKI-RA-Application-Policies": "msPKI-Asymmetric-Algorithm`PZPWSTR`RSA`msPKI-RA-Application-Policies`PZPWSTR`1.3.6.1.4.1.311.20.2.1`"}},
		"ESC1":                     {change: map[string]string{"msPKI-Certificate-Name-Flag": "1"}, want: "ESC1"},
		"ESC1 by SAN":              {change: map[string]string{"msPKI-Certificate-Name-Flag": "33619968"}, want: "ESC1"},
		"ESC2":                     {change: map[string]string{"pKIExtendedKeyUsage": "2.5.29.37.0"}, want: "ESC2"},
		"ESC3":                     {change: map[string]string{"pKIExtendedKeyUsage": "1.3.6.1.4.1.311.20.2.1"}, want: "ESC3"},
		"server":                   {change: map[string]string{"pKIExtendedKeyUsage": "1.3.6.1.5.5.7.3.1"}, want: "servers"},
		"no client":                {change: map[string]string{"pKIExtendedKeyUsage": "1.3.6.1.5.5.7.3.4"}, want: "Client Authentication"},
		"ESC9":                     {change: map[string]string{"msPKI-Enrollment-Flag": "524288"}, want: "ESC9"},
		"machine":                  {change: map[string]string{"flags": "64"}, want: "computers"},
		"no UPN":                   {change: map[string]string{"msPKI-Certificate-Name-Flag": "1073741824"}, want: "user principal name"},
		"DNS":                      {change: map[string]string{"msPKI-Certificate-Name-Flag": "167772160"}, want: "DNS name"},
		"approval":                 {change: map[string]string{"msPKI-Enrollment-Flag": "2"}, want: "officer"},
		"no signature":             {change: map[string]string{"msPKI-RA-Signature": "0"}, want: "0x80094806"},
		"two signatures":           {change: map[string]string{"msPKI-RA-Signature": "2"}, want: "2 signatures"},
		"other signer":             {change: map[string]string{"msPKI-RA-Application-Policies": "1.2.3"}, want: "1.2.3"},
		"key too short":            {change: map[string]string{"msPKI-Minimal-Key-Size": "4096"}, want: "4096 bits"},
		"archival":                 {change: map[string]string{"msPKI-Private-Key-Flag": "1"}, want: "archive"},
		"attestation":              {change: map[string]string{"msPKI-Private-Key-Flag": "8192"}, want: "TPM"},
		"longer":                   {needs: func(n *discovery.Needs) { n.Validity = 30 * day }, want: "valid for 1 year, and the profile of the portal wants 30 days"},
		"names of the portal":      {needs: func(n *discovery.Needs) { n.Agent = false }, change: map[string]string{"msPKI-RA-Signature": "0"}, want: "which is the portal's"},
		"agent wanted, none there": {needs: func(n *discovery.Needs) { n.Agent = false }, want: "portal has none"},
	} {
		a := user()
		for _, change := range []map[string]string{v2, test.change} {
			for attribute, value := range change {
				a[attribute] = [][]byte{[]byte(value)}
			}
		}
		n := needs()
		if test.needs != nil {
			test.needs(&n)
		}
		findings := parsed(t, a).Findings(n)
		if test.want == "" {
			testkit.Equal(t, name+": findings", len(findings), 0)
		} else if !slices.ContainsFunc(findings, func(f discovery.Finding) bool { return strings.Contains(f.Text, test.want) }) {
			t.Errorf("%s: findings are %+v, want %q", name, findings, test.want)
		}
	}
}

func TestTemplatesThatCannotBeRead(t *testing.T) {
	for attribute, value := range map[string]string{
		"cn": "", "flags": "0x40", "msPKI-RA-Signature": "99999999999", "pKIExpirationPeriod": "short", "PKIEXPIRATIONPERIOD": "12345678",
	} {
		a := user()
		for key := range a {
			if strings.EqualFold(key, attribute) {
				delete(a, key)
			}
		}
		a[attribute] = [][]byte{[]byte(value)}
		if _, err := discovery.ParseTemplate(a); err == nil {
			t.Errorf("template with %s %q is read", attribute, value)
		}
	}
}

func TestService(t *testing.T) {
	s := testkit.Must(discovery.ParseService(discovery.Attributes{
		"CN": {[]byte("Example-CA")}, "dnshostname": {[]byte("ca.corp.example")}, "certificateTemplates": {[]byte("User"), []byte("Machine")},
		"cACertificate": {[]byte("no certificate")},
		"msPKI-Enrollment-Servers": {
			[]byte("2\n4\n0\nhttps://h/CA_CES_UsernamePassword/service.svc/CES\n0"),
			[]byte("1\n4\n0\nhttps://h2/CA_CES_UsernamePassword/service.svc/CES"),
			[]byte("9\r\n8\r\n0\r\nhttps://h/CA_CES_Certificate/service.svc/CES\r\n1\r\n"),
			[]byte("1\n2\n0\nhttps://h/CA_CES_Kerberos/service.svc/CES\n0"),
			[]byte("1\n8\n1\nhttps://h/Renewal_CA_CES_Certificate/service.svc/CES\n1"),
			[]byte("1\n8\n0\nhttp://h/service.svc/CES\n0"),
			[]byte("1\n8\n0\nhttps://user:password@h/service.svc/CES\n0"),
			[]byte("one line"),
		},
	}))(t)
	testkit.Equal(t, "config", s.Config(), `ca.corp.example\Example-CA`)
	testkit.Equal(t, "issues User", s.Issues("user"), true)
	testkit.Equal(t, "issues WebServer", s.Issues("WebServer"), false)
	testkit.Equal(t, "unreadable", len(s.Unreadable), 4)
	if strings.Contains(strings.Join(s.Unreadable, ""), "password") {
		t.Errorf("unreadable values hold a password: %q", s.Unreadable)
	}
	var usable []string
	for _, e := range s.Usable() {
		usable = append(usable, e.Authentication.String()+" "+e.URL[8:10])
	}
	testkit.Equal(t, "usable", strings.Join(usable, ", "), "Certificate h/, UsernamePassword h2, UsernamePassword h/, Kerberos h/")
	if _, err := discovery.ParseService(discovery.Attributes{"cn": {[]byte("CA")}}); err == nil {
		t.Error("CA without host is read")
	}
}

func TestForestKeepsWhatItCannotRead(t *testing.T) {
	var f discovery.Forest
	f.AddService(discovery.Attributes{"cn": {[]byte("CA")}})
	f.AddService(discovery.Attributes{"cn": {[]byte("CA")}, "dNSHostName": {[]byte("h")}})
	f.AddTemplate(discovery.Attributes{"cn": {[]byte("Broken")}})
	f.AddTemplate(user())
	testkit.Equal(t, "services, templates, unreadable", [3]int{len(f.Services), len(f.Templates), len(f.Unreadable)}, [3]int{1, 1, 2})
}

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		365 * day: "1 year", 730 * day: "2 years", 42 * day: "6 weeks", 10 * day: "10 days", 8 * time.Hour: "8 hours", 90 * time.Minute: "1h30m0s",
	} {
		testkit.Equal(t, "words", discovery.Words(d), want)
	}
}

func FuzzEndpoint(f *testing.F) {
	f.Add("1\n4\n0\nhttps://h/CA_CES_UsernamePassword/service.svc/CES\n0")
	f.Fuzz(func(t *testing.T, value string) {
		if e, err := discovery.ParseEndpoint(value); err == nil && !strings.HasPrefix(e.URL, "https://") {
			t.Errorf("address is %q", e.URL)
		}
	})
}

func FuzzTemplate(f *testing.F) {
	f.Add("66106", "1.3.6.1.4.1.311.20.2.1", []byte{0x00, 0x40, 0x39, 0x87, 0x2e, 0xe1, 0xfe, 0xff})
	f.Fuzz(func(_ *testing.T, numbers, policies string, validity []byte) {
		a := user()
		a["msPKI-Certificate-Name-Flag"], a["msPKI-RA-Application-Policies"] = [][]byte{[]byte(numbers)}, [][]byte{[]byte(policies)}
		a["pKIExpirationPeriod"] = [][]byte{validity}
		if template, err := discovery.ParseTemplate(a); err == nil {
			template.Findings(needs())
		}
	})
}
