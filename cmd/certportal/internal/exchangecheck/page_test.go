package exchangecheck

import (
	"regexp"
	"testing"
)

func TestReadPage(t *testing.T) {
	tests := []struct {
		name, page string
		status     int
		sub        int
		code       string
	}{
		{"title and heading", "<title>IIS 10.0 Detailed Error - 403.16 - Forbidden</title><h3>HTTP Error 403.16 - Forbidden</h3><th>Error Code</th><td>&nbsp;0x800B0109</td>", 403, 16, "0x800b0109"},
		{"no sub-status", "<h2>403 - Forbidden: Access is denied.</h2>", 403, 0, ""},
		{"of another status", "<h2>HTTP Error 403.16 - Forbidden</h2>", 401, 0, ""},
		{"two that differ", "<title>403.13</title><h2>HTTP Error 403.16 - Forbidden</h2>", 403, 0, ""},
		{"in the text alone", "<p>HTTP Error 403.16 - Forbidden</p>", 403, 0, ""},
		{"an address", "<h1>10.403.16.1</h1>", 403, 0, ""},
		{"a long number", "<h1>HTTP Error 403.16777216</h1>", 403, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if sub, code := readPage(tt.status, []byte(tt.page)); sub != tt.sub || code != tt.code {
				t.Errorf("got %d %q, want %d %q", sub, code, tt.sub, tt.code)
			}
		})
	}
}

// FuzzReadPage reads pages of any server: what is found is a number and a code.
func FuzzReadPage(f *testing.F) {
	f.Add([]byte("<title>IIS 10.0 Detailed Error - 403.16 - Forbidden</title>Error Code 0x80070032"))
	f.Add([]byte("<h1><h2>HTTP Error 403.7"))
	code := regexp.MustCompile(`^(0x[0-9a-f]{8})?$`)
	f.Fuzz(func(t *testing.T, page []byte) {
		if sub, found := readPage(403, page); sub < 0 || sub > 999 || !code.MatchString(found) {
			t.Errorf("got %d %q", sub, found)
		}
	})
}
