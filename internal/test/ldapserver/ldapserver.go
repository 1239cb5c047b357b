// Package ldaptest is a directory server for tests that does as it is told: it
// answers like a small Active Directory, and on demand with garbage, silence or
// lies, which no real server can be made to do.
//
// It speaks LDAP (RFC 4511) on raw BER under TLS with a CA of its own, keeps what
// it was asked, and knows binds, searches, StartTLS and "Who am I?". It refuses
// nothing by itself that a test wants to see: whether the portal may do something
// is for the test to judge from the record.
package ldapserver

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"sync"
	"testing"
)

// Config is what a server starts with. The zero value is LDAPS on a free port of
// 127.0.0.1, with that address in its certificate.
type Config struct {
	Authority *Authority // that signs its certificate; default: a new one
	Names     []string   // in its certificate, instead of 127.0.0.1
	StartTLS  bool       // begin in the clear
	Plain     bool       // never speak TLS
}

// Server is one running server. Its methods may be called at any time.
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

// Script sees a request before the server does and reports whether it dealt with
// it. It may keep its connection as long as it likes.
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

// URL is the server's address as the portal writes it.
func (s *Server) URL() string {
	if s.config.StartTLS || s.config.Plain {
		return "ldap://" + s.listener.Addr().String()
	}
	return "ldaps://" + s.listener.Addr().String()
}

// Roots holds the CA that signed the server's certificate.
func (s *Server) Roots() *x509.CertPool { return s.authority.Roots() }

// Add puts entries into the directory.
func (s *Server) Add(entries ...Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = append(s.entries, entries...)
}

// Change alters the attributes of an entry.
func (s *Server) Change(dn string, change func(attributes map[string][]string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		if strings.EqualFold(e.DN, dn) {
			change(e.Attributes)
		}
	}
}

// SetPassword gives a name that binds, a DN or another, its password.
func (s *Server) SetPassword(name, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passwords[strings.ToLower(name)] = password
}

// Refuse has binds of a name answered with a result code and a text. Code 0 ends
// that.
func (s *Server) Refuse(name string, code int, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals[strings.ToLower(name)] = refusal{code, text}
}

// Obey gives the server a script; nil ends it.
func (s *Server) Obey(script Script) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = script
}

// Mute has new connections accepted and left in silence, before TLS.
func (s *Server) Mute(muted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.muted = muted
}
