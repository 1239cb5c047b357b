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

// maxShown is how many faults of a kind are printed.
const maxShown = 20

// damaged verifies the database beyond the audit log: its pages, the signatures of all
// certificates and CRLs, what their rows say, and certificates against the rules by which they
// are issued. Without the CA's folder no signature can be verified.
func (c auditVerify) damaged(i *invocation, db *store.DB, folder *ca.Folder) (store.Damage, error) {
	if !c.Certificates {
		return store.Damage{}, nil
	}
	if err := db.CheckPages(i.ctx); err != nil {
		return store.Damage{Damaged: []string{err.Error()}}, nil
	}
	if folder == nil {
		return store.Damage{}, nil
	}
	lists := folder.Signers()
	signers, err := upstreamSigners(i)
	if err != nil {
		return store.Damage{}, err
	}
	for name, signer := range lists {
		if name != ca.RootName { // it signs CAs, which are no certificates of the store
			signers[name] = []*x509.Certificate{signer}
		}
	}
	linter, err := ca.NewStoredLinter()
	if err != nil {
		return store.Damage{}, err
	}
	return db.Damaged(i.ctx, store.Checks{
		Signed: func(issuer string, cert *x509.Certificate) bool {
			return slices.ContainsFunc(signers[issuer], func(signer *x509.Certificate) bool { return cert.CheckSignatureFrom(signer) == nil })
		},
		Lint: func(issuer string, cert *x509.Certificate) error {
			if own := lists[issuer]; own != nil {
				return linter.Check(cert, own)
			}
			return linter.CheckForeign(cert)
		},
		List: func(l crl.List) error {
			signer := lists[l.Issuer]
			if signer == nil {
				return fmt.Errorf("the portal has no CA %q", l.Issuer)
			}
			return l.Verify(signer)
		},
	}, maxShown)
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
