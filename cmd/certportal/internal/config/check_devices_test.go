package config

import (
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
