package app

import (
	"context"
	"crypto"
	"runtime/debug"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/auditmonitor"
)

// openAudit makes the monitor of the audit log. Its signing key is stored encrypted
// under the passphrase of the CA, so that replicas share it.
func (p *App) openAudit(context.Context, *config.Terminal) error {
	targets, err := p.Settings.AuditTargets()
	if err != nil {
		return err
	}
	keys, err := p.ledgerKeys()
	if err != nil {
		return err
	}
	c := auditmonitor.Config{
		Store: p.DB, Certified: auditmonitor.CertifiedBy(p.CA.Issued, p.DB),
		Node: p.Settings.NodeName(), CheckpointEvery: p.Settings.Audit.SealEvery, Targets: targets, Now: p.Now, Log: p.log,
	}
	if p.CA.Sealed == nil {
		c.Key = keys.Key
	} else {
		p.log.Warn("the CA is sealed: the end of the audit log is not signed")
	}
	p.audit, err = auditmonitor.New(c)
	return err
}

func (p *App) ledgerKeys() (*auditmonitor.Keys, error) {
	c := auditmonitor.KeyConfig{
		Store: p.DB, Issuer: p.openOwnIssuer(), Now: p.Now,
		// Argon2id takes 64 MiB; the memory is given back at once.
		Encrypt: func(key crypto.Signer) ([]byte, error) {
			defer debug.FreeOSMemory()
			return ca.EncryptKey(key, p.CA.Passphrase)
		},
		Decrypt: func(file []byte) (crypto.Signer, error) {
			defer debug.FreeOSMemory()
			return ca.DecryptKey(file, p.CA.Passphrase)
		},
	}
	return auditmonitor.NewKeys(c)
}
