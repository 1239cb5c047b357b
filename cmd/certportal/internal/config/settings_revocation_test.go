package config

import (
	"strings"
	"testing"
)

func TestRevocationSettingsRefuse(t *testing.T) {
	const ldaps = "ldap: {url: 'ldaps://dc1.corp.example', dn: 'CN=a,DC=x', bind_dn: crl@corp.example"
	tests := []struct{ name, text, want string }{
		{"short life", "list_life: 23h", "revocation.list_life"},
		{"long life", "list_life: 241h", "revocation.list_life"},
		{"seldom", "list_every: 37h", "revocation.list_every"},
		{"all the time", "list_every: 1s", "revocation.list_every"},
		{"delta more seldom than complete", "delta_every: 2h", "revocation.delta_every"},
		{"delta all the time", "delta_every: 1s", "revocation.delta_every"},
		{"short answers", "ocsp_life: 1m", "revocation.ocsp_life"},
		{"folder somewhere", "folders: [pki]", "revocation.folders[0]"},
		{"folder twice", "folders: [/srv/pki, /srv/pki]", "revocation.folders[1]"},
		{"entry of no server", "ldap: {dn: 'CN=a,DC=x'}", "revocation.ldap"},
		{"over http", strings.Replace(ldaps, "ldaps:", "http:", 1) + "}", "revocation.ldap.url"},
		{"no name", strings.Replace(ldaps, "CN=a,DC=x", "a", 1) + "}", "revocation.ldap.dn"},
		{"no root name", ldaps + ", root_dn: a}", "revocation.ldap.root_dn"},
		{"nobody writes", strings.Replace(ldaps, "crl@corp.example", "''", 1) + "}", "bind_dn"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := load(t, "revocation: {"+tt.text+"}", nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("loading: %v, want it to name %s", err, tt.want)
			}
		})
	}
	for name, text := range map[string]string{
		"delta lists": "list_every: 12h, delta_every: 30m", "entries": ldaps + ", root_dn: 'CN=b,DC=x'}", "folders": "folders: [/srv/a, /srv/b]",
	} {
		if _, err := load(t, "revocation: {"+text+"}", nil); err != nil {
			t.Errorf("settings %s: %v", name, err)
		}
	}
}
