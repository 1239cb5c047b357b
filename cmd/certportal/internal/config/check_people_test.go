package config

import (
	"strings"
	"testing"
)

// ad are the smallest settings of Active Directory, open for more.
const ad = "directory: {kind: active-directory, domain: corp.example, servers: [ldaps://dc1.corp.example], user: reader@corp.example"

// plain are those of plain LDAP, open for groups.
const plain = "directory: {kind: ldap, domain: corp.example, servers: [ldaps://ldap1], user: cn=a, base: 'dc=x', attributes: {upn: mail}, groups: {"

func TestPeopleSettingsRefuse(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"unknown kind", "directory: {kind: novell}", "directory.kind"},
		{"servers without kind", "directory: {servers: [ldaps://dc1]}", "directory.kind"},
		{"group without kind", "directory: {groups: {enroll: [S-1-5-21-1-2-3-4]}}", "directory.groups.enroll"},
		{"attribute without kind", "directory: {attributes: {upn: mail}}", "directory.attributes.upn"},
		{"endless timeout without kind", "directory: {timeout: 1h}", "directory.timeout"},
		{"client without issuer", "openid: {client_id: a}", "openid.client_id"},
		{"no domain of people", "directory: {kind: ldap, user: cn=a, base: 'dc=x', servers: [ldaps://ldap1]}", "directory.domain"},
		{"no servers", "directory: {kind: active-directory, domain: corp.example, user: a}", "directory.servers"},
		{"web address", "directory: {kind: active-directory, domain: corp.example, user: a, servers: [https://dc1]}", "directory.servers[0]"},
		{"server with a password", "directory: {kind: active-directory, domain: corp.example, user: a, servers: ['ldaps://a:b@dc1']}", "directory.servers[0]"},
		{"no account", "directory: {kind: active-directory, domain: corp.example, servers: [ldaps://dc1]}", "directory.user"},
		{"no domain", "directory: {kind: active-directory, user: a, servers: [ldaps://dc1]}", "directory.domain"},
		{"no base", "directory: {kind: ldap, user: cn=a, servers: [ldaps://ldap1]}", "directory.base"},
		{"group of a domain", ad + ", groups: {admin: ['CORP\\Portal Admins']}}", "directory.groups.admin"},
		{"half a group", ad + ", groups: {admin: ['CN=Portal Admins']}}", "directory.groups.admin"},
		{"group with a star", ad + ", groups: {enroll: ['Phones*']}}", "directory.groups.enroll"},
		{"role by name", plain + "admin: [PortalAdmins]}}", "directory.groups.admin: group \"PortalAdmins\": write its distinguished name"},
		{"protection by name", plain + "enroll: [Phones], protected: [Phones]}}", "directory.groups.protected: group \"Phones\": write its"},
		{"endless timeout", ad + ", timeout: 1h}", "directory.timeout"},
		{"watch without rest", ad + ", watch: {every: 1ms}}", "directory.watch.every"},
		{"grace below zero", ad + ", watch: {grace: -1h}}", "directory.watch.grace"},
		{"protected", ad + ", watch: {protected: keep}}", "directory.watch.protected"},
		{"share of all", ad + ", watch: {share_percent: 101}}", "directory.watch.share_percent"},
		{"no tries", "sign_in: {tries: 0}", "sign_in.tries"},
		{"any number of tries", "sign_in: {tries: 1000}", "sign_in.tries"},
		{"short window", "sign_in: {window: 1s}", "sign_in.window"},
		{"only, and no provider", "openid: {only: true}", "openid.only"},
		{"provider without TLS", "openid: {issuer: 'http://idp', client_id: a}", "openid.issuer"},
		{"no client id", "openid: {issuer: 'https://idp'}", "openid.client_id"},
		{"e-mail as a name", "openid: {issuer: 'https://idp', client_id: a, upn_claim: email}", "openid.upn_claim"},
		{"address as a name", "openid: {issuer: 'https://idp', client_id: a, upn_claim: mail}", "mail address"},
		{"provider with a password", "openid: {issuer: 'https://a:b@idp', client_id: a}", "issuer"},
		{"session id as SID", "openid: {issuer: 'https://idp', client_id: a, sid_claim: sid}", "openid.sid_claim"},
		{"no claim", "openid: {issuer: 'https://idp', client_id: a, upn_claim: ''}", "openid.upn_claim"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := load(t, tt.text, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("loading: %v, want it to name %s", err, tt.want)
			}
		})
	}
	for name, text := range map[string]string{
		"the smallest": ad + "}", "of groups by name": ad + ", groups: {admin: [Domain Admins], enroll: [Phones Süd]}}",
		"of LDAP":         plain + "enroll: [Phones], admin: ['cn=admins,dc=x']}}",
		"of no directory": "directory: {domain: corp.example, groups: {admin: []}, watch: {every: 1m}}",
	} {
		if _, err := load(t, text, nil); err != nil {
			t.Errorf("settings %s: %v", name, err)
		}
	}
}

func TestGroupsInTheEnvironmentHoldCommas(t *testing.T) {
	const a, b = "CN=Phones,DC=corp,DC=example", "S-1-5-21-1-2-3-1104"
	s, err := load(t, ad+"}", map[string]string{"CERTPORTAL_DIRECTORY_GROUPS_ENROLL": a + ";" + b})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Directory.Groups.Enroll; len(got) != 2 || got[0] != a || got[1] != b {
		t.Errorf("groups %q, want the two", got)
	}
}
