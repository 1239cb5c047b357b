package app

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"certportal/internal/test/testkit/fixture"
)

// TestSCEPIsServedWhenAskedFor asks on both sides, with and without the setting.
func TestSCEPIsServedWhenAskedFor(t *testing.T) {
	for _, on := range []bool{true, false} {
		environ := fixture.FastCA()
		want := http.StatusNotFound
		if on {
			environ["CERTPORTAL_SCEP_ENABLED"] = "true"
			want = http.StatusOK
		}
		p, err := openWith(t, t.TempDir(), environ)
		if err != nil {
			t.Fatal(err)
		}
		serveUntilEnd(t, p)
		resp, err := p.client().Get(p.Public.HTTPS.JoinPath("scep").String() + "?operation=GetCACaps")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != want || on && !strings.Contains(string(body), "AES") {
			t.Errorf("on %v: %d %.80q, %v, want %d", on, resp.StatusCode, body, err, want)
		}
		if !on {
			continue
		}
		if got := status(t, p.client(), p.Public.HTTP.JoinPath("scep").String()+"?operation=GetCACert"); got != http.StatusOK {
			t.Errorf("plain http: %d, want 200", got)
		}
	}
}
