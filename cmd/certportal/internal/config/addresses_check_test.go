package config

import (
	"net"
	"testing"

	"certportal/internal/test/testkit"
)

// TestAddressOfTheCheckPage: it is the portal's host with the other port, or what the
// settings say; behind a proxy only they can know, and it is never the portal itself.
func TestAddressOfTheCheckPage(t *testing.T) {
	at := func(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }
	for _, tt := range []struct {
		name    string
		set     Settings
		port    int
		want    string
		mistake string
	}{
		{"beside the portal", Settings{PublicURL: "https://certs.corp.example"}, 8444, "https://certs.corp.example:8444", ""},
		{"usual port", Settings{PublicURL: "https://certs.corp.example:8443"}, 443, "https://certs.corp.example", ""},
		{"IPv6", Settings{PublicURL: "https://[::1]:8443"}, 443, "https://[::1]", ""},
		{"of the settings", Settings{PublicURL: "https://a", PublicCheckURL: "https://check.corp.example/"}, 8444, "https://check.corp.example", ""},
		{"behind a proxy", Settings{PublicURL: "https://a", TrustedProxies: []string{"10.0.0.0/8"}}, 8444, "", ""},
		{"behind a proxy, set", Settings{PublicURL: "https://a", PublicCheckURL: "https://b", TrustedProxies: []string{"10.0.0.0/8"}}, 8444, "https://b", ""},
		{"the portal itself", Settings{PublicURL: "https://certs.corp.example"}, 443, "", "listen_check"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.set.PublicAddresses(at(8443), at(8080), at(tt.port))
			if tt.mistake != "" {
				testkit.Contains(t, "mistake", errorText(err), tt.mistake)
				return
			}
			address := ""
			if got.Check != nil {
				address = got.Check.String()
			}
			if err != nil || address != tt.want {
				t.Errorf("got %q, %v, want %q", address, err, tt.want)
			}
		})
	}
}
