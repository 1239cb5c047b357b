package catalogue_test

import (
	"testing"

	"certportal/internal/catalogue"
	"certportal/internal/test/testkit"
)

func TestText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text, en, de, zh string
	}{
		{"one for all", "mail", "mail", "mail", "mail"},
		{"one for all and German", "mail\nde: E-Mail", "mail", "E-Mail", "mail"},
		{"every language", "en: mail\nde: E-Mail\nzh-Hans: 邮件", "mail", "E-Mail", "邮件"},
		{"German alone", "de: E-Mail", "E-Mail", "E-Mail", "E-Mail"},
		{"spaces", " mail \n de :  E-Mail ", "mail", "E-Mail", "mail"},
		{"a colon that names no language", "Hours: 8 to 18\nfr: courrier", "Hours: 8 to 18 fr: courrier", "Hours: 8 to 18 fr: courrier", "Hours: 8 to 18 fr: courrier"},
		{"empty", "", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := catalogue.Text(tt.text)
			testkit.Equal(t, "English", text.In(catalogue.English), tt.en)
			testkit.Equal(t, "German", text.In(catalogue.German), tt.de)
			testkit.Equal(t, "Chinese", text.In(catalogue.Chinese), tt.zh)
		})
	}
	got := catalogue.NewText(map[string]string{"": "mail\n and more", "zh-Hans": "邮件", "de": " "})
	testkit.Equal(t, "joined", got, "mail and more\nzh-Hans: 邮件")
}
