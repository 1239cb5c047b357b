package config

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-ldap/ldap/v3"

	"certportal/ca/crl"
)

// RevocationSettings say how those who check certificates learn what was revoked:
// by lists (CRL) and by answers (OCSP).
type RevocationSettings struct {
	// How long a list is valid. For so long at most a server that has fetched one
	// takes what was revoked since; and for so long phones are let in when no new
	// list can be made.
	ListLife time.Duration `yaml:"list_life"`

	// How often a list is made anew when nothing is revoked.
	ListEvery time.Duration `yaml:"list_every"`

	// How often a delta list is made when nothing is revoked: a short list of what
	// the complete ones lack. Then a revocation makes a delta list at once, and the
	// complete list waits for list_every. For large lists; 0s: none.
	DeltaEvery time.Duration `yaml:"delta_every"`

	// Folders that lists are copied to, of a web server or on a file share:
	// root.crl, issuing.crl and issuing-delta.crl.
	Folders []string `yaml:"folders"`

	// File that remembers every certificate and revocation outside the database, so
	// that a database restored from a backup forgets none. Best on another disk.
	// Default: revocation.journal in the data folder.
	Journal string `yaml:"journal"`

	// How long an OCSP answer is valid.
	OCSPLife time.Duration `yaml:"ocsp_life"`

	LDAP RevocationLDAPSettings `yaml:"ldap"`
}

// RevocationLDAPSettings name entries of a directory that lists are copied to, such
// as those below CN=CDP,CN=Public Key Services of Active Directory.
type RevocationLDAPSettings struct {
	// Server, as ldaps://dc1.corp.example or ldap://dc1.corp.example, which is raised
	// to TLS with StartTLS. Empty: none.
	URL string `yaml:"url"`

	// Entry for the lists of the issuing CA, of class cRLDistributionPoint. It must be
	// there.
	DN string `yaml:"dn"`

	// Entry for the list of the root, likewise. Default: none.
	RootDN string `yaml:"root_dn"`

	// Account that may write those entries: a distinguished name, or as
	// crl@corp.example with Active Directory.
	BindDN string `yaml:"bind_dn"`

	// File with its password. Default: the systemd credential crl-ldap-password.
	PasswordFile string `yaml:"password_file"`

	// File with the CA certificates (PEM or DER) that sign the server's certificate.
	// Default: the CAs this machine trusts.
	CAFile string `yaml:"ca_file"`
}

// defaultOCSPLife is how long an OCSP answer is valid when no setting says otherwise.
const defaultOCSPLife = 8 * time.Hour

func defaultRevocation() RevocationSettings {
	return RevocationSettings{
		ListLife: crl.DefaultLife, ListEvery: crl.DefaultRenew, OCSPLife: defaultOCSPLife,
	}
}

// Bounds of the settings. A list that lives for less than a day leaves no day to mend
// what keeps the next one from being made.
const (
	leastListLife  = 24 * time.Hour
	mostListLife   = 240 * time.Hour
	leastListEvery = time.Minute
)

func (s *Settings) checkRevocation() error {
	r := s.Revocation
	var errs []error
	if r.ListLife < leastListLife || r.ListLife > mostListLife {
		errs = append(errs, mistake("revocation.list_life", r.ListLife, "choose 24h to 240h"))
	}
	if r.ListEvery < leastListEvery || r.ListEvery > r.ListLife/2 {
		errs = append(errs, mistake("revocation.list_every", r.ListEvery, "choose 1m to half of revocation.list_life"))
	}
	if r.DeltaEvery != 0 && (r.DeltaEvery < leastListEvery || r.DeltaEvery > r.ListEvery) {
		errs = append(errs, mistake("revocation.delta_every", r.DeltaEvery, "choose 1m to revocation.list_every, or 0s for none"))
	}
	if r.OCSPLife < time.Hour || r.OCSPLife > mostListLife {
		errs = append(errs, mistake("revocation.ocsp_life", r.OCSPLife, "choose 1h to 240h"))
	}
	for i, folder := range r.Folders {
		if !filepath.IsAbs(folder) || slices.Contains(r.Folders[:i], folder) {
			errs = append(errs, mistake(fmt.Sprintf("revocation.folders[%d]", i), folder, "write the whole path of a folder, each once"))
		}
	}
	return errors.Join(append(errs, r.LDAP.check())...)
}

func (l *RevocationLDAPSettings) check() error {
	if l.URL == "" {
		if l.DN+l.RootDN+l.BindDN+l.PasswordFile+l.CAFile != "" {
			return errors.New("revocation.ldap: give url, or none of the others")
		}
		return nil
	}
	var errs []error
	u, err := url.Parse(l.URL)
	if err != nil || u.Scheme != "ldap" && u.Scheme != "ldaps" || u.Hostname() == "" || u.Path != "" || u.User != nil || u.RawQuery != "" {
		errs = append(errs, mistake("revocation.ldap.url", l.URL, "write ldaps://HOST or ldap://HOST, with :PORT if you like"))
	}
	for key, dn := range map[string]string{"dn": l.DN, "root_dn": l.RootDN} {
		if parsed, err := ldap.ParseDN(dn); dn != "" && (err != nil || len(parsed.RDNs) == 0) {
			errs = append(errs, mistake("revocation.ldap."+key, dn, "write a distinguished name, such as CN=Corp Issuing CA,CN=CDP,…"))
		}
	}
	if l.DN == "" || l.BindDN == "" {
		errs = append(errs, errors.New("revocation.ldap: give dn and bind_dn: nobody may write without a name"))
	}
	return errors.Join(errs...)
}

// JournalFile is where the journal is.
func (s *Settings) JournalFile() string {
	if s.Revocation.Journal != "" {
		return s.Revocation.Journal
	}
	return s.Path("revocation.journal")
}
