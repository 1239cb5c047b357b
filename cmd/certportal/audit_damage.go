package main

import (
	"crypto/x509"
	"fmt"
	"slices"

	"certportal/ca"
	"certportal/store"
)

// damaged verifies the database beyond the audit log: its pages, the signatures of all
// certificates and CRLs, and what their rows say. Without the CA's folder no signature can be
// verified.
func (c auditVerify) damaged(i *invocation, db *store.DB, folder *ca.Folder) ([]string, error) {
	if !c.Certificates {
		return nil, nil
	}
	if err := db.CheckPages(i.ctx); err != nil {
		return []string{err.Error()}, nil
	}
	if folder == nil {
		return nil, nil
	}
	elsewhere, err := upstreamSigners(i)
	if err != nil {
		return nil, err
	}
	const shown = 20
	return db.Damaged(i.ctx, func(cert *x509.Certificate) bool {
		return folder.Issued(cert) || slices.ContainsFunc(elsewhere, func(signer *x509.Certificate) bool { return cert.CheckSignatureFrom(signer) == nil })
	}, func(issuer string, der []byte) error {
		signer := folder.Signers()[issuer]
		if signer == nil {
			return fmt.Errorf("the portal has no CA %q", issuer)
		}
		_, err := ca.ReadCRL(der, signer)
		return err
	}, shown)
}

// upstreamSigners are the CAs that the portal does not run.
func upstreamSigners(i *invocation) ([]*x509.Certificate, error) {
	s, err := i.settings()
	if err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for _, u := range s.Upstreams {
		anchors, intermediates, err := u.ReadChain()
		if err != nil {
			return nil, err
		}
		all = append(all, slices.Concat(anchors, intermediates)...)
	}
	return all, nil
}
