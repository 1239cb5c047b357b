// Package doctor looks after a running portal: it checks the installation, raises
// alerts for administrators, says whether this server is ready for requests, and
// issues test certificates.
//
// Its dependencies come in Config, never the whole program. Texts are English
// sentences for operators.
package doctor

import (
	"context"
	"crypto"
	"crypto/x509"
	"log/slog"
	"time"

	"certportal/ca/crl"
	"certportal/ca/fetch"
	"certportal/ca/ocsp"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/directory"
	"certportal/internal/enroll"
	"certportal/internal/notify"
	"certportal/internal/portal"
	"certportal/store"
)

// Config holds the dependencies of a Doctor. Fields are required unless they say otherwise.
type Config struct {
	Settings *config.Settings
	Public   config.Addresses
	DB       *store.DB
	CA       *localca.CA
	Lists    *crl.Publisher
	Own      *enroll.OwnIssuer // issues test certificates

	// Outside is set for the command "doctor", which looks at an installation beside its
	// portal. Nil in the portal.
	Outside *Outside

	// Company watches the lists of the company's CAs above the issuing ones. Optional.
	Company *fetch.Watch

	// Journal is the recovery journal. Nil while the CRLs are not open.
	Journal *crl.Journal

	// OCSP gives the state of the OCSP responder, or nil when it does not run.
	OCSP func() *ocsp.Health

	// TLS gives the certificate that the https listener serves, or nil.
	TLS func() *x509.Certificate

	// ProfileSigner gives the chain and key that sign Apple profiles. Optional.
	ProfileSigner func() ([]*x509.Certificate, crypto.Signer)

	// Directory is the LDAP client. Nil with the built-in directory.
	Directory *directory.LDAP

	// Provider asks the identity provider whether it answers. Nil without one.
	Provider func(context.Context) error

	// Mail is the notifier, and CheckMail connects to its server. Nil without mail.
	Mail      *notify.Notifier
	CheckMail func(context.Context) []portal.Finding

	// Revoked is called after a test certificate was revoked. It must not block.
	Revoked func()

	Now func() time.Time
	Log *slog.Logger
}

// Outside is what the command knows of an installation besides its parts. DB, CA and Lists
// are nil when they could not be opened, and the errors here say why. Only the checks can
// be used then.
type Outside struct {
	Wrong   *config.Mistakes // in the settings; nil without
	DBErr   error
	CAErr   error
	Running bool // a portal runs on the data folder
}

// Doctor checks one running portal. It is safe for concurrent use.
type Doctor struct{ c Config }

// New returns a Doctor.
func New(c Config) *Doctor { return &Doctor{c: c} }

// Running reports whether a portal runs on the data folder.
func (d *Doctor) Running() bool { return d.c.Outside == nil || d.c.Outside.Running }
