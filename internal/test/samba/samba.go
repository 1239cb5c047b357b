// Package samba starts a Samba Active Directory domain controller for tests: a real
// directory with UPNs, SIDs, nested groups, sub-codes and account lockout.
//
// [Start] runs a controller for one test. [Lease] is faster, because it reuses the
// controllers of earlier tests in the same test binary. Each runs on a loopback address of
// its own, with a copy of a domain that is created once per user of the machine and
// cached. The methods of [DC] add people and groups and change them.
//
// The package uses the installed samba and samba-tool (Debian: samba samba-ad-provision
// samba-dsdb-modules samba-vfs-modules winbind ldb-tools), and needs root for fixed ports
// below 1024. Tests are skipped when either is missing, and fail when the environment has
// CI=true. Like a domain controller that requires signing, the server refuses LDAP without
// TLS.
package samba

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/test/daemon"
)

// Properties of the domain. LockAfter is its lockoutThreshold.
const (
	Domain  = "corp.example.test"
	NetBIOS = "CORP"
	Base    = "DC=corp,DC=example,DC=test"
	Host    = "dc1.corp.example.test"

	Admin         = "Administrator@" + Domain
	AdminPassword = "Adm1n-Passw0rd!"

	// Reader is a plain member of Domain Users, for the portal's service account.
	Reader         = "reader@" + Domain
	ReaderPassword = "Read3r-Passw0rd!"

	LockAfter = 5
)

// DC is a domain controller that a test has for itself.
type DC struct {
	Address string         // loopback address; the certificate also has Host and 127.0.0.1
	Roots   *x509.CertPool // the CA that signed its certificate
	CAFile  string         // the same in PEM; the only one with a certificate of its own
	SID     string         // of the domain, "S-1-5-21-…"

	t       testing.TB
	folder  string
	process *daemon.Process

	ownCertificate bool
	kerberos       string // krb5.conf of the KDC; "" for that of the machine

	temporary bool                // the folder is removed with the controller
	tainted   bool                // changed in a way that reset cannot undo
	replaced  map[string][]string // original attributes of the domain entry

	mu    sync.Mutex // parallel parts of a test add people to one controller
	added []string   // GUIDs of the entries that the test added
	conn  *ldap.Conn // bound as Administrator; replaced after a restart
}

// Start runs a domain controller until the end of the test.
func Start(t testing.TB) *DC {
	t.Helper()
	need(t)
	dc := start(t, t.TempDir())
	t.Cleanup(dc.Stop)
	return dc
}

// StartWithOwnCertificate runs a domain controller with the certificate that Samba makes
// when none is configured: it has a negative or other odd serial number and no subject
// alternative name. Only the methods of DC accept it.
func StartWithOwnCertificate(t testing.TB) *DC {
	t.Helper()
	return startAs(t, &DC{t: t, folder: t.TempDir(), ownCertificate: true})
}

// StartWithKerberos runs a domain controller whose KDC reads a krb5.conf of the test. What
// the file names may be changed before a [DC.Restart].
func StartWithKerberos(t testing.TB, config string) *DC {
	t.Helper()
	return startAs(t, &DC{t: t, folder: t.TempDir(), kerberos: config})
}

func startAs(t testing.TB, dc *DC) *DC {
	t.Helper()
	need(t)
	cache, err := daemon.Cached(cacheName, provision)
	if err != nil {
		t.Fatal(err)
	}
	if err := dc.prepare(cache); err != nil {
		t.Fatal(err)
	}
	dc.Restart()
	t.Cleanup(dc.Stop)
	return dc
}

// start runs a copy of the domain in a folder.
func start(t testing.TB, folder string) *DC {
	t.Helper()
	cache, err := daemon.Cached(cacheName, provision)
	if err != nil {
		t.Fatal(err)
	}
	dc := &DC{t: t, folder: folder}
	if err := dc.prepare(cache); err != nil {
		t.Fatal(err)
	}
	dc.Restart()
	dc.SID = textSID(dc.read(t, Base, "objectSid").GetRawAttributeValue("objectSid"))
	return dc
}

func need(t testing.TB) {
	t.Helper()
	daemon.Need(t, missing())
}

func missing() string {
	for _, name := range []string{"samba", "samba-tool", "ldbsearch", "ldbadd", "ldbmodify"} {
		if daemon.Program(name) == "" {
			return "Samba AD DC is not installed: " + name + " is missing"
		}
	}
	if os.Getuid() != 0 {
		return "Samba AD DC needs root: its ports are below 1024"
	}
	return ""
}

// prepare copies the domain and gives the copy an address and a certificate.
func (dc *DC) prepare(cache string) error {
	var err error
	if dc.Address, err = daemon.Address(88, 389, 464, 636, 3268, 3269); err != nil {
		return err
	}
	if err := os.CopyFS(dc.folder, os.DirFS(cache)); err != nil {
		return fmt.Errorf("copying the domain: %w", err)
	}
	authority, err := daemon.NewAuthority()
	if err != nil {
		return err
	}
	files, err := authority.Server(dc.folder, Host, dc.Address, "127.0.0.1")
	if err != nil {
		return err
	}
	if dc.ownCertificate {
		dc.CAFile = filepath.Join(dc.folder, "private", "tls", "ca.pem")
		return os.WriteFile(dc.config(), []byte(running(dc.folder, dc.Address, daemon.Files{})), 0o600)
	}
	dc.Roots, dc.CAFile = authority.Roots(), files.CA
	return os.WriteFile(dc.config(), []byte(running(dc.folder, dc.Address, files)), 0o600)
}

func (dc *DC) config() string { return filepath.Join(dc.folder, "smb.conf") }

// URL returns the ldaps URL.
func (dc *DC) URL() string { return "ldaps://" + dc.Address }

// StartTLSURL returns the ldap URL, where the controller accepts passwords only after
// StartTLS.
func (dc *DC) StartTLSURL() string { return "ldap://" + dc.Address }

// GlobalCatalogURL returns the ldaps URL of the global catalog.
func (dc *DC) GlobalCatalogURL() string { return "ldaps://" + dc.Address + ":3269" }

// Dial connects over TLS without a bind.
func (dc *DC) Dial() (*ldap.Conn, error) {
	return ldap.DialURL(dc.URL(), ldap.DialWithTLSConfig(&tls.Config{
		RootCAs: dc.Roots, MinVersion: tls.VersionTLS12, InsecureSkipVerify: dc.ownCertificate,
	}))
}

// TryPassword binds with a login name in any form and returns the error of the controller.
func (dc *DC) TryPassword(login, password string) error {
	conn, err := dc.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Bind(login, password)
}

// Log returns what the controller has printed since its last start.
func (dc *DC) Log() string {
	if dc.process == nil {
		return ""
	}
	return dc.process.Log()
}
