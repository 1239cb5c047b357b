package doctor

import (
	"testing"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/test/testkit"
)

// What no list knows is masked by its form.
func TestA16_MaskByForm(t *testing.T) {
	s := config.Defaults()
	s.Data = t.TempDir()
	s.Helpdesk.Mail, s.Directory.User = "desk@corp.example", "svc"
	m := New(Config{Settings: &s}).masker(t.Context())
	for text, want := range map[string]string{
		"such as CN=Schmidt\\, Anna,OU=People,DC=corp,DC=example.": "such as CN=[name],OU=People,DC=corp,DC=example.",
		"the UPN anna.schmidt@corp.example is taken":               "the UPN [person]@corp.example is taken",
		"postgres://portal:geheim@db.corp.example/portal":          "postgres://[secret]@db.corp.example/portal",
		"SID S-1-5-21-1-2-3-1104":                                  "SID [SID]",
		"person 0f0e0d0c-0b0a-0908-0706-050403020100":              "person [id]",
		"write to desk@corp.example":                               "write to [person]",
		"account svc, not svcs":                                    "account [person], not svcs",
		`"host": "mail.corp.example"`:                              `"host": "mail.corp.example"`,
	} {
		testkit.Equal(t, text, m.text(text), want)
	}
}
