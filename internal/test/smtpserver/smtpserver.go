// Package smtptest is a mail server in the process of a test: go-smtp on a port of
// its own, with STARTTLS under a CA of its own, sign-in, and a memory of every
// mail it took.
//
// On request it behaves as servers do: it refuses a recipient, puts one off, goes
// away and comes back. What no honest server does, hanging, talking nonsense or
// hanging up in the middle, Speak does with a bare connection. It refuses nothing
// for being unsafe; it is for tests alone.
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

// The one account there is.
const (
	User     = "portal@corp.example"
	Password = "a secret with spaces & signs"
)

// Config is how a server is. All of it is optional.
type Config struct {
	NoTLS     bool     // offers no STARTTLS
	AtOnce    bool     // TLS from the first byte
	Names     []string // in its certificate; default 127.0.0.1
	Ways      []string // to sign in, PLAIN and LOGIN; none: nobody signs in
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

// Up lets the server answer, at the same port as before it was Down.
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

// Down ends the server and all conversations; nobody listens at its port.
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

// silent drops what go-smtp logs: tests break connections on purpose.
type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// Host is where the server listens.
func (s *Server) Host() string { return "127.0.0.1" }

// Port is the port it listens at.
func (s *Server) Port() int { return s.port }

// Roots hold the CA that signed the server's certificate.
func (s *Server) Roots() *x509.CertPool { return s.authority.Roots() }

// CAFile is that CA in PEM.
func (s *Server) CAFile() string { return s.files.CA }

// Refuse answers with a code and text whenever mail for the address comes; code 0
// takes it again. The text may begin with an enhanced code (RFC 3463).
func (s *Server) Refuse(address string, code int, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.refuse, address)
	if code != 0 {
		s.refuse[address] = failure(code, text)
	}
}

// RefuseSender answers so to whoever sends; code 0 takes all again.
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

// Hold keeps the server from answering for any mail until the function it returns
// is called.
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

// Mails are those the server answered for, in their order.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.taken...)
}

// Await waits until the server has taken so many mails in all, and gives them. It
// fails the test after a minute.
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

// Asked are the recipients that senders named, in their order, refused ones too.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}
