// Package slapd starts an OpenLDAP server for tests, as an example of a directory other
// than Active Directory.
//
// [Start] runs the installed slapd (Debian: slapd) with an empty database, on free ports of
// 127.0.0.1, under TLS with its own CA, until the end of the test. [Server.AddPerson] and
// [Server.AddGroup] add entries. The server refuses passwords without TLS (security
// simple_bind=128, RFC 4513 section 6.3.1) and anonymous requests. Tests are skipped when
// slapd is missing, and fail when the environment has CI=true.
package slapd

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/test/daemon"
)

// Entries of every server. Reader may read everything except passwords.
const (
	Base           = "dc=example,dc=test"
	People         = "ou=People," + Base
	Groups         = "ou=Groups," + Base
	Admin          = "cn=admin," + Base
	AdminPassword  = "Adm1n-Passw0rd!"
	Reader         = "cn=reader," + Base
	ReaderPassword = "Read3r-Passw0rd!"
)

// Server is a running slapd.
type Server struct {
	Roots  *x509.CertPool // the CA that signed its certificate
	CAFile string         // the same in PEM

	t           testing.TB
	folder      string
	clear, safe int // ports of ldap and ldaps
	process     *daemon.Process

	mu   sync.Mutex
	conn *ldap.Conn // as Admin, made anew after a restart
}

// Start runs a server until the end of the test.
func Start(t testing.TB) *Server {
	t.Helper()
	if daemon.Program("slapd") == "" || daemon.Program("slapadd") == "" {
		daemon.Need(t, "OpenLDAP (slapd, slapadd) is not installed")
	}
	s := &Server{t: t, folder: t.TempDir()}
	if err := s.furnish(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	s.Restart()
	return s
}

func (s *Server) furnish() error {
	var err error
	if s.clear, err = daemon.Port(); err != nil {
		return err
	}
	if s.safe, err = daemon.Port(); err != nil {
		return err
	}
	authority, err := daemon.NewAuthority()
	if err != nil {
		return err
	}
	// By address: libldap rewrites "localhost".
	files, err := authority.Server(s.folder, "ldap.example.test", "127.0.0.1")
	if err != nil {
		return err
	}
	s.Roots, s.CAFile = authority.Roots(), files.CA
	if err := os.Mkdir(filepath.Join(s.folder, "db"), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(s.config(), []byte(config(s.folder, files)), 0o600); err != nil {
		return err
	}
	add := exec.Command(daemon.Program("slapadd"), "-f", s.config())
	add.Stdin = bytes.NewReader([]byte(seed))
	if out, err := add.CombinedOutput(); err != nil {
		return fmt.Errorf("running slapadd: %w\n%s", err, out)
	}
	return nil
}

func (s *Server) config() string { return filepath.Join(s.folder, "slapd.conf") }

// URL returns the ldaps URL.
func (s *Server) URL() string { return "ldaps://127.0.0.1:" + strconv.Itoa(s.safe) }

// StartTLSURL returns the ldap URL, for StartTLS.
func (s *Server) StartTLSURL() string { return "ldap://127.0.0.1:" + strconv.Itoa(s.clear) }

// Restart starts the server after a Stop, with the same ports and data.
func (s *Server) Restart() {
	s.t.Helper()
	cmd := exec.Command(daemon.Program("slapd"), "-f", s.config(), "-h", s.StartTLSURL()+" "+s.URL(), "-d", "0")
	process, err := daemon.Run(s.t.Context(), cmd, func(context.Context) error { return s.TryPassword(Reader, ReaderPassword) })
	if err != nil {
		s.t.Fatal(err)
	}
	s.process = process
}

// Stop ends the server, so that its ports refuse connections.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.Close()
		s.conn = nil
	}
	if s.process != nil {
		s.process.Stop()
		s.process = nil
	}
}

// Dial connects over TLS without a bind.
func (s *Server) Dial() (*ldap.Conn, error) {
	return ldap.DialURL(s.URL(), ldap.DialWithTLSConfig(&tls.Config{RootCAs: s.Roots, MinVersion: tls.VersionTLS12}))
}

// TryPassword binds with a DN and returns the error of the server.
func (s *Server) TryPassword(dn, password string) error {
	conn, err := s.Dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Bind(dn, password)
}

// admin returns a connection bound as Admin.
func (s *Server) admin(t testing.TB) *ldap.Conn {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil && !s.conn.IsClosing() {
		return s.conn
	}
	conn, err := s.Dial()
	if err != nil {
		t.Fatalf("connecting to slapd: %v", err)
	}
	if err := conn.Bind(Admin, AdminPassword); err != nil {
		t.Fatalf("binding as %s: %v", Admin, err)
	}
	s.conn = conn
	return conn
}
