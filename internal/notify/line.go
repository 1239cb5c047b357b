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
type line struct {
	server *Server
	conn   net.Conn
	client *smtp.Client
	sender *mail.Client
	forget func() bool // the end of the context does not matter any more
}

// begin says hello, raises the connection to TLS and signs in.
func (l *line) begin() (err error) {
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
		if err := l.rise(); err != nil {
			return err
		}
	}
	if c.User != "" {
		if err := l.signIn(); err != nil {
			return err
		}
	}
	l.sender, err = mail.NewClient(c.Host, mail.WithTimeout(c.Timeout), mail.WithoutNoop())
	return err
}

// rise goes on in TLS or not at all: somebody on the way may have taken the offer
// out of the server's answer.
func (l *line) rise() error {
	if offered, _ := l.client.Extension("STARTTLS"); !offered {
		return errors.New("it does not offer STARTTLS; nothing is sent in the clear")
	}
	return l.client.StartTLS(l.server.tlsConfig())
}

func (l *line) signIn() error {
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

func (l *line) close() {
	l.forget()
	// The politeness of QUIT must not take longer than a moment.
	_ = l.conn.SetDeadline(time.Now().Add(min(l.server.c.Timeout, lastMoment)))
	_ = l.client.Quit()
	l.conn.Close()
}

// answer is what became of a letter.
type answer int

const (
	down    answer = iota // the server takes nothing from this portal now
	taken                 // the server answers for it
	later                 // not now, but perhaps in a while
	refused               // never
	broken                // unknown: the connection ended when the text was out
)

// send hands a letter in. The error is what the server said, for operators; it is
// nil for taken alone.
func (l *line) send(m *mail.Msg) (answer, error) {
	err := l.sender.SendWithSMTPClient(l.client, m)
	if m.IsDelivered() {
		return taken, nil // whatever was said afterwards
	}
	var sent *mail.SendError
	if err == nil {
		err = errors.New("it was not sent, without a reason")
	}
	if !errors.As(err, &sent) {
		return down, err
	}
	// The rest of its words repeat the address and the Message-ID.
	said, _, _ := strings.Cut(sent.Error(), ", affected ")
	return judge(sent), errors.New(said)
}

// judge sorts a server's answer. The sender and the right to send are the portal's
// matter, whomever a letter is for: such a no is no letter's fault. So is the end
// of the service (421, RFC 5321 section 3.8).
func judge(e *mail.SendError) answer {
	code := e.ErrorCode()
	text := e.Reason == mail.ErrWriteContent || e.Reason == mail.ErrSMTPDataClose
	switch {
	case code == 0 && text:
		return broken
	case code == 0, code == 421, code == 530, code == 535, code == 538:
		return down
	case e.Reason == mail.ErrSMTPMailFrom:
		return down
	case e.Reason == mail.ErrSMTPRcptTo && strings.HasPrefix(e.EnhancedStatusCode(), "5.7."):
		// A matter of right (RFC 3463 section 3.8), mostly "relay access denied": a server
		// that forgot this portal must not end every letter there is.
		return later
	case code >= 500:
		return refused
	}
	return later
}
