package config

import (
	"strings"
	"testing"
)

func TestMailSettingsRefuse(t *testing.T) {
	const server = "mail: {host: mail.corp.example, from: portal@corp.example"
	tests := []struct{ name, text, want string }{
		{"sender without server", "mail: {from: portal@corp.example}", "mail.host"},
		{"operators without server", "mail: {operators: [root@corp.example]}", "mail.host"},
		{"no sender", "mail: {host: mail.corp.example}", "mail.from"},
		{"two senders", "mail: {host: mail.corp.example, from: 'a@corp.example, b@corp.example'}", "mail"},
		{"host with port", "mail: {host: 'mail.corp.example:25', from: portal@corp.example}", "mail.port"},
		{"unknown security", server + ", security: maybe}", "mail.security"},
		{"in the clear by mistake", server + ", security: none}", "mail.insecure_no_tls"},
		{"password in the clear", server + ", security: none, insecure_no_tls: true, user: portal}", "mail.user"},
		{"operator with a name", server + ", operators: ['Root <root@corp.example>']}", "mail.operators[0]"},
		{"two operators in one", server + ", operators: ['a@corp.example,b@corp.example']}", "mail.operators[0]"},
		{"language", server + ", language: tlh}", "mail.language"},
		{"port", server + ", port: 70000}", "mail.port"},
		{"endless timeout", server + ", timeout: 1h}", "mail.timeout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := load(t, tt.text, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("loading: %v, want it to name %s", err, tt.want)
			}
		})
	}
	for name, text := range map[string]string{
		"the smallest": server + "}", "without TLS on purpose": server + ", security: none, insecure_no_tls: true}",
		"all": "mail: {host: 192.0.2.25, port: 2525, security: tls, user: u, from: 'Corp <p@corp.example>', operators: [a@corp.example, b@corp.example], language: de, timeout: 1m}",
	} {
		if _, err := load(t, text, nil); err != nil {
			t.Errorf("settings %s: %v", name, err)
		}
	}
}
