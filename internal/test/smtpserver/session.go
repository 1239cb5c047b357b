package smtpserver

import (
	"io"
	"slices"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// session is one SMTP session.
type session struct {
	server *Server
	conn   *smtp.Conn
	user   string
	mail   Mail
}

var wrongPassword = &smtp.SMTPError{Code: 535, EnhancedCode: smtp.EnhancedCode{5, 7, 8}, Message: "wrong username or password"}

func (s *session) AuthMechanisms() []string { return s.server.c.Ways }

func (s *session) Auth(way string) (sasl.Server, error) {
	if !slices.Contains(s.server.c.Ways, way) {
		return nil, smtp.ErrAuthUnknownMechanism
	}
	if way == sasl.Login {
		return &loginServer{session: s}, nil
	}
	return sasl.NewPlainServer(func(_, user, password string) error { return s.signIn(user, password) }), nil
}

func (s *session) signIn(user, password string) error {
	if user != User || password != Password {
		return wrongPassword
	}
	s.user = user
	return nil
}

// loginServer implements AUTH LOGIN, which Exchange offers: two prompts, two responses. It
// has no published standard.
type loginServer struct {
	session *session
	step    int
	user    string
}

func (l *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	l.step++
	switch {
	case l.step == 1 && response == nil:
		return []byte("Username:"), false, nil
	case l.user == "":
		l.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.session.signIn(l.user, string(response))
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if s.server.c.MustLogin && s.user == "" {
		return smtp.ErrAuthRequired
	}
	_, secure := s.conn.TLSConnectionState()
	s.mail = Mail{From: from, Secure: secure, User: s.user, Hello: s.conn.Hostname()}
	if s.server.sender != nil {
		return s.server.sender
	}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.asked = append(s.server.asked, to)
	if refusal := s.server.refuse[to]; refusal != nil {
		return refusal
	}
	s.mail.To = append(s.mail.To, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.server.mu.Lock()
	hold := s.server.hold
	s.server.mu.Unlock()
	if hold != nil {
		<-hold
	}
	s.mail.Raw = raw
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.taken = append(s.server.taken, s.mail)
	close(s.server.arrived)
	s.server.arrived = make(chan struct{})
	return nil
}

func (s *session) Reset()        { s.mail = Mail{} }
func (s *session) Logout() error { return nil }
