package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	mail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// smtpConn is an open connection to the mail server.
type smtpConn struct {
	server  *Server
	conn    net.Conn
	client  *smtp.Client
	mailer  *mail.Client
	unwatch func() bool // detaches the connection from the context
}

// handshake greets the server, starts TLS and authenticates, as configured. It ends with
// the context.
func (l *smtpConn) handshake(ctx context.Context) (err error) {
	c := l.server.c
	if err := l.conn.SetDeadline(time.Now().Add(c.Timeout)); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = l.conn.SetDeadline(time.Now()) })()
	if l.client, err = smtp.NewClient(l.conn, c.Host); err != nil {
		return err
	}
	if err := l.client.Hello(c.Hello); err != nil {
		return err
	}
	if c.Security == STARTTLS {
		if err := l.startTLS(); err != nil {
			return err
		}
	}
	if c.User != "" {
		if err := l.auth(); err != nil {
			return err
		}
	}
	l.mailer, err = mail.NewClient(c.Host, mail.WithTimeout(c.Timeout), mail.WithoutNoop())
	return err
}

// startTLS fails when the server does not offer STARTTLS: an attacker may have removed
// the offer.
func (l *smtpConn) startTLS() error {
	if offered, _ := l.client.Extension("STARTTLS"); !offered {
		return errors.New("it does not offer STARTTLS; nothing is sent in the clear")
	}
	return l.client.StartTLS(l.server.tlsConfig())
}

func (l *smtpConn) auth() error {
	offered, ways := l.client.Extension("AUTH")
	if !offered {
		return errors.New("it lets nobody sign in; leave mail.user empty or use its port for submission, mostly 587")
	}
	auth, err := l.server.auth(ways)
	if err != nil {
		return err
	}
	if err := l.client.Auth(auth); err != nil {
		return fmt.Errorf("signing in as %s: %w", l.server.c.User, err)
	}
	return nil
}

func (l *smtpConn) close() {
	l.unwatch()
	// QUIT must not delay closing.
	_ = l.conn.SetDeadline(time.Now().Add(min(l.server.c.Timeout, closeTimeout)))
	_ = l.client.Quit()
	l.conn.Close()
}

// result is what became of a message.
type result int

const (
	unavailable result = iota // the server takes no mail from this portal now
	accepted                  // the server is responsible for the message
	deferred                  // temporarily rejected
	rejected                  // permanently rejected
	unknown                   // the connection broke after the content was sent
)

// send sends one message. The error is the server's answer, for operators, and nil
// exactly when the message was accepted.
func (l *smtpConn) send(m *mail.Msg) (result, error) {
	err := l.mailer.SendWithSMTPClient(l.client, m)
	if m.IsDelivered() {
		return accepted, nil // even if the connection failed afterwards
	}
	var sent *mail.SendError
	if err == nil {
		err = errors.New("it was not sent, without a reason")
	}
	if !errors.As(err, &sent) {
		return unavailable, err
	}
	// The rest repeats the address and the Message-ID.
	said, _, _ := strings.Cut(sent.Error(), ", affected ")
	return classify(sent), errors.New(said)
}

// classify maps a server's answer to a result. Answers about the sender address or
// missing permission concern the portal and not this message, and so does the end of
// the service (421, RFC 5321 section 3.8).
func classify(e *mail.SendError) result {
	code := e.ErrorCode()
	text := e.Reason == mail.ErrWriteContent || e.Reason == mail.ErrSMTPDataClose
	switch {
	case code == 0 && text:
		return unknown
	case code == 0, code == 421, code == 530, code == 535, code == 538:
		return unavailable
	case e.Reason == mail.ErrSMTPMailFrom:
		return unavailable
	case e.Reason == mail.ErrSMTPRcptTo && strings.HasPrefix(e.EnhancedStatusCode(), "5.7."):
		// Missing permission (RFC 3463 section 3.8), mostly "relay access denied". A
		// server that is misconfigured for a while must not end all messages.
		return deferred
	case code >= 500:
		return rejected
	}
	return deferred
}
