package app

import (
	"crypto"
	"crypto/x509"
	"errors"
	"log/slog"
	"time"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/hsm"
	"certportal/internal/enroll"
	"certportal/store"
)

// NewUpstreamTester makes a registrar that tests CAs elsewhere beside a portal that runs. It
// needs no key of the portal's own CA, and issues nothing under it.
func NewUpstreamTester(s *config.Settings, tokens *hsm.Tokens, db *store.DB, people Directory, log *slog.Logger) (*enroll.Registrar, error) {
	active, all, err := OpenUpstreams(s, tokens, time.Now)
	if err != nil {
		return nil, err
	}
	profile, err := userProfile(s, people.RequiresSID())
	if err != nil {
		return nil, err
	}
	return enroll.New(enroll.Config{
		Directory: people, Issuer: noIssuer{}, Profile: profile, Keys: enroll.NewKeyPool(s.Certificates.Key, 0, log), Store: db,
		EnrollProtected: s.Directory.InsecureEnrollProtected, EnrollGroup: s.Directory.Groups.EnrollName,
		Upstream: active, Upstreams: all, Chain: func(*x509.Certificate) []*x509.Certificate { return nil }, Log: log,
	})
}

// noIssuer is in the place of the portal's own CA where nothing is issued under it.
type noIssuer struct{}

var errNoIssuer = errors.New("nothing is issued under the portal's own CA here")

// Prepare implements enroll.Issuer.
func (noIssuer) Prepare(*ca.Profile, ca.Subject, crypto.PublicKey, time.Time) (*ca.Prepared, error) {
	return nil, errNoIssuer
}

// Sign implements enroll.Issuer.
func (noIssuer) Sign(*ca.Prepared) (*x509.Certificate, error) { return nil, errNoIssuer }
