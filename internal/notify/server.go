package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// Security is how a connection to the mail server is protected.
type Security string

// The kinds of protection.
const (
	STARTTLS Security = "starttls" // begins in the clear and must rise to TLS (RFC 3207)
	TLS      Security = "tls"      // TLS from the first byte (RFC 8314 section 3.3)
	NoTLS    Security = "none"     // readable by everybody on the way
)

// DefaultTimeout bounds the wait for any answer of a mail server. RFC 5321 section
// 4.5.3.2 would have minutes; whoever relays for a portal is near.
const DefaultTimeout = 30 * time.Second

// lastMoment is what a conversation has left when the program ends.
const closeTimeout = 2 * time.Second

// maxAnswers bounds what a server may say over one connection, in bytes: a line
// that never ends would otherwise fill the memory.
const maxResponse = 1 << 20

// ServerConfig says where mail is handed in. Host and From are required.
type ServerConfig struct {
	Host     string
	Port     int      // default 587, or 465 with TLS, or 25 with NoTLS
	Security Security // default STARTTLS

	// User and Password sign in. Without a user nobody does; with NoTLS nobody may.
	// The password is read at each connection, so that a changed one counts at once.
	User     string
	Password func() (string, error)

	From string // address of the sender, alone or with a name before it: Portal <portal@corp.example>

	// Roots sign the server's certificate. Default: the CAs this machine trusts.
	Roots *x509.CertPool

	// Hello is how the portal calls itself: a host name, or an IP address in square
	// brackets (RFC 5321 section 4.1.3). Default "localhost".
	Hello string

	Timeout time.Duration // default DefaultTimeout
}

// Server is a mail server that takes the portal's letters.
type Server struct {
	c    ServerConfig
	from mail.Address
}

// NewServer checks the configuration. It connects to nobody.
func NewServer(c ServerConfig) (*Server, error) {
	if c.Security == "" {
		c.Security = STARTTLS
	}
	ports := map[Security]int{STARTTLS: 587, TLS: 465, NoTLS: 25}
	port, known := ports[c.Security]
	switch {
	case c.Host == "":
		return nil, errors.New("mail server: the host is missing")
	case !known:
		return nil, fmt.Errorf("mail server: security %q is none of starttls, tls and none", c.Security)
	case c.User != "" && c.Security == NoTLS:
		return nil, errors.New("mail server: a password is never sent without TLS")
	case c.User != "" && c.Password == nil:
		return nil, errors.New("mail server: a user without a password")
	case c.Port < 0 || c.Port > 65535:
		return nil, fmt.Errorf("mail server: port %d", c.Port)
	}
	from, err := mail.ParseAddress(c.From)
	if err != nil || !Deliverable(from.Address) {
		return nil, fmt.Errorf("mail server: %q is no address to send from", c.From)
	}
	from.Name = plain(from.Name)
	if c.Port == 0 {
		c.Port = port
	}
	if c.Hello == "" {
		c.Hello = "localhost"
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	return &Server{c: c, from: *from}, nil
}

func (s *Server) address() string { return net.JoinHostPort(s.c.Host, strconv.Itoa(s.c.Port)) }

// Check connects, raises the connection to TLS, signs in and asks for a sign of
// life, as the settings have it. It sends no mail. The error says in words what is
// wrong.
func (s *Server) Check(ctx context.Context) error {
	line, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer line.close()
	if err := line.client.Noop(); err != nil {
		return fmt.Errorf("asking %s for a sign of life: %w", s.address(), err)
	}
	return nil
}

// dial opens a connection over which letters can be sent. Every error says that
// the server takes no mail from this portal now.
func (s *Server) dial(ctx context.Context) (*smtpConn, error) {
	connecting, cancel := context.WithTimeout(ctx, s.c.Timeout)
	defer cancel()
	conn, err := s.connect(connecting)
	if err != nil {
		return nil, fmt.Errorf("connecting to mail server %s: %w", s.address(), s.explain(err))
	}
	l := &smtpConn{server: s, conn: conn}
	// At the end of the program a letter on the way has a moment more.
	l.unwatch = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now().Add(closeTimeout)) })
	if err := l.handshake(); err != nil {
		l.unwatch()
		conn.Close()
		return nil, fmt.Errorf("greeting mail server %s: %w", s.address(), s.explain(err))
	}
	return l, nil
}

func (s *Server) connect(ctx context.Context) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", s.address())
	if err != nil {
		return nil, err
	}
	conn = &limitedConn{Conn: conn, left: maxResponse}
	if s.c.Security != TLS {
		return conn, nil
	}
	secure := tls.Client(conn, s.tlsConfig())
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

func (s *Server) tlsConfig() *tls.Config {
	return &tls.Config{ServerName: s.c.Host, RootCAs: s.c.Roots, MinVersion: tls.VersionTLS12}
}

// auth picks the way to sign in from those the server offers. Inside TLS a
// password in the clear is no weaker than the hashes that a server with NTLM or
// CRAM-MD5 asks for, and is what all of them do right.
func (s *Server) auth(offered string) (smtp.Auth, error) {
	password, err := s.c.Password()
	if err != nil {
		return nil, fmt.Errorf("reading password of %s: %w", s.c.User, err)
	}
	ways := strings.Fields(strings.ToUpper(offered))
	for _, way := range []struct {
		name string
		auth func() smtp.Auth
	}{
		{"PLAIN", func() smtp.Auth { return smtp.PlainAuth("", s.c.User, password, s.c.Host, false) }},
		{"LOGIN", func() smtp.Auth { return smtp.LoginAuth(s.c.User, password, s.c.Host, false) }},
		{"SCRAM-SHA-256", func() smtp.Auth { return smtp.ScramSHA256Auth(s.c.User, password) }},
	} {
		for _, name := range ways {
			if name == way.name {
				return way.auth(), nil
			}
		}
	}
	return nil, fmt.Errorf("the server offers %q to sign in; PLAIN, LOGIN or SCRAM-SHA-256 is needed", offered)
}

// explained puts words before errors that only specialists understand.
func (s *Server) explain(err error) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("its certificate is signed by a CA that is not trusted here; name that CA in mail.ca_file: %w", err)
	case errors.As(err, &name):
		return fmt.Errorf("its certificate is not for the name %s; write in mail.host the name that stands in it: %w", s.c.Host, err)
	case errors.As(err, &invalid):
		return fmt.Errorf("its certificate is not valid: %w", err)
	case errors.As(err, &record):
		return fmt.Errorf("it does not begin with TLS on this port; try mail.security starttls: %w", err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("it hung up; it may expect TLS at once (mail.security tls) or not want this machine: %w", err)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("no answer within %v; it may expect TLS at once (mail.security tls), or a firewall may drop what is sent: %w", s.c.Timeout, err)
	}
	return err
}

// frugalConn ends a connection on which too much is said.
type limitedConn struct {
	net.Conn
	left int
}

var errResponseTooLong = errors.New("the server says more than a mail server would")

func (c *limitedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errResponseTooLong
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}
