package deliver_test

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"certportal/internal/deliver"
)

// profile makes a Profile for a target with all fields that the target supports.
func profile(t testing.TB, target deliver.Target) deliver.Profile {
	t.Helper()
	identity := bundle(t, "rsa", "", "Ada's phone")
	identity.Rand = repeatable(1)
	p := deliver.Profile{
		Target: target, Identifier: "com.example.certs.k3m7",
		Name: "Example: Ada's phone", Description: "Certificate and mail.", Organization: "Example",
		Consent: "Example sets up mail.\nAgree?", Identity: identity, IdentityName: "Certificate for Ada's phone",
		Anchors: []*x509.Certificate{certificate(t, "root")}, Issuing: []*x509.Certificate{certificate(t, "issuing")},
	}
	if target == deliver.TargetPhone {
		p.Exchange = &deliver.Exchange{
			Host: "mail.example.com", UserName: "ada@example.com", EmailAddress: "ada.lovelace@example.com",
			SyncDays: 14, SMIMESign: true, SMIMEEncrypt: true,
		}
	}
	return p
}

// xml makes the property list or ends the test.
func xml(t testing.TB, p deliver.Profile) []byte {
	t.Helper()
	list, err := p.XML()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// payload finds the one payload of a type.
func payload(t *testing.T, profile value, kind string) map[string]value {
	t.Helper()
	var found map[string]value
	for _, p := range profile.Keys["PayloadContent"].List {
		if p.Keys["PayloadType"].Text != kind {
			continue
		}
		if found != nil {
			t.Fatalf("two payloads of type %s", kind)
		}
		found = p.Keys
	}
	return found
}

func TestProfileFitsAppleSchema(t *testing.T) {
	bare := func(p deliver.Profile) deliver.Profile {
		return deliver.Profile{Target: p.Target, Identifier: p.Identifier, Name: p.Name, Identity: p.Identity}
	}
	phone, mac := profile(t, deliver.TargetPhone), profile(t, deliver.TargetMac)
	plain := profile(t, deliver.TargetPhone)
	plain.Exchange = &deliver.Exchange{Host: "[::1]:8443", UserName: `CORP\ada`}
	all := profile(t, deliver.TargetPhone)
	all.Exchange.SyncDays, all.RemoveAtEnd = deliver.SyncAll, true
	doubled := profile(t, deliver.TargetMac)
	doubled.RemoveAtEnd = true
	doubled.Anchors = append(doubled.Anchors, doubled.Anchors[0], doubled.Issuing[0])
	tests := []struct {
		name    string
		profile deliver.Profile
		kinds   string
	}{
		{"phone", phone, "root pkcs1 pkcs12 account"}, {"mac", mac, "root pkcs1 pkcs12"},
		{"bare phone", bare(phone), "pkcs12"}, {"bare mac", bare(mac), "pkcs12"},
		{"plain account", plain, "root pkcs1 pkcs12 account"},
		{"all mail, removed at its end", all, "root pkcs1 pkcs12 account"},
		{"anchors doubled", doubled, "root pkcs1 pkcs12"},
	}
	var lists [][]byte
	for _, tt := range tests {
		lists = append(lists, xml(t, tt.profile))
	}
	published := appleSchema(t)
	for i, list := range readPlists(t, lists...) {
		t.Run(tests[i].name, func(t *testing.T) {
			published.check(t, list, tests[i].profile.Target)
			var kinds []string
			for _, p := range list.Keys["PayloadContent"].List {
				kind := p.Keys["PayloadType"].Text
				kinds = append(kinds, kind[strings.LastIndex(kind, ".")+1:])
			}
			if got := strings.Join(kinds, " "); got != tests[i].kinds {
				t.Errorf("payloads: got %s, want %s", got, tests[i].kinds)
			}
		})
	}
}

// TestSchemaCheckSees checks that the schema check finds violations.
func TestSchemaCheckSees(t *testing.T) {
	s := appleSchema(t)
	if !strings.Contains(s.Source, "apple/device-management") || len(s.Payloads["com.apple.eas.account"].Keys) != 43 {
		t.Errorf("schema of %q holds %d keys of the account", s.Source, len(s.Payloads["com.apple.eas.account"].Keys))
	}
	if !s.Payloads["com.apple.security.pkcs12"].Keys["PayloadContent"].Required {
		t.Error("the content of an identity is not required")
	}
	if len(s.Payloads["com.apple.eas.account"].Keys["MailNumberOfPastDaysToSync"].Values) != 6 {
		t.Error("the days to fetch are not listed")
	}
}

func TestProfileContents(t *testing.T) {
	p := profile(t, deliver.TargetPhone)
	list := readPlists(t, xml(t, p))[0]
	account, identity := payload(t, list, "com.apple.eas.account"), payload(t, list, "com.apple.security.pkcs12")
	for key, want := range map[string]string{
		"Host": "mail.example.com", "UserName": "ada@example.com", "EmailAddress": "ada.lovelace@example.com",
		"SSL": "true", "PayloadCertificateUUID": identity["PayloadUUID"].Text, "MailNumberOfPastDaysToSync": "14",
		"SMIMESigningEnabled": "true", "SMIMESigningUserOverrideable": "true",
		"SMIMESigningCertificateUUID":           identity["PayloadUUID"].Text,
		"SMIMEEncryptionCertificateUUID":        identity["PayloadUUID"].Text,
		"SMIMEEnableEncryptionPerMessageSwitch": "true",
	} {
		if got := account[key].Text; got != want {
			t.Errorf("account: %s is %q, want %q", key, got, want)
		}
	}
	for _, payload := range list.Keys["PayloadContent"].List {
		for _, key := range []string{"Password", "Domain", "CertificatePassword"} {
			if _, there := payload.Keys[key]; there {
				t.Errorf("%s carries %s", payload.Keys["PayloadType"].Text, key)
			}
		}
	}
	checkIdentity(t, identity["PayloadContent"].Text, p.Identity)
	if got := payload(t, list, "com.apple.security.root")["PayloadContent"].Text; got != hex.EncodeToString(p.Anchors[0].Raw) {
		t.Error("the root is another certificate")
	}
	if got := list.Keys["ConsentText"].Keys["default"].Text; got != p.Consent {
		t.Errorf("consent: got %q, want %q", got, p.Consent)
	}
	if got, want := list.Keys["PayloadExpirationDate"].Text, p.Identity.Leaf.NotAfter.UTC().Format(time.RFC3339); got != want {
		t.Errorf("expires %s, want %s", got, want)
	}
	if _, there := list.Keys["RemovalDate"]; there {
		t.Error("the profile removes itself")
	}
}

// checkIdentity decrypts the file inside a profile: it must hold the key, its
// certificate and no CA, in the format that every Apple system reads.
func checkIdentity(t *testing.T, file string, want deliver.Bundle) {
	t.Helper()
	content, err := hex.DecodeString(file)
	if err != nil {
		t.Fatal(err)
	}
	_, leaf, chain, err := pkcs12.DecodeChain(content, want.Password)
	if err != nil || !leaf.Equal(want.Leaf) || len(chain) != 0 {
		t.Errorf("identity: got %v with %d CAs, %v", leaf, len(chain), err)
	}
	want.Format, want.Chain, want.Rand = deliver.FormatLegacy, nil, repeatable(1)
	if !bytes.Equal(content, make12(t, want)) {
		t.Error("identity is not the file of the older format")
	}
}

func TestProfileForMac(t *testing.T) {
	p := profile(t, deliver.TargetMac)
	p.RemoveAtEnd = true
	list := readPlists(t, xml(t, p))[0]
	if got := list.Keys["PayloadScope"].Text + list.Keys["TargetDeviceType"].Text; got != "User5" {
		t.Errorf("scope and target: got %s, want User5", got)
	}
	if got := payload(t, list, "com.apple.security.pkcs12")["KeyIsExtractable"].Text; got != "false" {
		t.Errorf("KeyIsExtractable: got %q, want false", got)
	}
	if got, want := list.Keys["RemovalDate"].Text, p.Identity.Leaf.NotAfter.UTC().Format(time.RFC3339); got != want {
		t.Errorf("removed at %s, want %s", got, want)
	}
}

// TestRenewalReplaces checks that a device replaces the old profile by the new one: all
// identifiers are the same, and only the UUID of the identity changes.
func TestRenewalReplaces(t *testing.T) {
	old, renewed, other := profile(t, deliver.TargetPhone), profile(t, deliver.TargetPhone), profile(t, deliver.TargetPhone)
	later := *old.Identity.Leaf
	later.SerialNumber = new(big.Int).Add(later.SerialNumber, big.NewInt(1))
	renewed.Identity.Leaf, renewed.Name, renewed.Identity.Name = &later, "Example: Ada's new name", "New name"
	other.Identifier = "com.example.certs.x9q2"
	lists := readPlists(t, xml(t, old), xml(t, renewed), xml(t, other))
	names := func(list value) map[string]string {
		all := map[string]string{list.Keys["PayloadIdentifier"].Text: list.Keys["PayloadUUID"].Text}
		for _, p := range list.Keys["PayloadContent"].List {
			all[p.Keys["PayloadIdentifier"].Text] = p.Keys["PayloadUUID"].Text
		}
		return all
	}
	was, is := names(lists[0]), names(lists[1])
	if len(was) != 5 || len(is) != 5 {
		t.Fatalf("identifiers: got %v and %v, want 5 each", was, is)
	}
	for id, uuid := range was {
		if changed := is[id] != uuid; is[id] == "" || changed != strings.HasSuffix(id, ".identity") {
			t.Errorf("%s: UUID was %s, is %s", id, uuid, is[id])
		}
	}
	for id, uuid := range names(lists[2]) {
		for _, mine := range was {
			if uuid == mine || was[id] != "" {
				t.Errorf("another device has the same %s or UUID %s", id, uuid)
			}
		}
	}
	account := payload(t, lists[1], "com.apple.eas.account")["PayloadCertificateUUID"].Text
	if identity := payload(t, lists[1], "com.apple.security.pkcs12")["PayloadUUID"].Text; account != identity {
		t.Errorf("account uses %s, identity is %s", account, identity)
	}
}

func TestProfileRepeatsItself(t *testing.T) {
	a, b := profile(t, deliver.TargetPhone), profile(t, deliver.TargetPhone)
	if !bytes.Equal(xml(t, a), xml(t, b)) {
		t.Error("two profiles of one pickup differ")
	}
}

func TestProfileKeepsSecrets(t *testing.T) {
	if list := xml(t, profile(t, deliver.TargetPhone)); bytes.Contains(list, []byte(password)) {
		t.Error("the install password stands in the profile")
	}
}

func TestProfileRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*deliver.Profile)
		want   string
	}{
		{"no target", func(p *deliver.Profile) { p.Target = 0 }, "neither phone nor Mac"},
		{"no identifier", func(p *deliver.Profile) { p.Identifier = "" }, "reverse DNS"},
		{"one label", func(p *deliver.Profile) { p.Identifier = "example" }, "reverse DNS"},
		{"markup in identifier", func(p *deliver.Profile) { p.Identifier = "com.<b>" }, "reverse DNS"},
		{"no name", func(p *deliver.Profile) { p.Name = " \u202e" }, "name is empty"},
		{"no certificate", func(p *deliver.Profile) { p.Identity.Leaf = nil }, "no certificate"},
		{"no password", func(p *deliver.Profile) { p.Identity.Password = "" }, "password is empty"},
		{"account on a Mac", func(p *deliver.Profile) { p.Target = deliver.TargetMac }, "ActiveSync"},
		{"no host", func(p *deliver.Profile) { p.Exchange.Host = "" }, "host name"},
		{"address as host", func(p *deliver.Profile) { p.Exchange.Host = "https://mail.example.com/" }, "host name"},
		{"no user", func(p *deliver.Profile) { p.Exchange.UserName = "" }, "user name is empty"},
		{"turned user", func(p *deliver.Profile) { p.Exchange.UserName = "a\u202eb@example.com" }, "cannot be shown"},
		{"null in address", func(p *deliver.Profile) { p.Exchange.EmailAddress = "a\x00@example.com" }, "cannot be shown"},
		{"five days", func(p *deliver.Profile) { p.Exchange.SyncDays = 5 }, "5 days"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := profile(t, deliver.TargetPhone)
			tt.change(&p)
			list, err := p.XML()
			if err == nil || list != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), password) {
				t.Error("the refusal tells the password")
			}
		})
	}
}
