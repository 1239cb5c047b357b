// Package radius starts a RADIUS server that accepts the portal's client certificates by
// EAP-TLS and checks the CRLs, as for a wireless network: FreeRADIUS, with eapol_test of
// wpa_supplicant as its client.
//
// [Start] runs the installed programs (Debian: freeradius, eapoltest) with a configuration
// of the test's own on a free port of 127.0.0.1. [Server.Login] signs in with a file as
// delivered. Tests are skipped when a program is missing, and fail when the environment
// has CI=true.
package radius

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"certportal/internal/test/daemon"
	"certportal/internal/test/testkit"
)

// Config configures the clients' CAs.
type Config struct {
	Root, Issuing string // PEM

	// Lists are the CRLs of the issuing CA or of both in PEM: the server refuses a client
	// when that of its issuer is missing.
	Lists []string
}

// Server is a running FreeRADIUS.
type Server struct {
	t       testing.TB
	folder  string
	port    int
	process *daemon.Process
}

// Answer is the result of one sign-in.
type Answer struct {
	Admitted bool
	Why      string // what the client reports about a refusal
}

// String formats the answer.
func (a Answer) String() string {
	if a.Admitted {
		return "let in"
	}
	return "refused: " + a.Why
}

const (
	secret          = "testing123" // between server and access point
	authorityFolder = "authorities"
	listPrefix      = "list-"
)

// Start runs a server until the end of the test.
func Start(t testing.TB, c Config) *Server {
	t.Helper()
	for _, program := range []string{"freeradius", "eapol_test", "openssl"} {
		if daemon.Program(program) == "" {
			daemon.Need(t, "FreeRADIUS or its client ("+program+") is not installed")
		}
	}
	s := &Server{t: t, folder: t.TempDir()}
	if err := s.furnish(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	s.Replace(c.Lists...)
	s.Restart()
	return s
}

func (s *Server) file(name string) string { return filepath.Join(s.folder, name) }

func (s *Server) furnish(c Config) error {
	var err error
	if s.port, err = daemon.Port(); err != nil {
		return err
	}
	authority, err := daemon.NewAuthority()
	if err != nil {
		return err
	}
	own, err := authority.Server(s.folder, "radius.example.test")
	if err != nil {
		return err
	}
	if err := os.Mkdir(s.file(authorityFolder), 0o700); err != nil {
		return err
	}
	for name, content := range map[string]string{
		filepath.Join(authorityFolder, "root.pem"): c.Root, filepath.Join(authorityFolder, "issuing.pem"): c.Issuing,
		"radiusd.conf": s.config(own), "dictionary": "$INCLUDE /usr/share/freeradius/dictionary\n",
	} {
		if err := os.WriteFile(s.file(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Replace replaces the CRLs. [Server.Restart] makes the server read them.
func (s *Server) Replace(lists ...string) {
	s.t.Helper()
	folder := s.file(authorityFolder)
	old, err := filepath.Glob(filepath.Join(folder, listPrefix+"*"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			s.t.Fatal(err)
		}
	}
	for i, list := range lists {
		// One list in each file: "openssl rehash" looks at the first.
		if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s%d.pem", listPrefix, i)), []byte(list), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	if out, err := exec.Command(daemon.Program("openssl"), "rehash", folder).CombinedOutput(); err != nil {
		s.t.Fatalf("naming certificates and lists by their hash: %v\n%s", err, out)
	}
}

// Restart starts the server again: it reads certificates and CRLs when it starts.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	cmd := exec.Command(daemon.Program("freeradius"), "-f", "-d", s.folder, "-n", "radiusd", "-l", s.file("log"))
	process, err := daemon.Run(s.t.Context(), cmd, func(context.Context) error {
		if !strings.Contains(s.Log(), "Ready to process requests") {
			return errors.New("it is not ready")
		}
		return nil
	})
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.Log())
	}
	s.process = process
}

// Stop ends the server and removes its log, so that the next one is waited for.
func (s *Server) Stop() {
	if s.process == nil {
		return
	}
	s.process.Stop()
	s.process = nil
	if err := os.Remove(s.file("log")); err != nil {
		s.t.Error(err)
	}
}

// Folder returns the folder of the server's files.
func (s *Server) Folder() string { return s.folder }

// Config returns the configuration of the server.
func (s *Server) Config() string {
	s.t.Helper()
	return string(testkit.Must(os.ReadFile(s.file("radiusd.conf")))(s.t))
}

// Log returns the log of the server since its start.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.file("log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Login signs in under a name with a PKCS#12 file and its password.
func (s *Server) Login(name string, file []byte, password string) Answer {
	s.t.Helper()
	identity, config := s.file("identity.p12"), s.file("client.conf")
	network := fmt.Sprintf(`network={
key_mgmt=WPA-EAP
eap=TLS
identity=%q
ca_cert=%q
private_key=%q
private_key_passwd=%q
}
`, name, s.file("ca.pem"), identity, password)
	for path, content := range map[string][]byte{identity: file, config: []byte(network)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	// -n: without the keys for a wireless network, which no access point is there for.
	cmd := exec.Command(daemon.Program("eapol_test"), "-n", "-c", config, "-a", "127.0.0.1", "-p", strconv.Itoa(s.port),
		"-s", secret, "-t", "10", "-r", "0")
	before := len(s.Log())
	out, err := cmd.CombinedOutput()
	// It reports success, too, when no server answers.
	if err == nil && strings.Contains(string(out), "code=2 (Access-Accept)") {
		return Answer{Admitted: true}
	}
	if !strings.Contains(string(out), "code=3 (Access-Reject)") {
		s.t.Fatalf("%v: neither accepted nor refused:\n%s\n%s", err, out, s.Log())
	}
	return Answer{Why: s.Log()[before:] + replyMessages(string(out))}
}

// replyMessages gives the lines of a client's output about the server's message.
func replyMessages(out string) string {
	_, message, found := strings.Cut(out, "Attribute 18 (Reply-Message)")
	if !found {
		return ""
	}
	lines := strings.SplitN(message, "\n", 3)
	return strings.Join(lines[:min(2, len(lines))], " ")
}
