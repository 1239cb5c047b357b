package portal_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"certportal/internal/portal"
)

func TestSecretSeparatesLabelsAndFields(t *testing.T) {
	s, other := portal.Secret{1}, portal.Secret{2}
	macs := map[[32]byte]string{}
	for what, mac := range map[string][32]byte{
		"one field": s.MAC("a", "xy"), "two fields": s.MAC("a", "x", "y"), "an empty field": s.MAC("a", "xy", ""),
		"another label": s.MAC("b", "xy"), "another secret": other.MAC("a", "xy"), "no field": s.MAC("a"),
		"the key": s.Key("a"), "another key": s.Key("b"), "the key of another secret": other.Key("a"),
	} {
		if macs[mac] != "" {
			t.Errorf("%s gives the bytes of %s", what, macs[mac])
		}
		macs[mac] = what
	}
	if got, want := s.MAC("a", "x", "y"), s.MAC("a", "x", "y"); got != want {
		t.Error("the same fields give other bytes")
	}
}

// TestA16_SecretIsNotPrinted: a secret in a log line or an error stays one.
func TestA16_SecretIsNotPrinted(t *testing.T) {
	s := portal.Secret{0xab, 0xcd, 0xef, 0xab, 0xcd, 0xef}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "in", struct{ S portal.Secret }{s})
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s", "%d", "%q"} {
		fmt.Fprintf(&log, verb+" "+verb, s, struct{ S portal.Secret }{s})
	}
	for _, never := range []string{"abcdef", "ab cd", "171", "0xab"} {
		if strings.Contains(log.String(), never) {
			t.Errorf("printed %q in %s", never, log.String())
		}
	}
}
