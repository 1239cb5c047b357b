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

	// CheckTargets tries the places that lists are copied to.
	CheckTargets func(context.Context) []portal.Finding

	// EnrollPeople lists people who may ask for certificates, with those who have the same
	// UPN. Nil with the built-in directory.
	EnrollPeople func(ctx context.Context, limit int) (directory.Candidates, error)

	// Space gives the space of a folder's file system. Optional.
	Space func(folder string) (Space, error)

	// Upstreams gives the CAs that the portal does not run. Optional.
	Upstreams func() ([]Upstream, error)

	// Revoked is called after a test certificate was revoked. It must not block.
	Revoked func()

	// Clock compares this machine's clock with the database's. Nil in the command, which
	// compares them in its check.
	Clock Clock

	Now func() time.Time
	Log *slog.Logger
}

// Outside is what the command knows of an installation besides its parts, which it opens
// while the checks begin: see [Doctor.Supply]. Only the checks can be used then.
type Outside struct {
	Wrong   *config.Mistakes // in the settings; nil without
	Running bool             // a portal runs on the data folder
	Served  bool             // one ran there at some time
	Unseen  bool             // this account may not see whether one runs

	Version        string // of this command
	RunningVersion string // of the portal that started last; empty when that is not known
}

// Parts are database and CA. A part is nil when it does not open, and its error says why.
type Parts struct {
	DB    *store.DB
	CA    *localca.CA
	Lists *crl.Publisher // nil without one of both

	DBErr, CAErr error
}

// Doctor checks one running portal. It is safe for concurrent use.
type Doctor struct {
	c            Config
	dbErr, caErr error
	opened       chan struct{} // closed when the parts are there, or their errors
}

// New returns a Doctor. With Outside its checks wait for Supply.
func New(c Config) *Doctor {
	d := &Doctor{c: c, opened: make(chan struct{})}
	if c.Outside == nil {
		close(d.opened)
	}
	return d
}

// Supply gives the parts of an installation that is looked at from outside. Call it once.
func (d *Doctor) Supply(p Parts) {
	d.c.DB, d.c.CA, d.c.Lists, d.dbErr, d.caErr = p.DB, p.CA, p.Lists, p.DBErr, p.CAErr
	close(d.opened)
}

// Running reports whether a portal runs on the data folder.
func (d *Doctor) Running() bool { return d.c.Outside == nil || d.c.Outside.Running }
