package deliver_test

import (
	"strings"
	"testing"

	"certportal/internal/deliver"
)

// enrolling makes a Profile with an Enrollment.
func enrolling(t testing.TB, target deliver.Target) deliver.Profile {
	t.Helper()
	p := profile(t, target)
	p.Identity = deliver.Bundle{}
	p.Enrollment = &deliver.Enrollment{
		ID: "c1", URL: "http://certs.example.com/scep", Challenge: "one-time", CommonName: "ada@example.com", CAFingerprint: []byte{1, 2},
	}
	return p
}

func TestEnrollmentFitsAppleSchema(t *testing.T) {
	bare := enrolling(t, deliver.TargetPhone)
	bare.Enrollment = &deliver.Enrollment{ID: "c2", URL: "https://x/scep", Challenge: "x", KeyBits: 4096}
	lists := readPlists(t, xml(t, enrolling(t, deliver.TargetPhone)), xml(t, enrolling(t, deliver.TargetMac)), xml(t, bare))
	published := appleSchema(t)
	for i, target := range []deliver.Target{deliver.TargetPhone, deliver.TargetMac, deliver.TargetPhone} {
		published.check(t, lists[i], target)
	}
	scep, account := payload(t, lists[0], "com.apple.security.scep"), payload(t, lists[0], "com.apple.eas.account")
	if scep["PayloadUUID"].Text != account["PayloadCertificateUUID"].Text {
		t.Error("the account signs in with something else")
	}
	content := scep["PayloadContent"].Keys
	for key, want := range map[string]string{
		"URL": "http://certs.example.com/scep", "Challenge": "one-time", "Keysize": "2048", "Key Type": "RSA", "Key Usage": "5",
		"KeyIsExtractable": "false", "CAFingerprint": "0102",
	} {
		if got := content[key].Text; got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
	pair := content["Subject"].List[0].List[0].List
	if len(pair) != 2 || pair[0].Text+"="+pair[1].Text != "CN=ada@example.com" {
		t.Errorf("subject: got %v", pair)
	}
	other := payload(t, lists[2], "com.apple.security.scep")
	if other["PayloadIdentifier"].Text != scep["PayloadIdentifier"].Text || other["PayloadUUID"].Text == scep["PayloadUUID"].Text {
		t.Error("the next enrolment does not take the place of the one before")
	}
	if payload(t, lists[0], "com.apple.security.pkcs12") != nil {
		t.Error("a key travels too")
	}
}

func TestEnrollmentRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*deliver.Profile)
		want   string
	}{
		{"no address", func(p *deliver.Profile) { p.Enrollment.URL = "" }, "no http address"},
		{"other scheme", func(p *deliver.Profile) { p.Enrollment.URL = "file:///x" }, "no http address"},
		{"no id", func(p *deliver.Profile) { p.Enrollment.ID = "" }, "no id"},
		{"no challenge", func(p *deliver.Profile) { p.Enrollment.Challenge = "" }, "challenge is empty"},
		{"hidden characters", func(p *deliver.Profile) { p.Enrollment.Challenge = "one\x00" }, "challenge is empty"},
		{"short key", func(p *deliver.Profile) { p.Enrollment.KeyBits = 1024 }, "2048"},
		{"both", func(p *deliver.Profile) { p.Identity = bundle(t, "ec", "", "x") }, "both"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := enrolling(t, deliver.TargetPhone)
			tt.change(&p)
			if _, err := p.XML(); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "one-time") {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
