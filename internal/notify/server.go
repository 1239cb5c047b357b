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

	"certportal/internal/servercert"

	"github.com/wneessen/go-mail/smtp"
)

// Security is how a connection to the mail server is protected.
type Security string

// The kinds of protection.
const (
	STARTTLS Security = "starttls" // begins in plaintext and must upgrade to TLS (RFC 3207)
	TLS      Security = "tls"      // TLS from the first byte (RFC 8314 section 3.3)
	NoTLS    Security = "none"     // plaintext
)

// DefaultTimeout bounds the wait for any answer of the server. RFC 5321 section 4.5.3.2
// recommends minutes; a relay for a portal is in the same network.
const DefaultTimeout = 30 * time.Second

// closeTimeout bounds what a conversation may still take when the program ends.
const closeTimeout = 2 * time.Second

// maxResponse bounds what a server may send over one connection, in bytes, so that an
// endless line cannot exhaust memory.
const maxResponse = 1 << 20

// ServerConfig configures the mail server. Host and From are required.
type ServerConfig struct {
	Host     string
	Port     int      // default 587, or 465 with TLS, or 25 with NoTLS
	Security Security // default STARTTLS

	// User and Password authenticate. Without User there is no authentication; with
	// NoTLS it is not allowed. Password is called for each connection, so that a
	// changed password takes effect at once.
	User     string
	Password func() (string, error)

	From string // sender address, optionally with a name: Portal <portal@corp.example>

	// Roots verify the server's certificate. Default: the CAs this machine trusts.
	Roots *x509.CertPool

	// Hello is the name in EHLO: a host name, or an IP address in square brackets (RFC
	// 5321 section 4.1.3). Default "localhost".
	Hello string

	Timeout time.Duration // default DefaultTimeout
}

// Server is the mail server that messages are submitted to.
type Server struct {
	c    ServerConfig
	from mail.Address
}

// NewServer checks the configuration. It opens no connection.
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
	from, err := ParseSender(c.From)
	if err != nil {
		return nil, fmt.Errorf("mail server: %w", err)
	}
	if c.Port == 0 {
		c.Port = port
	}
	if c.Hello == "" {
		c.Hello = "localhost"
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	return &Server{c: c, from: from}, nil
}

// ParseSender reads an address to send from, with or without a name before it.
func ParseSender(text string) (mail.Address, error) {
	from, err := mail.ParseAddress(text)
	if err != nil || !Deliverable(from.Address) {
		return mail.Address{}, fmt.Errorf("%q is no address to send from", text)
	}
	from.Name = plain(from.Name)
	return *from, nil
}

func (s *Server) address() string { return net.JoinHostPort(s.c.Host, strconv.Itoa(s.c.Port)) }

// Check connects, starts TLS, authenticates and sends NOOP. It sends no mail. The error
// explains what is wrong.
func (s *Server) Check(ctx context.Context) error {
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.close()
	if err := conn.client.Noop(); err != nil {
		return fmt.Errorf("asking %s for a sign of life: %w", s.address(), err)
	}
	return nil
}

// dial opens a connection that is ready for messages. Every error says that the server
// takes no mail from this portal now.
func (s *Server) dial(ctx context.Context) (*smtpConn, error) {
	began := time.Now()
	connecting, cancel := context.WithTimeout(ctx, s.c.Timeout)
	defer cancel()
	conn, err := s.connect(connecting)
	if err != nil {
		return nil, fmt.Errorf("connecting to mail server %s: %w", s.address(), s.explain(err, began))
	}
	l := &smtpConn{server: s, conn: conn}
	if err := l.handshake(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("greeting mail server %s: %w", s.address(), s.explain(err, began))
	}
	// When the program ends, a message in transit may still be finished.
	l.unwatch = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now().Add(closeTimeout)) })
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

// auth chooses an authentication mechanism from those the server offers. Inside TLS a
// plaintext password is no weaker than NTLM or CRAM-MD5, and all servers implement it
// correctly.
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

// explain adds an explanation to TLS and network errors of a connection that began at a
// moment: the context may end before the timeout.
func (s *Server) explain(err error, began time.Time) error {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	var invalid x509.CertificateInvalidError
	fault := servercert.Fault(err)
	switch {
	case fault != "":
		return fmt.Errorf("its certificate %s: %w", fault, err)
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
		return fmt.Errorf("no answer within %v; it may expect TLS at once (mail.security tls), or a firewall may drop what is sent: %w",
			time.Since(began).Round(100*time.Millisecond), err)
	}
	return err
}

// limitedConn fails after the server sent more than left bytes.
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
