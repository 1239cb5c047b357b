package discovery_test

import (
	"slices"
	"strings"
	"testing"

	"certportal/ca/upstream/adcs/discovery"
	"certportal/internal/test/testkit"
)

// portalUser is a template as the docs describe it.
func portalUser(name string, change map[string]string) discovery.Attributes {
	a := user()
	a["cn"] = [][]byte{[]byte(name)}
	for attribute, value := range map[string]string{
		"msPKI-Template-Schema-Version": "2", "msPKI-RA-Signature": "1", "msPKI-Certificate-Name-Flag": "33554432",
		"msPKI-RA-Application-Policies": "1.3.6.1.4.1.311.20.2.1",
	} {
		a[attribute] = [][]byte{[]byte(value)}
	}
	for attribute, value := range change {
		a[attribute] = [][]byte{[]byte(value)}
	}
	return a
}

func service(name string, templates []string, servers ...string) discovery.Attributes {
	a := discovery.Attributes{"cn": {[]byte(name)}, "dNSHostName": {[]byte("CA01.corp.example")}}
	for _, template := range templates {
		a["certificateTemplates"] = append(a["certificateTemplates"], []byte(template))
	}
	for _, server := range servers {
		a["msPKI-Enrollment-Servers"] = append(a["msPKI-Enrollment-Servers"], []byte(server))
	}
	return a
}

// The template with the least against it comes first and into the settings; what a CA does
// not publish is not offered.
func TestChoices(t *testing.T) {
	f := discovery.Forest{NetBIOS: "CORP"}
	f.AddService(service("Zweite CA", []string{"Lost"}))
	f.AddService(service("Corp Issuing CA 2", []string{"User", "ESC1", "portaluser", "Slow"}, "1\n2\n0\nhttps://h/kerberos\n0", "1\n4\n0\nhttps://h/password\n0", "2\n4\n0\nhttps://h2/password\n0"))
	f.AddTemplate(user())
	f.AddTemplate(portalUser("Slow", map[string]string{"msPKI-Enrollment-Flag": "2"}))
	f.AddTemplate(portalUser("PortalUser", nil))
	f.AddTemplate(portalUser("Unpublished", nil))
	f.AddTemplate(portalUser("ESC1", map[string]string{"msPKI-Certificate-Name-Flag": "1"}))
	n := needs()
	n.Usages = []string{"1.3.6.1.5.5.7.3.2", "1.3.6.1.5.5.7.3.4", "1.3.6.1.4.1.311.10.3.4"}
	all := f.Choices(n)
	testkit.Equal(t, "CAs", len(all), 2)
	var names []string
	for _, template := range all[0].Templates {
		names = append(names, template.Name)
	}
	testkit.Equal(t, "templates", strings.Join(names, ", "), "PortalUser, Slow, User, ESC1")
	best, ok := all[0].Best()
	testkit.Equal(t, "best", best.Name, "PortalUser")
	testkit.Equal(t, "is there", ok, true)
	testkit.Equal(t, "settings", all[0].Settings(), `upstreams:
  - name: 'corp-issuing-ca-2'   # for good: it is in the records
    kind: adcs
    url: 'https://h/password'   # signs in with: UsernamePassword
    further_urls: ['https://h2/password']   # while the first is away
    chain: /etc/certportal/corp-issuing-ca-2-chain.pem   # root and issuing CA
    server_ca_file: /etc/certportal/corp-issuing-ca-2-root.pem   # root of the server's TLS certificate; leave it out for a public one
    user: 'CORP\svc-portal'   # the portal's account
    password_file: /etc/certportal/svc-portal.password
    template: 'PortalUser'
    domain: 'CORP'   # of people, as in DOMAIN\name
    agent_certificate: /etc/certportal/agent.pem   # of the enrolment agent
    agent_key: /etc/certportal/agent.key
# certificates:
#   issuer: 'corp-issuing-ca-2'   # last, when it passed: certportal upstream test corp-issuing-ca-2 --person UPN
`)
	if !slices.Equal(all[1].Unknown, []string{"Lost"}) || !strings.Contains(all[1].Settings(), "template: 'PortalUser'   # make it") ||
		!strings.Contains(all[1].Settings(), "kind: certsrv") {
		t.Errorf("CA without address and template: %+v", all[1])
	}
	if findings := parsed(t, portalUser("x", map[string]string{"pKIExtendedKeyUsage": "1.3.6.1.5.5.7.3.2"})).Findings(n); len(findings) != 1 ||
		findings[0].Key != "template-usages" || findings[0].Values[0] != "1.3.6.1.5.5.7.3.2" {
		t.Errorf("other usages than the profile's: %+v", findings)
	}
}

// Where clients sign in by Kerberos only, the settings are for that.
func TestSettingsForKerberos(t *testing.T) {
	var f discovery.Forest
	f.AddService(service("CA", nil, "1\n2\n0\nhttps://h/kerberos\n0", "2\n1\n0\nhttps://h/anonymous\n0"))
	settings := f.Choices(needs())[0].Settings()
	for _, want := range []string{"url: 'https://h/kerberos'   # signs in with: Kerberos", "user: 'svc-portal@CORP.EXAMPLE'", "keytab_file: /etc/certportal/svc-portal.keytab"} {
		if !strings.Contains(settings, want) {
			t.Errorf("no %q:\n%s", want, settings)
		}
	}
}

// A name that is a word of YAML stays a name.
func TestSettingsOfACACalledAsAWordOfYAML(t *testing.T) {
	for _, word := range []string{"null", "true", "no", "On", "YES", "y"} {
		var f discovery.Forest
		f.AddService(service(word, nil))
		settings, name := f.Choices(needs())[0].Settings(), strings.ToLower(word)
		for _, want := range []string{"  - name: '" + name + "'   #", "issuer: '" + name + "'   #"} {
			if !strings.Contains(settings, want) {
				t.Errorf("no %q:\n%s", want, settings)
			}
		}
	}
}

// What others wrote into the directory stays a value.
func TestA18_DirectoryWritesNoSettings(t *testing.T) {
	f := discovery.Forest{NetBIOS: "CO'RP\nissuer: x"}
	f.AddService(service("9 'CA'\n# x: \u2028y", []string{"P'\n  - name: evil"}, "1\n8\n0\nhttps://h/it's#x?\n0", "1\n8\n0\nhttps://h/it's\n0"))
	f.AddTemplate(portalUser("P'\n  - name: evil", nil))
	for _, c := range f.Choices(needs()) {
		settings := c.Settings()
		if lines := strings.Count(settings, "\n"); lines != 14 || strings.Contains(settings, "\n  - name: evil") || strings.Contains(settings, "\u2028") {
			t.Errorf("%d lines:\n%s", lines, settings)
		}
		for _, want := range []string{"name: 'ca-x-y'   #", "domain: 'CO''RP issuer: x'", "template: 'P''   - name: evil'"} {
			if !strings.Contains(settings, want) {
				t.Errorf("no %q:\n%s", want, settings)
			}
		}
	}
}
