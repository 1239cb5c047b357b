package ca_test

import (
	"crypto/x509/pkix"
	"strings"
	"testing"

	"certportal/ca"
)

func TestParseCAName(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"plain", "CN=Corp Phones CA,O=Corp,C=DE", "CN=Corp Phones CA,O=Corp,C=DE"},
		{"spaces", "cn = Corp Phones CA , ou=IT, o=Corp", "CN=Corp Phones CA,OU=IT,O=Corp"},
		{"escaped comma", `CN=Phones,O=Corp\, Inc.`, `CN=Phones,O=Corp\, Inc.`},
		{"quotes", `CN="Phones, all",O=Corp`, `CN=Phones\, all,O=Corp`},
		{"hexadecimal", `CN=M\C3\BCnchen`, "CN=München"},
		{"Windows", "CN=Phones CA,S=Bavaria", "CN=Phones CA,ST=Bavaria"},
		{"other script", "CN=手机证书,O=公司", "CN=手机证书,O=公司"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ca.ParseCAName(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestParseCANameRefuses(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"empty", "", "TYPE=VALUE"},
		{"OpenSSL", "/C=DE/O=Corp/CN=Phones", "OpenSSL"},
		{"X.509 order", "C=DE,O=Corp,CN=Phones", "first part"},
		{"no common name", "O=Corp", "common name"},
		{"two common names", "CN=a,CN=b", "one common name"},
		{"unknown type", "CN=a,E=ca@corp.example", `"E"`},
		{"no value", "CN=,O=Corp", "0 characters"},
		{"trailing comma", "CN=a,", "TYPE=VALUE"},
		{"comma in a value", "CN=a,O=Corp, Inc.", "TYPE=VALUE"},
		{"several values", "CN=a+OU=b", "backslash"},
		{"country", "CN=a,C=Germany", "C=Germany"},
		{"long", "CN=" + strings.Repeat("x", 65), "65 characters"},
		{"control character", "CN=a\x07b", "characters"},
		{"escaped control character", `CN=a\0Ab`, "characters"},
		{"escaped broken UTF-8", `CN=a\C3`, "characters"},
		{"escaped outer space", `CN=a\ `, "outer spaces"},
		{"right-to-left override", "CN=a\u202eb", "characters"},
		{"lone backslash", `CN=a\`, "backslash"},
		{"open quote", `CN="a`, "quote"},
		{"after a quote", `CN="a"b`, "closing quote"},
		{"domain component", "CN=a,DC=münchen", "ASCII"},
		{"many", "CN=a" + strings.Repeat(",OU=b", 40), "41 parts"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, err := ca.ParseCAName(test.text); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v and %v", got, err)
			}
		})
	}
}

func FuzzParseCAName(f *testing.F) {
	f.Add(`CN="a, b",O=Corp\, Inc.,C=DE`)
	f.Add(`CN=\C3\A4`)
	f.Fuzz(func(t *testing.T, text string) {
		name, err := ca.ParseCAName(text)
		if err != nil {
			return
		}
		var n pkix.Name
		n.FillFromRDNSequence(&name)
		if n.CommonName == "" || strings.ContainsAny(n.CommonName, "\x00\n") {
			t.Errorf("common name %q", n.CommonName)
		}
	})
}
