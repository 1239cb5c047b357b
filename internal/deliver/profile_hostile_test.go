package deliver_test

import (
	"regexp"
	"strings"
	"testing"

	"certportal/internal/deliver"
)

func TestA18_HostileTextsInProfile(t *testing.T) {
	hostile := []string{
		"</string><key>PayloadRemovalDisallowed</key><true/><string>", "<![CDATA[x]]>", "]]>", "&lt;&amp;&#0;",
		"<!ENTITY x SYSTEM \"file:///etc/passwd\">", "a\u202egnp.exe", "\x00\x01\x1b[31m\x7f", "\xff\xfe",
		"\ufffe\uffff", "a\r\nb", "\u2028x\u2029", "📱👩‍💻", "手机", "=1+1", strings.Repeat("W", 5000), "{{.Org}}", "%s",
	}
	var lists [][]byte
	for _, x := range hostile {
		p := profile(t, deliver.TargetPhone)
		p.Name, p.Description, p.Organization, p.Consent, p.IdentityName, p.Identity.Name = "x"+x, x, x, x, x, x
		p.Exchange.UserName = `CORP\<key>`
		lists = append(lists, xml(t, p))
	}
	lists = append(lists, xml(t, profile(t, deliver.TargetPhone)))
	read := readPlists(t, lists...)
	published, plain := appleSchema(t), read[len(hostile)]
	for i, x := range hostile {
		published.check(t, read[i], deliver.TargetPhone)
		if got, want := len(read[i].Keys["PayloadContent"].List), len(plain.Keys["PayloadContent"].List); got != want {
			t.Errorf("%.40q: %d payloads, want %d", x, got, want)
		}
		for name := range read[i].Keys {
			if _, there := plain.Keys[name]; !there {
				t.Errorf("%.40q: brought the key %s", x, name)
			}
		}
		if got := read[i].Keys["PayloadDisplayName"].Text; len([]rune(got)) > 2001 ||
			strings.ContainsAny(got, "\x00\x01\x1b\x7f\r\u202e\u2028\ufffd") || !strings.HasPrefix(got, "x") {
			t.Errorf("%.40q: shown as %.80q", x, got)
		}
	}
	if got := read[0].Keys["PayloadDisplayName"].Text; got != "x"+hostile[0] {
		t.Errorf("markup became %q", got)
	}
}

// FuzzProfile checks that a profile with any texts is refused or has the same structure
// as one with plain texts.
func FuzzProfile(f *testing.F) {
	f.Add("Example", "ada@example.com", "mail.example.com", "com.example.x")
	f.Add("</string><key>", "\x00", "https://x", "x")
	identity := bundle(f, "ec", "", "")
	tag := regexp.MustCompile(`</?[a-zA-Z!?][^>]*>`)
	skeleton := func(t testing.TB, text, user, host, id string) string {
		p := deliver.Profile{
			Target: deliver.TargetPhone, Identifier: id, Name: text, Description: "d" + text, Organization: "o" + text,
			Consent: "c" + text, IdentityName: "i" + text, Identity: identity,
			Exchange: &deliver.Exchange{Host: host, UserName: user, EmailAddress: "a" + user},
		}
		p.Identity.Name, p.Identity.Rand = text, repeatable(2)
		list, err := p.XML()
		if err != nil {
			return ""
		}
		return strings.Join(tag.FindAllString(string(list), -1), "")
	}
	want := skeleton(f, "x", "x", "x", "x.y")
	f.Fuzz(func(t *testing.T, text, user, host, id string) {
		if got := skeleton(t, text, user, host, id); got != "" && got != want {
			t.Errorf("skeleton: got %s, want %s", got, want)
		}
	})
}
