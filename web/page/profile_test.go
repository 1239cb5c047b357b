package page_test

import (
	"strings"
	"testing"

	"certportal/web/page"
)

func TestProfileTexts(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	tests := []struct {
		name    string
		lang    string
		mailbox bool
		anchors int
		want    page.ProfileTexts
	}{
		{"english", page.English, false, 0, page.ProfileTexts{
			Name: "Example Co for **Li**", Identity: "Certificate for **Li**",
			Description: "Certificate of Example Co for **Li**, for using work mail.",
			Consent: "Example Co puts a certificate on this device. It proves that the device is yours.\n" +
				"You can remove this profile in the settings of the device at any time."}},
		{"german with all", page.German, true, 1, page.ProfileTexts{
			Name: "Example Co für **Li**", Identity: "Zertifikat für **Li**",
			Description: "Zertifikat und Postfach von Example Co für **Li**.",
			Consent: "Example Co legt ein Zertifikat und Ihr Firmenpostfach auf diesem Gerät ab. Mit dem Postfach kann Example Co einen Code verlangen und ein verlorenes Gerät löschen.\n" +
				"Das Gerät kennt danach auch 1 Zertifikat von Servern.\n" +
				"Sie können dieses Profil in den Einstellungen des Geräts jederzeit entfernen."}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// Markup in a name stays text.
			got, err := r.ProfileTexts(tt.lang, "**Li**", tt.mailbox, tt.anchors)
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v\nwant %+v", got, err, tt.want)
			}
		})
	}
	for _, lang := range append(page.Languages(), "xx") {
		got, err := r.ProfileTexts(lang, "Li", true, 2)
		if err != nil || strings.Count(got.Consent, "\n") != 2 || strings.ContainsAny(got.Name+got.Description+got.Consent, "*{}") {
			t.Errorf("%s: got %+v, %v", lang, got, err)
		}
	}
}

// TestProfileSteps holds what each kind of page says, and what it must not.
func TestProfileSteps(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	tests := []struct {
		sample    string
		want, not string
	}{
		{"install-profile", "Profile Downloaded", "Identity Certificate"},
		{"install-profile", "Not Verified in red. That is expected for Example Co.", "sets itself up"},
		{"install-profile", "choose this certificate by hand", "One more certificate to trust"},
		{"install-profile", "Turn the certificate on", "older file type"},
		{"install-profile-mail", "Your Example Co mailbox sets itself up", "by hand. "},
		{"install-profile-mail", "It asks for the password of my mailbox", "Turn the certificate on"},
		{"install-profile-mail", "More than 8 minutes have passed", "Check that it says"},
		{"install-profile-mac", "This file is for a Mac.", "8 minutes"},
		{"install-profile-mac", "Device Management", "Keychain Access"},
		{"install-ios", "Identity Certificate", "Download the profile"},
		{"install-own", "Your phone makes its key itself.", "asks for a password"},
		{"install-own", "Works once, for 15 more minutes, until", "Turn the certificate on"},
		{"install-own", "Wait until it says Profile Installed.", "the password is wrong"},
		{"install-own", "I want the certificate alone", "Your install password"},
		{"install-own-phone", "Turn the certificate on", "I want the certificate alone"},
		{"install-own-phone", "I have installed it", "It says that the installation failed"},
		{"install-mailapps", "mail.example.com", "sets itself up"},
		{"install-mailapps", "Outlook on phones cannot use a certificate.", "Profile Downloaded"},
		{"install-android", "Install it on Android", "Samsung Email"},
	}
	met := 0
	for _, s := range filled(page.English) {
		for _, tt := range tests {
			if s.name != tt.sample {
				continue
			}
			met++
			root := parse(t, render(t, r, s.page))
			words := text(elements(root, "main")[0])
			if !strings.Contains(words, tt.want) {
				t.Errorf("%s does not say %q", s.name, tt.want)
			}
			if strings.Contains(words, tt.not) {
				t.Errorf("%s says %q", s.name, tt.not)
			}
			plain := byID(root, "download-plain")
			if byID(root, "download") == nil || (plain != nil) != strings.HasPrefix(s.name, "install-profile") {
				t.Errorf("%s: the ways to the file are wrong", s.name)
			}
		}
	}
	if met != len(tests) {
		t.Errorf("%d of %d samples are there", met, len(tests))
	}
}
