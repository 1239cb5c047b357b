package deliver_test

import (
	"regexp"
	"testing"

	"certportal/internal/deliver"
)

func TestReverseHost(t *testing.T) {
	tests := []struct{ name, host, want string }{
		{"host", "certs.example.com", "com.example.certs"},
		{"capitals", "Certs.Example.COM.", "com.example.certs"},
		{"address", "192.0.2.7", "certportal.192-0-2-7"},
		{"address of six", "[2001:db8::1]", "certportal.2001-db8--1"},
		{"one label", "localhost", "certportal.localhost"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := deliver.ReverseHost(tt.host); got != tt.want || !deliver.ValidIdentifier(got) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestUUIDs checks the form of RFC 9562: version 5, variant 10.
func TestUUIDs(t *testing.T) {
	form := regexp.MustCompile(`^[0-9A-F]{8}-[0-9A-F]{4}-5[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$`)
	list := readPlists(t, xml(t, profile(t, deliver.TargetPhone)))[0]
	for _, v := range append(list.Keys["PayloadContent"].List, list) {
		if uuid := v.Keys["PayloadUUID"].Text; !form.MatchString(uuid) {
			t.Errorf("got %s", uuid)
		}
	}
}
