package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// plist turns a property list into JSON with Python's own reader; data becomes
// text in base64.
const plist = `
import base64, datetime, json, plistlib, sys
def plain(v):
    if isinstance(v, (bytes, bytearray)): return base64.b64encode(v).decode()
    if isinstance(v, datetime.datetime): return v.isoformat()
    raise TypeError(type(v))
json.dump(plistlib.load(open(sys.argv[1], "rb")), sys.stdout, default=plain)
`

// payload is what this test reads of a profile.
type payload struct {
	PayloadType, PayloadIdentifier, PayloadUUID, PayloadCertificateUUID string
	Host, EmailAddress, UserName                                        string
	SSL                                                                 bool
	PayloadContent                                                      json.RawMessage
}

// readProfile has OpenSSL verify a downloaded profile and Python read it.
func readProfile(t *testing.T, d *demo, file string) (top payload, inside []payload) {
	t.Helper()
	dir := t.TempDir()
	root, chain, xml, script := filepath.Join(dir, "root.pem"), filepath.Join(dir, "chain.pem"), filepath.Join(dir, "p.plist"), filepath.Join(dir, "p.py")
	write(t, root, fetch(t, d.http+"/ca/root.pem"))
	write(t, chain, fetch(t, d.http+"/ca/chain.pem"))
	write(t, script, plist)
	command(t, "openssl", "cms", "-verify", "-inform", "DER", "-in", file, "-CAfile", root, "-certfile", chain,
		"-purpose", "any", "-out", xml)
	if err := json.Unmarshal([]byte(command(t, "python3", script, xml)), &top); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(top.PayloadContent, &inside); err != nil {
		t.Fatal(err)
	}
	return top, inside
}

func of(kind string, payloads []payload) payload {
	for _, p := range payloads {
		if p.PayloadType == kind {
			return p
		}
	}
	return payload{}
}

// TestAppleProfile gives an iPhone one file with anchors, identity and mailbox;
// getting a new one for the same phone replaces it.
func TestAppleProfile(t *testing.T) {
	need(t, "chromium", "openssl", "python3")
	d := startDemo(t, "CERTPORTAL_EXCHANGE_HOST=mail.demo.example")
	b := openTab(t, look{agent: iphoneUA})
	file, name, password := b.enrol(d)
	b.picture("result iPhone")
	if !strings.HasSuffix(name, ".mobileconfig") {
		t.Errorf("file is called %q, want .mobileconfig", name)
	}
	top, inside := readProfile(t, d, file)
	mail, identity := of("com.apple.eas.account", inside), of("com.apple.security.pkcs12", inside)
	if mail.Host != "mail.demo.example" || mail.UserName != "anna@demo.example" || mail.EmailAddress != "anna@demo.example" || !mail.SSL {
		t.Errorf("mailbox %+v, want Anna's", mail)
	}
	if identity.PayloadUUID == "" || mail.PayloadCertificateUUID != identity.PayloadUUID {
		t.Errorf("the mailbox signs in with %q, the identity is %q", mail.PayloadCertificateUUID, identity.PayloadUUID)
	}
	if of("com.apple.security.root", inside).PayloadType == "" {
		t.Error("no root in the profile")
	}
	b.enters(identity, password)

	device := strings.TrimSuffix(b.path(), "/install")
	b.open(d.https + device)
	b.press(`form[action="` + device + `/install"] button`)
	file, _ = b.download("#download")
	again, insideAgain := readProfile(t, d, file)
	if again.PayloadIdentifier != top.PayloadIdentifier || again.PayloadUUID != top.PayloadUUID {
		t.Errorf("profile %s %s, before %s %s: it would not replace it", again.PayloadIdentifier, again.PayloadUUID, top.PayloadIdentifier, top.PayloadUUID)
	}
	mailAgain := of("com.apple.eas.account", insideAgain)
	if mailAgain.PayloadIdentifier != mail.PayloadIdentifier || mailAgain.PayloadUUID != mail.PayloadUUID {
		t.Error("the mailbox would be a second one")
	}
	if of("com.apple.security.pkcs12", insideAgain).PayloadUUID == identity.PayloadUUID {
		t.Error("the new identity has the UUID of the old one")
	}
}

// enters opens the identity with the password of the page.
func (b *tab) enters(identity payload, password string) {
	b.t.Helper()
	var der []byte
	if err := json.Unmarshal(identity.PayloadContent, &der); err != nil {
		b.t.Fatal(err)
	}
	file := filepath.Join(b.t.TempDir(), "identity.p12")
	if err := os.WriteFile(file, der, 0o600); err != nil {
		b.t.Fatal(err)
	}
	leaf := openFile(b.t, file, password)
	if got, want := leaf.Subject.CommonName, "anna@demo.example"; got != want {
		b.t.Errorf("identity of %q, want %q", got, want)
	}
}
