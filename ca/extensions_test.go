package ca

import (
	"encoding/base64"
	"encoding/hex"
	"testing"
)

// The vectors are from real certificates and other programs, so that builder and
// lint cannot share a mistake.
func TestSIDExtension(t *testing.T) {
	tameMyCerts, err := base64.StdEncoding.DecodeString(
		"MD+gPQYKKwYBBAGCNxkCAaAvBC1TLTEtNS0yMS0xMzgxMTg2MDUyLTQyNDc2OTIzODYtMTM1OTI4MDc4LTEyMjU=")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		sid  string
		want string
	}{
		{"TameMyCerts unit test", "S-1-5-21-1381186052-4247692386-135928078-1225", hex.EncodeToString(tameMyCerts)},
		{"certificate of an AD CS CA", "S-1-5-21-1045809509-3006658589-2426055941-1110",
			"3040a03e060a2b060104018237190201a030042e" + hex.EncodeToString([]byte("S-1-5-21-1045809509-3006658589-2426055941-1110"))},
		{"short SID", "S-1-5-21-1004336348-1177238915-682003330-512",
			"303ea03c060a2b060104018237190201a02e042c" + hex.EncodeToString([]byte("S-1-5-21-1004336348-1177238915-682003330-512"))},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, err := sidExtension(test.sid)
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(e.Value); got != test.want || e.Critical {
				t.Errorf("got %s, critical %v, want %s", got, e.Critical, test.want)
			}
			if e.Id.String() != "1.3.6.1.4.1.311.25.2" {
				t.Errorf("got %s", e.Id)
			}
		})
	}
}

func TestExtensionsOfTheUserTemplate(t *testing.T) {
	template, err := templateExtension("User")
	if err != nil {
		t.Fatal(err)
	}
	usages, err := usageExtension(FixtureProfile(t).extKeyUsages)
	if err != nil {
		t.Fatal(err)
	}
	san, err := userSAN(Subject{UPN: "user@contoso.com"})
	if err != nil {
		t.Fatal(err)
	}
	withMail, err := userSAN(Subject{UPN: "u@a.de", Mail: "m@a.de"})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		got  []byte
		want string
	}{
		{"template name", template.Value, "1e080055007300650072"},
		{"extended key usage", usages.Value, "3020060a2b0601040182370a030406082b0601050507030406082b06010505070302"},
		{"subject alternative name", san.Value, "3022a020060a2b060104018237140203a0120c10" + hex.EncodeToString([]byte("user@contoso.com"))},
		{"with mail", withMail.Value, "3020a016060a2b060104018237140203a0080c06" + hex.EncodeToString([]byte("u@a.de")) +
			"8106" + hex.EncodeToString([]byte("m@a.de"))},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := hex.EncodeToString(test.got); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
