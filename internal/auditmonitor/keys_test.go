package auditmonitor_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/auditmonitor"
	"certportal/internal/enroll"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// authority is a CA with an EC key.
func authority(t *testing.T) (*ca.Hierarchy, *ca.Issuer) {
	t.Helper()
	h, err := ca.CreateHierarchy(ca.HierarchyConfig{
		Organization: "Example", RootKind: ca.ECP256, IssuingKind: ca.ECP256,
		CRLURL: "http://pki.example.com/crl/root.crl", IssuerURL: "http://pki.example.com/ca/root.cer",
	}, testkit.Noon.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return h, fixture.Issuer(t, h)
}

// keysOf makes keys that are encrypted with a passphrase.
func keysOf(t *testing.T, h *harness, issuer *ca.Issuer, passphrase string, now func() time.Time) *auditmonitor.Keys {
	t.Helper()
	var own *enroll.OwnIssuer
	if issuer != nil {
		own = testkit.Must(enroll.NewOwnIssuer(enroll.OwnConfig{
			Store: h.DB, Issuer: func() (*ca.Issuer, error) { return issuer, nil }, Now: now,
		}))(t)
	}
	return testkit.Must(auditmonitor.NewKeys(auditmonitor.KeyConfig{
		Store: h.DB, Issuer: own, Now: now,
		Encrypt: func(key crypto.Signer) ([]byte, error) { return ca.EncryptKey(key, []byte(passphrase)) },
		Decrypt: func(file []byte) (crypto.Signer, error) { return ca.DecryptKey(file, []byte(passphrase)) },
	}))(t)
}

func sealed(t *testing.T, key crypto.Signer, serial string, at time.Time) audit.Checkpoint {
	t.Helper()
	return testkit.Must(audit.Checkpoint{Head: audit.Head{Seq: 1}, At: at, Node: "n", Key: serial}.Sign(key))(t)
}

// One key signs for all replicas until two thirds of its life are over. Its checkpoints
// remain valid, and those of other keys are rejected.
func TestKeysAreSharedAndRenewed(t *testing.T) {
	onBoth(t, func(t *testing.T, h *harness) {
		ctx := t.Context()
		hierarchy, issuer := authority(t)
		now := testkit.Noon
		clock := func() time.Time { return now }
		first, second := keysOf(t, h, issuer, "passphrase", clock), keysOf(t, h, issuer, "passphrase", clock)
		key, serial, err := first.Key(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, shared, err := second.Key(ctx)
		if err != nil || shared != serial {
			t.Errorf("the second replica seals with %s, %v, want %s", shared, err, serial)
		}
		if _, _, err := keysOf(t, h, nil, "another", clock).Key(ctx); err == nil {
			t.Error("the key opens with another passphrase")
		}
		certified := auditmonitor.CertifiedBy(issuedBy(hierarchy.Issuing), h.DB)
		good := sealed(t, key, serial, now)
		if err := certified(ctx, good); err != nil {
			t.Errorf("good seal: %v", err)
		}
		now = testkit.Noon.Add(300 * 24 * time.Hour)
		_, renewed, err := second.Key(ctx)
		if err != nil || renewed == serial {
			t.Errorf("after 300 days: %s, %v", renewed, err)
		}
		if err := certified(ctx, good); err != nil {
			t.Errorf("seal of the former key: %v", err)
		}
		stranger, _ := authority(t)
		for name, c := range map[string]struct {
			seal audit.Checkpoint
			by   auditmonitor.Certified
		}{
			"another's key":   {sealed(t, newKey(t), serial, now), certified},
			"nobody's serial": {sealed(t, key, "00ff", now), certified},
			"before its time": {sealed(t, key, serial, testkit.Noon.Add(-time.Hour)), certified},
			"after its time":  {sealed(t, key, serial, testkit.Noon.Add(400*24*time.Hour)), certified},
			"another CA's":    {good, auditmonitor.CertifiedBy(issuedBy(stranger.Issuing), h.DB)},
		} {
			var broken *audit.Break
			if err := c.by(ctx, c.seal); !errors.As(err, &broken) || broken.Fault != audit.CheckpointForged {
				t.Errorf("%s: got %v", name, err)
			}
		}
	})
}

// Every signature of the CA is recorded first, that of the audit key too.
func TestKeysAreRecorded(t *testing.T) {
	h := onSQLite(t)
	_, issuer := authority(t)
	_, serial, err := keysOf(t, h, issuer, "passphrase", func() time.Time { return testkit.Noon }).Key(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	entries := testkit.Must(h.Entries(t.Context(), 0, 10))(t)
	testkit.Equal(t, "entries", len(entries), 2)
	testkit.Equal(t, "first", entries[0].Action, audit.CertificateReserved)
	testkit.Equal(t, "object", entries[1].Object, serial)
	if breaks := testkit.Must(h.Mismatches(t.Context(), 10))(t); len(breaks) > 0 {
		t.Errorf("records and ledger differ: %v", breaks)
	}
}

func TestKeysOfASealedCA(t *testing.T) {
	h := onSQLite(t)
	if _, _, err := keysOf(t, h, nil, "passphrase", nil).Key(context.Background()); err == nil {
		t.Error("a sealed CA makes keys")
	}
	if _, err := auditmonitor.NewKeys(auditmonitor.KeyConfig{}); err == nil {
		t.Error("keys without records")
	}
	if _, err := auditmonitor.New(auditmonitor.Config{}); err == nil {
		t.Error("a monitor without store")
	}
}

// issuedBy reports whether a CA signed a certificate.
func issuedBy(issuing *x509.Certificate) func(*x509.Certificate) bool {
	return func(cert *x509.Certificate) bool { return cert.CheckSignatureFrom(issuing) == nil }
}
