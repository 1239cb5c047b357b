// Package relyingparty starts servers that accept the portal's client certificates: Apache
// httpd with mod_ssl and nginx, configured as in front of a mail server. They require a
// client certificate and check revocation by CRL files or by OCSP.
//
// [Apache] and [Nginx] start the installed programs (Debian: apache2-bin, nginx) on a free
// port of 127.0.0.1. [Server.Ask] connects with a certificate and returns the [Answer];
// [Server.Replace] and [Server.Reload] install new CRLs. Tests are skipped when a program
// is missing, and fail when the environment has CI=true.
package relyingparty

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

// Config configures the trusted CAs and the revocation checks.
type Config struct {
	Certificate, Key string // files of the server's own certificate with its chain, PEM
	Roots            *x509.CertPool
	Authorities      string // all CAs of the clients, PEM

	// Depth is the number of CAs in a client's chain, root included. 0 means 2.
	Depth int

	// Lists are the CRLs of all CAs in a client's chain, in PEM: both programs refuse a
	// chain when one CRL is missing.
	Lists string

	// Online checks the client certificate by OCSP, and refuses clients without a
	// response.
	Online bool
}

// Server is a running server.
type Server struct {
	Name string // "Apache" or "nginx"

	t       testing.TB
	c       Config
	folder  string
	port    int
	reload  os.Signal
	process *daemon.Process
}

// Answer is the result of one connection.
type Answer struct {
	Admitted bool
	Person   string // the authenticated person, when admitted
	Why      string // the reason of a refusal, in the server's words
}

// String formats the answer in one line.
func (a Answer) String() string {
	if a.Admitted {
		return "let in as " + a.Person
	}
	return "refused: " + a.Why
}

const (
	listFile   = "lists.pem"
	caFile     = "authorities.pem"
	configFile = "server.conf"
	logFile    = "error.log"
)

// prepare finds program and port, and writes the files that both kinds of server need.
func prepare(t testing.TB, name, program string, c Config) *Server {
	t.Helper()
	if daemon.Program(program) == "" {
		daemon.Need(t, name+" ("+program+") is not installed")
	}
	port, err := daemon.Port()
	if err != nil {
		t.Fatal(err)
	}
	if c.Depth == 0 {
		c.Depth = 2
	}
	s := &Server{Name: name, t: t, c: c, folder: t.TempDir(), port: port}
	s.write(caFile, c.Authorities)
	if c.Lists != "" {
		s.write(listFile, c.Lists)
	}
	return s
}

func (s *Server) write(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(s.file(name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) file(name string) string { return filepath.Join(s.folder, name) }

func (s *Server) address() string { return daemon.Loopback(s.port) }

// run starts the server and waits until it refuses a client without a certificate.
func (s *Server) run(cmd *exec.Cmd) *Server {
	s.t.Helper()
	return s.runUntil(cmd, func(ctx context.Context) error {
		_, err := s.ask(ctx, nil, tls.VersionTLS12)
		var refused refusal
		if errors.As(err, &refused) {
			return nil // the server requires a certificate
		}
		return err
	})
}

// runUntil starts the server and waits until it is ready.
func (s *Server) runUntil(cmd *exec.Cmd, ready func(context.Context) error) *Server {
	s.t.Helper()
	process, err := daemon.Run(s.t.Context(), cmd, ready)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.Log())
	}
	s.process = process
	s.t.Cleanup(process.Stop)
	return s
}

// listens connects to the server's port.
func (s *Server) listens(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.address())
	if err != nil {
		return err
	}
	return conn.Close()
}

// Folder returns the folder of the server's files.
func (s *Server) Folder() string { return s.folder }

// Config returns the server's configuration.
func (s *Server) Config() string {
	s.t.Helper()
	return string(testkit.Must(os.ReadFile(s.file(configFile)))(s.t))
}

// Log returns the server's log.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.file(logFile))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Replace replaces the CRL files without a reload.
func (s *Server) Replace(lists string) {
	s.t.Helper()
	// An atomic rename, because a partial CRL would lock out all clients.
	s.write(listFile+".new", lists)
	if err := os.Rename(s.file(listFile+".new"), s.file(listFile)); err != nil {
		s.t.Fatal(err)
	}
}

// Reload reloads the files without closing connections, like "apachectl graceful" and
// "nginx -s reload". Connections in the next moment may still see the old files.
func (s *Server) Reload() {
	s.t.Helper()
	if err := s.process.Signal(s.reload); err != nil {
		s.t.Fatal(err)
	}
}

// refusal is the error of a connection that the server refused for its certificate.
type refusal struct{ err error }

func (r refusal) Error() string { return r.err.Error() }
func (r refusal) Unwrap() error { return r.err }

// Ask opens a connection with a certificate, or none for nil, and one version of TLS
// (tls.VersionTLS12, tls.VersionTLS13).
func (s *Server) Ask(phone *tls.Certificate, version uint16) Answer {
	s.t.Helper()
	answer, err := s.ask(s.t.Context(), phone, version)
	var refused refusal
	if errors.As(err, &refused) {
		return Answer{Why: refused.Error()}
	}
	if err != nil {
		s.t.Fatalf("asking %s: %v\n%s", s.Name, err, s.Log())
	}
	return answer
}

// within limits the time of one answer.
const within = 20 * time.Second

func (s *Server) ask(ctx context.Context, phone *tls.Certificate, version uint16) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	config := &tls.Config{RootCAs: s.c.Roots, MinVersion: version, MaxVersion: version}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if phone == nil {
			return &tls.Certificate{}, nil
		}
		return phone, nil
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+s.address()+"/", nil)
	if err != nil {
		return Answer{}, err
	}
	resp, err := client.Do(req)
	var alert tls.AlertError
	if errors.As(err, &alert) || err != nil && strings.Contains(err.Error(), "remote error: tls: ") {
		return Answer{}, refusal{err}
	}
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return Answer{}, err
	}
	return verdict(resp, strings.TrimSpace(string(text)))
}

// personHeader is the response header with the authenticated person.
const personHeader = "X-Person"

func verdict(resp *http.Response, text string) (Answer, error) {
	switch resp.StatusCode {
	case http.StatusOK:
		return Answer{Admitted: true, Person: resp.Header.Get(personHeader)}, nil
	case http.StatusForbidden:
		return Answer{}, refusal{errors.New(text)}
	}
	return Answer{}, fmt.Errorf("status %d: %s", resp.StatusCode, text)
}
