// Package ldapserver is an LDAP server in the test process that behaves like a small Active
// Directory, and on request sends garbage, nothing, or wrong results, as no real server
// can be made to do.
//
// It implements bind, search, StartTLS and "Who am I?" (RFC 4511, RFC 4532) on raw BER
// under TLS with its own CA. [Start] starts a server, [Server.Domain] and [Server.Person]
// fill it, [Server.Obey] installs a [Script] that takes over requests, and
// [Server.Requests] returns all requests so far. The server enforces no access rights: the
// test decides from the recorded requests whether the portal may send them.
package ldapserver

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"strings"
	"sync"
	"testing"
)

// Config configures a server. The zero value is LDAPS on a free port of 127.0.0.1, with
// that address in its certificate.
type Config struct {
	Authority *Authority // that signs its certificate; default: a new one
	Names     []string   // in its certificate, instead of 127.0.0.1
	StartTLS  bool       // begin in the clear
	Plain     bool       // never speak TLS
}

// Server is a running server. It is safe for concurrent use.
type Server struct {
	authority *Authority
	config    Config
	tls       *tls.Config
	listener  net.Listener
	wg        sync.WaitGroup

	mu          sync.Mutex
	entries     []Entry
	passwords   map[string]string // by folded name
	refusals    map[string]refusal
	script      Script
	muted       bool
	requests    []Request
	connections int
	open        map[net.Conn]bool
	underway    int
	busiest     int
}

// Script gets each request before the server and reports whether it handled it. It may
// block.
type Script func(*Conn, Request) (handled bool)

type refusal struct {
	code int
	text string
}

// Start starts a server that ends with the test.
func Start(t testing.TB, c Config) *Server {
	t.Helper()
	if c.Authority == nil {
		c.Authority = NewAuthority(t)
	}
	if len(c.Names) == 0 {
		c.Names = []string{"127.0.0.1"}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		authority: c.Authority, config: c, listener: listener,
		tls:       &tls.Config{Certificates: []tls.Certificate{c.Authority.issue(t, c.Names)}},
		passwords: map[string]string{}, refusals: map[string]refusal{}, open: map[net.Conn]bool{},
	}
	s.wg.Go(s.accept)
	t.Cleanup(s.Stop)
	return s
}

// Stop ends the server and every connection. It may be called more than once.
func (s *Server) Stop() {
	s.listener.Close()
	s.Drop()
	s.wg.Wait()
}

// Drop closes every open connection.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.open {
		conn.Close()
	}
}

// URL returns the server's URL for the configuration of the portal.
func (s *Server) URL() string {
	if s.config.StartTLS || s.config.Plain {
		return "ldap://" + s.listener.Addr().String()
	}
	return "ldaps://" + s.listener.Addr().String()
}

// Roots returns the CA of the server's certificate.
func (s *Server) Roots() *x509.CertPool { return s.authority.Roots() }

// AuthorityPEM returns the CA of the server's certificate in PEM.
func (s *Server) AuthorityPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.authority.certificate.Raw})
}

// Add adds entries.
func (s *Server) Add(entries ...Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = append(s.entries, entries...)
}

// Change replaces attributes of an entry.
func (s *Server) Change(dn string, change func(attributes map[string][]string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		if strings.EqualFold(e.DN, dn) {
			change(e.Attributes)
		}
	}
}

// SetPassword sets the password for a bind name, which need not be a DN.
func (s *Server) SetPassword(name, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passwords[strings.ToLower(name)] = password
}

// Refuse answers binds of a name with a result code and a text. Code 0 removes the rule.
func (s *Server) Refuse(name string, code int, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals[strings.ToLower(name)] = refusal{code, text}
}

// Obey installs a script; nil removes it.
func (s *Server) Obey(script Script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = script
}

// Mute accepts new connections and sends nothing, not even TLS.
func (s *Server) Mute(muted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.muted = muted
}
