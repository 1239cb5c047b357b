package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestDeviceSettingsRefuse(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"address for a host", "exchange: {host: 'https://mail.corp.example'}", "exchange.host"},
		{"form of a name", "exchange: {host: mail.corp.example, user_name: sam}", "exchange.user_name"},
		{"no domain", "exchange: {host: mail.corp.example, user_name: domain}", "exchange.domain"},
		{"days Apple does not know", "exchange: {host: mail.corp.example, sync_days: 10}", "exchange.sync_days"},
		{"S/MIME without a server", "exchange: {smime_sign: true}", "exchange.host"},
		{"identifier with a blank", "apple: {identifier: 'my company'}", "apple.identifier"},
		{"half a signer", "apple: {signer_certificate: a.pem}", "signer_certificate and signer_key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := load(t, tt.text, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("loading: %v, want it to name %s", err, tt.want)
			}
		})
	}
}

// TestSCEPIsServedWhenAskedFor asks on both sides, with and without the setting.
func TestSCEPIsServedWhenAskedFor(t *testing.T) {
	for _, on := range []bool{true, false} {
		environ := fastCA()
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
		resp, err := p.client().Get(p.public.https.JoinPath("scep").String() + "?operation=GetCACaps")
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
		if got := status(t, p.client(), p.public.http.JoinPath("scep").String()+"?operation=GetCACert"); got != http.StatusOK {
			t.Errorf("plain http: %d, want 200", got)
		}
	}
}
