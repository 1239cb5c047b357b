package web

import (
	"net/http"
	"strconv"
	"strings"

	"certportal/internal/deliver"
	"certportal/internal/portal"
	"certportal/web/page"
)

// windows11 is the first version that Sec-CH-UA-Platform-Version gives for
// Windows 11; the header counts differently from the system's name.
const windows11 = 13

// clientOf detects the client's device. The version comes from the client hint where
// there is one: User-Agent strings are frozen.
func clientOf(r *http.Request) page.Client {
	c := page.Detect(r.UserAgent(), r.Header.Get("Sec-CH-UA-Platform")).Model(r.Header.Get("Sec-CH-UA-Model"))
	hint, _, _ := strings.Cut(strings.Trim(r.Header.Get("Sec-CH-UA-Platform-Version"), `" `), ".")
	major, err := strconv.ParseUint(hint, 10, 16)
	if err != nil {
		return c
	}
	switch {
	case c.Platform == page.Android && major > 0:
		c.Major = int(major)
	case c.Platform == page.Windows && major >= windows11:
		c.Major = 11
	case c.Platform == page.Windows:
		c.Major = 10
	}
	return c
}

// formatFor chooses the encryption of the file for a platform. The client's version
// counts only when the client is of that platform.
func formatFor(p portal.Platform, c page.Client) deliver.Format {
	if c.Platform != string(p) {
		return deliver.FormatFor(string(p), 0)
	}
	return deliver.FormatFor(string(p), c.Major)
}
