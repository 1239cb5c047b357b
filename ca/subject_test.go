package ca_test

import (
	"errors"
	"strings"
	"testing"

	"certportal/ca"
)

func TestPrepareRefusesSubjects(t *testing.T) {
	issuer, pub := ca.FixtureIssuer(t, "ec"), ca.FixtureKey(t, "user-ec").Public()
	longest := strings.Repeat("a", 64-len("@example.com")) + "@example.com"
	for _, test := range []struct {
		name  string
		field string // in the error, empty for none
		s     ca.Subject
	}{
		{"everything", "", ca.FixtureSubject()},
		{"UPN alone", "", ca.Subject{UPN: "alice@example.com"}},
		{"UPN with umlaut", "", ca.Subject{UPN: "jürgen@müller.example"}},
		{"UPN in Arabic", "", ca.Subject{UPN: "مستخدم@example.com"}},
		{"UPN in Chinese", "", ca.Subject{UPN: "用户@example.com"}},
		{"UPN of 64 characters", "", ca.Subject{UPN: longest}},
		{"UPN of 64 wide characters", "", ca.Subject{UPN: strings.Repeat("用", 52) + "@example.com"}},
		{"UPN of 65 characters", "", ca.Subject{UPN: "a" + longest}},
		{"UPN of 65 characters and name", "", ca.Subject{UPN: "a" + longest, Name: "Алиса Смит"}},
		{"UPN of 256 characters", "", ca.Subject{UPN: strings.Repeat("a", 244) + "@example.com", Name: strings.Repeat("b", 65)}},
		{"UPN of 257 characters", "upn", ca.Subject{UPN: strings.Repeat("a", 245) + "@example.com"}},
		{"no UPN", "upn", ca.Subject{}},
		{"UPN without suffix", "upn", ca.Subject{UPN: "alice"}},
		{"UPN with empty name", "upn", ca.Subject{UPN: "@example.com"}},
		{"UPN with empty suffix", "upn", ca.Subject{UPN: "alice@"}},
		{"UPN with two @", "upn", ca.Subject{UPN: "alice@example.com@evil.example"}},
		{"UPN with NUL", "upn", ca.Subject{UPN: "alice\x00@example.com"}},
		{"UPN with line feed", "upn", ca.Subject{UPN: "alice@example.com\n"}},
		{"UPN with space", "upn", ca.Subject{UPN: "alice @example.com"}},
		{"UPN with no-break space", "upn", ca.Subject{UPN: "alice\u00a0@example.com"}},
		{"UPN with zero width space", "upn", ca.Subject{UPN: "ali\u200bce@example.com"}},
		{"UPN with right-to-left override", "upn", ca.Subject{UPN: "\u202eecila@example.com"}},
		{"UPN not in form C", "upn", ca.Subject{UPN: "ju\u0308rgen@example.com"}},
		{"UPN not in UTF-8", "upn", ca.Subject{UPN: "j\xfcrgen@example.com"}},
		{"UPN with replacement of nothing", "upn", ca.Subject{UPN: "a\u2028b@example.com"}},
		{"mail with umlaut", "mail", ca.Subject{UPN: "a@b.example", Mail: "jürgen@example.com"}},
		{"mail with display name", "mail", ca.Subject{UPN: "a@b.example", Mail: "Alice<alice@example.com>"}},
		{"mail without domain", "mail", ca.Subject{UPN: "a@b.example", Mail: "alice"}},
		{"mail in quotes", "mail", ca.Subject{UPN: "a@b.example", Mail: `"alice"@example.com`}},
		{"two mails", "mail", ca.Subject{UPN: "a@b.example", Mail: "alice@example.com,bob@example.com"}},
		{"mail with line feed", "mail", ca.Subject{UPN: "a@b.example", Mail: "alice@example.com\nX: y"}},
		{"mail with address literal", "mail", ca.Subject{UPN: "a@b.example", Mail: "alice@[192.0.2.1]"}},
		{"mail of 255 characters", "mail", ca.Subject{UPN: "a@b.example", Mail: strings.Repeat("a", 255-len("@example.com")) + "@example.com"}},
		{"SID of a built-in group", "sid", ca.Subject{UPN: "a@b.example", SID: "S-1-5-32-544"}},
		{"SID in lower case", "sid", ca.Subject{UPN: "a@b.example", SID: "s-1-5-21-1-2-3-4"}},
		{"SID with leading zero", "sid", ca.Subject{UPN: "a@b.example", SID: "S-1-5-21-1-2-3-0500"}},
		{"SID with plus", "sid", ca.Subject{UPN: "a@b.example", SID: "S-1-5-21-1-2-3-+500"}},
		{"SID beyond 32 bits", "sid", ca.Subject{UPN: "a@b.example", SID: "S-1-5-21-1-2-3-4294967296"}},
		{"SID too short", "sid", ca.Subject{UPN: "a@b.example", SID: "S-1-5-21-1-2-3"}},
		{"SID too long", "sid", ca.Subject{UPN: "a@b.example", SID: "S-1-5-21-1-2-3-4-5"}},
		{"SID with more behind", "sid", ca.Subject{UPN: "a@b.example", SID: "S-1-5-21-1-2-3-4\n"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := issuer.Prepare(ca.FixtureProfile(t), test.s, pub, ca.FixtureNow())
			var refused *ca.SubjectError
			if test.field == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.As(err, &refused) || refused.Field != test.field {
				t.Errorf("got %v, want a refusal of %s", err, test.field)
			}
		})
	}
}

