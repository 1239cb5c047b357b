// Package smtpserver is a mail server in the test process: go-smtp on its own port, with
// STARTTLS under its own CA and authentication. It stores every accepted mail.
//
// [Start] starts a server, [Server.Await] waits for mails, and [Read] parses one.
// [Server.Refuse] rejects recipients, permanently or temporarily; [Server.Down] and
// [Server.Up] stop and restart the server. [Speak] is for servers that violate SMTP: it
// gives the test the bare connection.
//
// It follows RFC 5321 (SMTP), RFC 3207 (STARTTLS) and RFC 4954 (AUTH).
package smtpserver

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"certportal/internal/test/daemon"
)

// The only account.
const (
	User     = "portal@corp.example"
	Password = "a secret with spaces & signs"
)

// Config configures a server. All fields are optional.
type Config struct {
	NoTLS     bool     // offers no STARTTLS
	AtOnce    bool     // TLS from the first byte
	Names     []string // in its certificate; default 127.0.0.1
	Ways      []string // to sign in, PLAIN and LOGIN; none: no sign-in
	MustLogin bool     // takes no mail from strangers
}

// Server is a running mail server. Its methods are safe for concurrent use.
type Server struct {
	c         Config
	authority *daemon.Authority
	files     daemon.Files
	tls       *tls.Config
	port      int

	mu      sync.Mutex
	running *smtp.Server
	socket  net.Listener
	taken   []Mail
	arrived chan struct{} // closed and replaced with every mail
	asked   []string      // recipients, refused ones too
	refuse  map[string]*smtp.SMTPError
	sender  *smtp.SMTPError
	hold    chan struct{} // mail is taken only once it is closed; nil: at once
}

// Start runs a server until the end of the test.
func Start(t testing.TB, c Config) *Server {
	t.Helper()
	authority, err := daemon.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Names) == 0 {
		c.Names = []string{"127.0.0.1"}
	}
	files, err := authority.Server(t.TempDir(), c.Names...)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(files.Certificate, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{
		c: c, authority: authority, files: files, refuse: make(map[string]*smtp.SMTPError), arrived: make(chan struct{}),
		tls: &tls.Config{Certificates: []tls.Certificate{pair}},
	}
	s.Up(t)
	t.Cleanup(s.Down)
	return s
}

// Up starts the server on the same port as before Down.
func (s *Server) Up(t testing.TB) {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)))
	if err != nil {
		t.Fatal(err)
	}
	s.port = listener.Addr().(*net.TCPAddr).Port
	if s.c.AtOnce {
		listener = tls.NewListener(listener, s.tls)
	}
	running := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{server: s, conn: c}, nil
	}))
	running.Domain, running.ErrorLog = "mail.corp.example", silent{}
	running.ReadTimeout, running.WriteTimeout = 10*time.Second, 10*time.Second
	if !s.c.NoTLS {
		running.TLSConfig = s.tls
	}
	s.mu.Lock()
	s.running, s.socket = running, listener
	s.mu.Unlock()
	go running.Serve(listener)
}

// Down ends the server and all sessions, so that its port refuses connections.
func (s *Server) Down() {
	s.mu.Lock()
	running, socket := s.running, s.socket
	s.running = nil
	s.mu.Unlock()
	if running != nil {
		running.Close()
		socket.Close() // which may not have come to serve yet
	}
}

// silent discards the log of go-smtp, because tests break connections on purpose.
type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// Host returns the address of the server.
func (s *Server) Host() string { return "127.0.0.1" }

// Port returns the port of the server.
func (s *Server) Port() int { return s.port }

// Roots returns the CA of the server's certificate.
func (s *Server) Roots() *x509.CertPool { return s.authority.Roots() }

// CAFile returns the path of the CA in PEM.
func (s *Server) CAFile() string { return s.files.CA }

// Refuse answers mail for an address with a code and text; code 0 removes the rule. The text
// may begin with an enhanced code (RFC 3463).
func (s *Server) Refuse(address string, code int, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.refuse, address)
	if code != 0 {
		s.refuse[address] = failure(code, text)
	}
}

// RefuseSender answers MAIL FROM with a code and text; code 0 removes the rule.
func (s *Server) RefuseSender(code int, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sender = nil
	if code != 0 {
		s.sender = failure(code, text)
	}
}

func failure(code int, text string) *smtp.SMTPError {
	enhanced := smtp.EnhancedCode{code / 100, 1, 1}
	if n, err := fmt.Sscanf(text, "%d.%d.%d", &enhanced[0], &enhanced[1], &enhanced[2]); err == nil && n == len(enhanced) {
		_, text, _ = strings.Cut(text, " ")
	} else {
		enhanced = smtp.EnhancedCode{code / 100, 1, 1}
	}
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}
}

// Hold delays the response to DATA until the returned function is called.
func (s *Server) Hold() (release func()) {
	hold := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = hold
	return sync.OnceFunc(func() {
		s.mu.Lock()
		s.hold = nil
		s.mu.Unlock()
		close(hold)
	})
}

// Mails returns the accepted mails in order.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.taken...)
}

// Await waits until the server has accepted n mails in total, and returns them. It fails
// the test after a minute.
func (s *Server) Await(t testing.TB, n int) []Mail {
	t.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	for {
		s.mu.Lock()
		mails, arrived := append([]Mail(nil), s.taken...), s.arrived
		s.mu.Unlock()
		if len(mails) >= n {
			return mails
		}
		select {
		case <-arrived:
		case <-late.C:
			t.Fatalf("%d mails arrived, want %d", len(mails), n)
		}
	}
}

// Asked returns all recipients of RCPT TO in order, including refused ones.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}
