package app

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/exchangecheck"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/enroll"
	"certportal/store"
)

// PhoneAnchors are the CA certificates that phones get from the portal: the roots of its
// issuing CAs, and those of the settings. Without a CA there are those of the settings.
func PhoneAnchors(s *config.Settings) ([]exchangecheck.Anchor, error) {
	var list []exchangecheck.Anchor
	folder, err := ca.OpenFolder(s.Path("ca"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		for _, a := range folder.Authorities() {
			list = append(list, exchangecheck.Anchor{Name: "the portal's root", Certificate: a.Root()})
		}
	}
	for i, a := range s.Anchors {
		certs, err := a.Read()
		if err != nil {
			return nil, fmt.Errorf("anchors[%d] %s: %w", i, a.Name, err)
		}
		list = append(list, named(a.Name, certs)...)
	}
	return list, nil
}

func named(name string, certs []*x509.Certificate) []exchangecheck.Anchor {
	var list []exchangecheck.Anchor
	for _, cert := range certs {
		list = append(list, exchangecheck.Anchor{Name: name, Certificate: cert})
	}
	return list
}

// NewTestIssuer makes the issuer of test certificates under the CA that issues now, by the
// rules for people of the settings.
func NewTestIssuer(s *config.Settings, db *store.DB, a *localca.CA, people Directory, log *slog.Logger) (*enroll.TestIssuer, error) {
	return enroll.NewTestIssuer(enroll.TestConfig{
		Directory: people, Issuer: a.Issuer(), Store: db, Subject: s.Certificates.Subject, Log: log,
		Rules: enroll.Rules{
			RequireSID: people.RequiresSID(), EnrollProtected: s.Directory.InsecureEnrollProtected,
			EnrollGroup: s.Directory.Groups.EnrollName,
		},
	})
}