func TestCommonNameOfLongUPNs(t *testing.T) {
	long := strings.Repeat("ä", 60) + "@example.com"
	for _, test := range []struct{ name, upn, display, want string }{
		{"short UPN", "alice@example.com", "Alice", "alice@example.com"},
		{"display name", long, " Alice Smith ", "Alice Smith"},
		{"no display name", long, "", strings.Repeat("ä", 60)},
		{"display name too long", long, strings.Repeat("b", 65), strings.Repeat("ä", 60)},
		{"display name like another's UPN", long, "bob@example.com", strings.Repeat("ä", 60)},
		{"invisible characters", long, "Al\u202eice", strings.Repeat("ä", 60)},
		{"local part too long", strings.Repeat("ä", 70) + "@example.com", "", strings.Repeat("ä", 64)},
	} {
		s := ca.Subject{UPN: test.upn, Name: test.display}
		if got := s.CommonName(); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
		prepared, err := ca.FixtureIssuer(t, "ec").Prepare(ca.FixtureProfile(t), s, ca.FixtureKey(t, "user-ec").Public(), ca.FixtureNow())
		if err != nil || !strings.Contains(string(prepared.TBS()), test.upn) {
			t.Errorf("%s: %v, want a certificate with the whole UPN", test.name, err)
		}
	}
}

func TestCleanMail(t *testing.T) {
	for value, want := range map[string]string{
		"anna@mail.test": "anna@mail.test", "Anna@Mail.test": "Anna@Mail.test", "anna@bücher.example": "anna@xn--bcher-kva.example",
		" x@mail.test\t": "x@mail.test", "SMTP:a@x.test": "a@x.test", "smtp: a@x.test": "a@x.test", "Anna <a@x.test>": "a@x.test",
		"": "", "n/a": "", "a..b@mail.test": "", "bücher@mail.test": "", "a@b@c.test": "", "a@x.test,b@x.test": "", "<>": "", "smtp:": "",
		"a@": "", "@x.test": "", "a@x.test\nb@x.test": "", "a@xn--a.test-\u00df..example": "",
	} {
		if got := ca.CleanMail(value); got != want {
			t.Errorf("CleanMail(%q) = %q, want %q", value, got, want)
		}
	}
}

func TestProfileMayRequireSID(t *testing.T) {
	cfg := ca.FixtureProfileConfig()
	cfg.RequireSID = true
	profile, err := ca.NewProfile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	issuer, pub := ca.FixtureIssuer(t, "ec"), ca.FixtureKey(t, "user-ec").Public()
	var refused *ca.SubjectError
	if _, err := issuer.Prepare(profile, without("sid"), pub, ca.FixtureNow()); !errors.As(err, &refused) || refused.Field != "sid" {
		t.Errorf("got %v, want a refusal of sid", err)
	}
	if _, err := issuer.Prepare(profile, ca.FixtureSubject(), pub, ca.FixtureNow()); err != nil {
		t.Error(err)
	}
}
