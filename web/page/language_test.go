package page_test

import (
	"strings"
	"testing"

	"certportal/web/page"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, accept, query, cookie, want string }{
		{"nothing", "", "", "", "en"},
		{"german", "de-DE,de;q=0.9,en;q=0.8", "", "", "de"},
		{"swiss german", "de-CH", "", "", "de"},
		{"simplified", "zh-CN,zh;q=0.9", "", "", "zh-Hans"},
		{"chinese alone", "zh", "", "", "zh-Hans"},
		{"singapore", "zh-SG", "", "", "zh-Hans"},
		{"taiwan", "zh-TW,zh;q=0.9,en;q=0.8", "", "", "en"},
		{"hong kong", "zh-HK", "", "", "en"},
		{"traditional by script", "zh-Hant", "", "", "en"},
		{"second choice", "fr-FR,fr;q=0.9,de;q=0.5", "", "", "de"},
		{"order by weight", "en;q=0.1,de;q=0.9", "", "", "de"},
		{"none of ours", "fr", "", "", "en"},
		{"cookie before header", "de", "", "zh-Hans", "zh-Hans"},
		{"query before cookie", "de", "en", "zh-Hans", "en"},
		{"unknown query", "de", "xx", "", "de"},
		{"hostile query", "de", "../../etc/passwd", `"><script>`, "de"},
		{"nonsense header", "\x00\xff;;;q=", "", "", "en"},
		{"endless header", strings.Repeat("de,", 10000), "", "", "en"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := page.Match(tt.accept, tt.query, tt.cookie); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("de-DE,de;q=0.9", "", "en")
	f.Fuzz(func(t *testing.T, accept, query, cookie string) {
		switch got := page.Match(accept, query, cookie); got {
		case "en", "de", "zh-Hans":
		default:
			t.Errorf("got %q", got)
		}
	})
}
