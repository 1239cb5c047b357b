package localca

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"time"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/audit"
	"certportal/store"
)

// errCompanyRoot means that only the company can make the next issuing CA.
var errCompanyRoot = errors.New("the root is the company's: ask its CA for the next issuing CA with certportal ca csr")

// Next makes the next issuing CA under the own root: key, request and certificate, each
// recorded before it is written. It issues nothing until it is activated. After a crash in
// between, its request is pending, and may be left.
func Next(ctx context.Context, s *config.Settings, db *store.DB, base *url.URL, term *config.Terminal, now time.Time) (string, *x509.Certificate, error) {
	a, err := Open(s, nil, term)
	if err != nil {
		return "", nil, err
	}
	defer a.Close()
	if !a.Folder.OwnRoot() {
		return "", nil, errCompanyRoot
	}
	if len(a.Passphrase) == 0 {
		return "", nil, fmt.Errorf("the CA is sealed: %w", a.Sealed)
	}
	rootKey, err := a.Folder.RootKey(a.ring)
	if err == nil {
		err = Found(rootKey)
	}
	if err != nil {
		return "", nil, err
	}
	// The name and the addresses of the root are those of the first: this command may run with
	// other settings than the portal, and the root's list is where it always was.
	first := a.Folder.Issuing()
	subject := s.CA.Subject
	if subject == "" {
		subject = nextName(a.Folder, first)
	}
	made, err := requestAuthority(ctx, s, db, subject, "", now, func(*ca.Folder) ([]byte, bool, error) { return a.Passphrase, false, nil })
	if err != nil {
		return "", nil, err
	}
	cert, err := ca.CertifyNext(ca.NextConfig{
		Root: a.Folder.Root(), RootKey: rootKey, Request: made.Request.Request,
		CRLURL: firstOf(first.CRLDistributionPoints, CRLURL(base, RootName)), IssuerURL: firstOf(first.IssuingCertificateURL, CertificateURL(base, RootName)),
	}, now)
	if err != nil {
		return "", nil, err
	}
	err = db.Note(ctx, audit.Entry{
		At: now, Action: audit.CAImported, Actor: "operator", Role: "operator", Object: made.Name,
		Detail: map[string]string{
			"issuing": ca.Fingerprint(cert), "root": ca.Fingerprint(a.Folder.Root()), "subject": cert.Subject.String(),
			"issuer": cert.Issuer.String(), "serial": fmt.Sprintf("%x", cert.SerialNumber), "key": keyHash(made.Request.Request),
		},
	})
	if err != nil {
		return "", nil, fmt.Errorf("recording the new issuing CA: %w", err)
	}
	name, err := ca.AddAuthority(s.Path("ca"), ca.Proposal{Request: made.Request, Certificate: cert, Chain: []*x509.Certificate{a.Folder.Root()}})
	return name, cert, err
}

// nextName numbers the name of the first issuing CA.
func nextName(folder *ca.Folder, first *x509.Certificate) string {
	for n := 2; ; n++ {
		text := "CN=" + ca.EscapeName(fmt.Sprintf("%s %d", first.Subject.CommonName, n))
		for _, organization := range first.Subject.Organization {
			text += ",O=" + ca.EscapeName(organization)
		}
		if name, err := ca.ParseCAName(text); err != nil || !nameTaken(folder, name) {
			return text
		}
	}
}

// firstOf is the first address of a list, or another one where there is none.
func firstOf(list []string, otherwise string) string {
	if len(list) > 0 {
		return list[0]
	}
	return otherwise
}
