package main

import (
	"crypto/x509"
	"fmt"
	"slices"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/internal/enroll"
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
	lists := folder.Signers()
	signers, err := upstreamSigners(i)
	if err != nil {
		return nil, err
	}
	for name, signer := range lists {
		if name != ca.RootName { // it signs CAs, which are no certificates of the store
			signers[name] = []*x509.Certificate{signer}
		}
	}
	const shown = 20
	return db.Damaged(i.ctx, func(issuer string, cert *x509.Certificate) bool {
		return slices.ContainsFunc(signers[issuer], func(signer *x509.Certificate) bool { return cert.CheckSignatureFrom(signer) == nil })
	}, func(l crl.List) error {
		signer := lists[l.Issuer]
		if signer == nil {
			return fmt.Errorf("the portal has no CA %q", l.Issuer)
		}
		return l.Verify(signer)
	}, shown)
}

// upstreamSigners are the CAs that the portal does not run, by the names in the rows of
// their certificates.
func upstreamSigners(i *invocation) (map[string][]*x509.Certificate, error) {
	s, err := i.settings()
	if err != nil {
		return nil, err
	}
	all := make(map[string][]*x509.Certificate)
	for _, u := range s.Upstreams {
		anchors, intermediates, err := u.ReadChain()
		if err != nil {
			return nil, err
		}
		all[enroll.UpstreamPrefix+u.Name] = slices.Concat(anchors, intermediates)
	}
	return all, nil
}
