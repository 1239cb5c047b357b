package config

import (
	"strings"
	"testing"
)

func TestAuditSettingsRefuse(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"no time between seals", "audit: {seal_every: 0s}", "audit.seal_every"},
		{"a week between seals", "audit: {seal_every: 200h}", "audit.seal_every"},
		{"syslog without TLS", "audit: {syslog: 'udp://logs.corp.example:514'}", "tls://HOST:PORT"},
		{"syslog without a port", "audit: {syslog: 'tls://logs.corp.example'}", "tls://HOST:PORT"},
		{"syslog with a path", "audit: {syslog: 'tls://logs.corp.example:6514/x'}", "tls://HOST:PORT"},
		{"CAs of nobody", "audit: {syslog_ca_file: ca.pem}", "audit.syslog"},
		{"a long name", "node: " + strings.Repeat("n", 256), "255 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := load(t, tt.text, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want one that names %s", err, tt.want)
			}
		})
	}
	s, err := load(t, "node: portal-7\naudit: {syslog: 'tls://[2001:db8::1]:6514', file: /var/log/ledger.jsonl}", nil)
	if err != nil {
		t.Fatal(err)
	}
	targets, err := s.AuditTargets()
	if err != nil || len(targets) != 2 || targets[0].Name() != "syslog [2001:db8::1]:6514" || !strings.Contains(targets[1].Name(), "portal-7") {
		t.Errorf("got %v, %v", targets, err)
	}
}
