package ca_test

import (
	"testing"

	"certportal/ca"
)

func TestKeyKinds(t *testing.T) {
	for _, name := range []string{"rsa-2048", "rsa-3072", "rsa-4096", "ec-p256", "ec-p384"} {
		t.Run(name, func(t *testing.T) {
			kind, err := ca.ParseKeyKind(name)
			if err != nil {
				t.Fatal(err)
			}
			if name == "rsa-3072" || name == "rsa-4096" {
				if testing.Short() {
					t.Skip("making long RSA keys is slow")
				}
			}
			key, err := kind.Generate()
			if err != nil {
				t.Fatal(err)
			}
			got, err := ca.KindOf(key.Public())
			if err != nil || got != kind {
				t.Errorf("got %s and %v, want %s", got, err, kind)
			}
		})
	}
}

func TestKeyKindsRefused(t *testing.T) {
	for _, name := range []string{"", "rsa-1024", "RSA-2048", "ec-p224", "ed25519", "dsa"} {
		if kind, err := ca.ParseKeyKind(name); err == nil {
			t.Errorf("%q: got %s", name, kind)
		}
		if _, err := ca.KeyKind(name).Generate(); err == nil {
			t.Errorf("%q: got a key", name)
		}
	}
}
