package notify

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	mail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// line is an open connection to the mail server.
type smtpConn struct {
	server  *Server
	conn    net.Conn
	client  *smtp.Client
	mailer  *mail.Client
	unwatch func() bool // the end of the context does not matter any more
}

// begin says hello, raises the connection to TLS and signs in.
func (l *smtpConn) handshake() (err error) {
	c := l.server.c
	if err := l.conn.SetDeadline(time.Now().Add(c.Timeout)); err != nil {
		return err
	}
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

// rise goes on in TLS or not at all: somebody on the way may have taken the offer
// out of the server's answer.
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
	// The politeness of QUIT must not take longer than a moment.
	_ = l.conn.SetDeadline(time.Now().Add(min(l.server.c.Timeout, closeTimeout)))
	_ = l.client.Quit()
	l.conn.Close()
}

// answer is what became of a letter.
type result int

const (
	unavailable result = iota // the server takes nothing from this portal now
	accepted                  // the server answers for it
	deferred                  // not now, but perhaps in a while
	rejected                  // never
	unknown                   // unknown: the connection ended when the text was out
)

// send hands a letter in. The error is what the server said, for operators; it is
// nil for taken alone.
func (l *smtpConn) send(m *mail.Msg) (result, error) {
	err := l.mailer.SendWithSMTPClient(l.client, m)
	if m.IsDelivered() {
		return accepted, nil // whatever was said afterwards
	}
	var sent *mail.SendError
	if err == nil {
		err = errors.New("it was not sent, without a reason")
	}
	if !errors.As(err, &sent) {
		return unavailable, err
	}
	// The rest of its words repeat the address and the Message-ID.
	said, _, _ := strings.Cut(sent.Error(), ", affected ")
	return classify(sent), errors.New(said)
}

// judge sorts a server's answer. The sender and the right to send are the portal's
// matter, whomever a letter is for: such a no is no letter's fault. So is the end
// of the service (421, RFC 5321 section 3.8).
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
		// A matter of right (RFC 3463 section 3.8), mostly "relay access denied": a server
		// that forgot this portal must not end every letter there is.
		return deferred
	case code >= 500:
		return rejected
	}
	return deferred
}
