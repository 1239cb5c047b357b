package doctor

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/portal"
)

// TestCheckNames has the names an installer leaves at their default or chooses badly.
func TestCheckNames(t *testing.T) {
	good := func(s *config.Settings) {
		s.Organization, s.PublicURL, s.PublicHTTPURL = "Contoso", "https://certificates.corp.example", "http://pki.corp.example"
	}
	tests := []struct {
		name    string
		change  func(*config.Settings)
		created bool
		want    []string // state, key and words of each finding
	}{
		{"in order", func(*config.Settings) {}, false, []string{"ok names"}},
		{"organization", func(s *config.Settings) { s.Organization = "Company" }, false, []string{"failed organization: write the name of your company"}},
		{"organization of a CA", func(s *config.Settings) { s.Organization = "Company" }, true, []string{"warning organization: "}},
		{"no list address", func(s *config.Settings) { s.PublicHTTPURL = "" }, false, []string{"failed public_http_url: a name that outlives this machine"}},
		{"no list address of a CA", func(s *config.Settings) { s.PublicHTTPURL = "" }, true, []string{"warning public_http_url: "}},
		{"loopback", func(s *config.Settings) { s.PublicHTTPURL = "http://127.0.0.1:8080" }, true, []string{"failed public_http_url: refuse every phone"}},
		{"localhost", func(s *config.Settings) { s.PublicURL = "https://LOCALHOST:8443" }, false, []string{"failed public_url: phones cannot open"}},
		{"IPv6 loopback", func(s *config.Settings) { s.PublicHTTPURL = "http://[::1]" }, false, []string{"failed public_http_url: this machine alone"}},
		{"an address", func(s *config.Settings) { s.PublicHTTPURL = "http://192.0.2.7" }, false, []string{"warning public_http_url: write a name"}},
		{"one label", func(s *config.Settings) { s.PublicHTTPURL = "http://pki" }, false, []string{"warning public_http_url: such as pki.corp.example"}},
		{"one host for both", func(s *config.Settings) { s.PublicHTTPURL = "http://Certificates.corp.example:8080" }, false,
			[]string{"warning public_http_url: it has the host of public_url"}},
		{"no address of the portal", func(s *config.Settings) { s.PublicURL = "" }, false, []string{"warning public_url: the address that people type"}},
		{"helpdesk with a name", func(s *config.Settings) { s.Helpdesk.Mail = "Help <help@corp.example>" }, true, []string{"failed helpdesk.mail: write one bare address"}},
		{"Exchange", func(s *config.Settings) { s.Exchange.Host = "mail.corp.example:444" }, true, []string{"ok names"}},
		{"Exchange with two dots", func(s *config.Settings) { s.Exchange.Host = "mail..corp.example" }, true, []string{"failed exchange.host: no host name"}},
		{"Exchange without domain", func(s *config.Settings) { s.Exchange.Host = "mail" }, true, []string{"warning exchange.host: such as mail.corp.example"}},
		{"Exchange on this machine", func(s *config.Settings) { s.Exchange.Host = "[::1]:443" }, true, []string{"failed exchange.host: phones find no mailbox"}},
		{"all defaults", func(s *config.Settings) { *s = config.Defaults() }, false,
			[]string{"failed organization: ", "failed public_http_url: ", "warning public_url: "}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := config.Defaults()
			good(&s)
			tt.change(&s)
			public, err := s.PublicAddresses(&net.TCPAddr{Port: 8443}, &net.TCPAddr{Port: 8080}, nil)
			if err != nil {
				t.Fatal(err)
			}
			list := CheckNames(&s, public, tt.created)
			for i, want := range tt.want {
				head, words, _ := strings.Cut(want, ": ")
				if i >= len(list) || fmt.Sprint(list[i].State, " ", list[i].What) != head || !strings.Contains(list[i].Text, words) {
					t.Errorf("got %v, want %q at %d", list, want, i)
				}
			}
			if len(list) != len(tt.want) {
				t.Errorf("got %v, want %d findings", list, len(tt.want))
			}
		})
	}
}

// Without a certificate of its own the portal says what browsers will do.
func TestCheckTLSOfTheEmbeddedCA(t *testing.T) {
	s := config.Defaults()
	list := CheckTLS(&s, config.Addresses{}, time.Now())
	if len(list) != 1 || list[0].State != portal.FindingWarning || !strings.Contains(list[0].Text, "browsers warn") {
		t.Errorf("got %v", list)
	}
}
