package app

import (
	"testing"

	"certportal/cmd/certportal/internal/config"
)

// The ports that a portal got are in no settings: its last start is asked for them.
func TestAddressesOfTheLastStart(t *testing.T) {
	s := config.Defaults()
	s.Data, s.Listen, s.ListenHTTP = t.TempDir(), "127.0.0.1:0", "127.0.0.1:8080"
	p, err := open(t, s.Data)
	if err != nil {
		t.Fatal(err)
	}
	got, err := addressesNow(&s)
	if err != nil || got.HTTPS.String() != p.Public.HTTPS.String() || got.HTTP.String() != p.Public.HTTP.String() {
		t.Errorf("got %v, %v, want those of the portal, %v", got, err, p.Public)
	}
	s.PublicURL = "https://certificates.corp.example"
	if got, err = addressesNow(&s); err != nil || got.HTTPS.String() != s.PublicURL || got.HTTP.String() != p.Public.HTTP.String() {
		t.Errorf("with public_url: got %v, %v", got, err)
	}
	if v := startedVersion(&s); v != p.program.Version {
		t.Errorf("version: got %q, want %q", v, p.program.Version)
	}
}
