package notify_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/notify"
	"certportal/internal/portal"
	"certportal/internal/test/smtpserver"
	"certportal/internal/test/testkit"
)

// A rejected recipient ends that message and no other.
func TestARefusedRecipientEndsItsLetterAlone(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	d.server.Refuse("anna@corp.example", 550, "no such user here")
	d.issue(anna, "iPhone", year)
	d.issue("bob", "Pixel", year)
	d.write()
	only(t, d.send(), "bob@corp.example")
	state := d.state()
	testkit.Equal(t, "waiting", state.Waiting, 0)
	testkit.Equal(t, "failed", state.Failed, 1)
	testkit.Equal(t, "mail fails", state.Failing, time.Time{})
	failed, err := d.db.FailedMessages(t.Context(), 10)
	if err != nil || len(failed) != 1 {
		t.Fatalf("got %v, %v", failed, err)
	}
	testkit.Equal(t, "to", failed[0].To, "anna@corp.example")
	testkit.Equal(t, "person", failed[0].Person, anna)
	testkit.Equal(t, "kind", failed[0].Kind, notify.Issued)
	testkit.Contains(t, "why", failed[0].Reason, "no such user here")
	entries, err := d.db.Entries(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	last := entries[len(entries)-1]
	testkit.Equal(t, "action", last.Action, audit.MailFailed)
	testkit.Equal(t, "whose", last.Person, string(anna))
	testkit.Contains(t, "why in the ledger", last.Detail["why"], "no such user here")
	d.clock.Advance(48 * time.Hour)
	testkit.Equal(t, "mails in all", len(d.send()), 1)
	testkit.Equal(t, "asked for", fmt.Sprint(d.server.Asked()), fmt.Sprint(d.server.Asked()[:2]))
}

// A server that lost the permission of this portal rejects each recipient. Messages
// wait until it is configured again.
func TestARefusedRelayEndsNoLetter(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	d.server.Refuse("anna@corp.example", 554, "5.7.1 Relay access denied")
	d.issue(anna, "iPhone", year)
	d.write()
	testkit.Equal(t, "mails", len(d.send()), 0)
	testkit.Equal(t, "waiting", d.state().Waiting, 1)
	testkit.Equal(t, "failed", d.state().Failed, 0)
	d.server.Refuse("anna@corp.example", 0, "")
	d.clock.Advance(time.Hour)
	only(t, d.send(), "anna@corp.example")
}

// Greylisting: a temporarily rejected message is retried eight times within a day.
func TestALetterPutOffIsTriedEightTimes(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	d.server.Refuse("anna@corp.example", 451, "greylisted, come back")
	d.issue(anna, "iPhone", year)
	d.write()
	began, tries := d.clock.Now(), 0
	for d.state().Waiting > 0 && d.clock.Now().Sub(began) < 10*24*time.Hour {
		d.send()
		tries = len(d.server.Asked())
		d.clock.Advance(time.Minute)
	}
	testkit.Equal(t, "tries", tries, 8)
	if took := d.clock.Now().Sub(began); took < 20*time.Hour || took > 24*time.Hour {
		t.Errorf("given up after %v", took)
	}
	testkit.Equal(t, "failed", d.state().Failed, 1)
	testkit.Equal(t, "mail fails", d.state().Failing, time.Time{})
}

func TestAGreylistedLetterArrives(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	d.server.Refuse("anna@corp.example", 451, "greylisted, come back")
	d.issue(anna, "iPhone", year)
	d.write()
	testkit.Equal(t, "mails", len(d.send()), 0)
	d.server.Refuse("anna@corp.example", 0, "")
	testkit.Equal(t, "mails too early", len(d.send()), 0)
	d.clock.Advance(6 * time.Minute)
	only(t, d.send(), "anna@corp.example")
	testkit.Equal(t, "waiting", d.state().Waiting, 0)
}

// A dead server delays all messages and counts no attempt. It is logged once.
func TestADeadServerDelaysAllWithoutBurningTries(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	d.server.Down()
	d.issue(anna, "iPhone", year)
	d.issue("bob", "Pixel", year)
	d.write()
	for range 200 {
		if err := d.Deliver(t.Context()); err == nil && d.state().Failing.IsZero() {
			t.Fatal("mail to a dead server works")
		}
		d.clock.Advance(10 * time.Minute)
	}
	state := d.state()
	testkit.Equal(t, "waiting", state.Waiting, 2)
	testkit.Equal(t, "failing since", state.Failing, testkit.Noon)
	testkit.Contains(t, "why", state.Reason, "connecting to mail server")
	testkit.Equal(t, "errors logged", d.log.Count("level=ERROR"), 1)
	d.server.Up(t)
	d.clock.Advance(10 * time.Minute)
	testkit.Equal(t, "mails", len(d.send()), 2)
	state = d.state()
	testkit.Equal(t, "failing since", state.Failing, time.Time{})
	testkit.Equal(t, "last sent", state.Sent, d.clock.Now())
	testkit.Equal(t, "waiting", state.Waiting, 0)
	testkit.Equal(t, "returns logged", d.log.Count("mail works again"), 1)
}

// A server that is back counts as working even if its first answer is a rejection.
func TestAServerThatAnswersWorks(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	d.server.Down()
	d.issue(anna, "iPhone", year)
	d.write()
	if err := d.Deliver(t.Context()); err == nil {
		t.Fatal("mail to a dead server works")
	}
	d.server.Refuse("anna@corp.example", 550, "no such user here")
	d.server.Up(t)
	d.clock.Advance(time.Hour)
	d.send()
	testkit.Equal(t, "failing since", d.state().Failing, time.Time{})
	testkit.Equal(t, "why", d.state().Reason, "")
	testkit.Equal(t, "returns logged", d.log.Count("mail works again"), 1)
}

// A server that stays down must not fill the outbox forever.
func TestALetterTooOldIsGivenUp(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	d.issue(anna, "iPhone", year)
	d.write()
	d.server.Down()
	d.clock.Advance(notify.GiveUpAfter + time.Minute)
	if err := d.Deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	testkit.Equal(t, "waiting", d.state().Waiting, 0)
	testkit.Equal(t, "failed", d.state().Failed, 1)
}

// Broken or misconfigured servers: nothing is sent or lost, no attempt is counted, and
// the error says what to check.
func TestServersThatTakeNoMail(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		server smtpserver.Config
		talk   func(net.Conn) // instead of a server
		change func(*notify.ServerConfig)
		want   string
	}{
		{name: "no STARTTLS", server: smtpserver.Config{NoTLS: true}, want: "does not offer STARTTLS"},
		{name: "another name in the certificate", server: smtpserver.Config{Names: []string{"mail.elsewhere.example"}}, want: "write in mail.host the name that stands in it"},
		{name: "a CA nobody trusts", change: func(c *notify.ServerConfig) { c.Roots = nil }, want: "name that CA in mail.ca_file"},
		{name: "TLS at once, asked in the clear", server: smtpserver.Config{AtOnce: true}, change: hasty, want: "(mail.security tls)"},
		{name: "in the clear, asked for TLS", change: func(c *notify.ServerConfig) { c.Security = notify.TLS }, want: "try mail.security starttls"},
		{name: "wrong password", server: smtpserver.Config{Ways: []string{"PLAIN"}}, change: login("wrong"), want: "signing in as " + smtpserver.User},
		{name: "no sign-in", change: login(smtpserver.Password), want: "it lets nobody sign in"},
		{name: "no way to sign in", server: smtpserver.Config{Ways: []string{"GSSAPI"}}, change: login(smtpserver.Password), want: `offers "GSSAPI"`},
		{name: "password file gone", server: smtpserver.Config{Ways: []string{"PLAIN"}}, change: func(c *notify.ServerConfig) {
			c.User, c.Password = smtpserver.User, func() (string, error) { return "", errors.New("no such file") }
		}, want: "no such file"},
		{name: "strangers not welcome", server: smtpserver.Config{MustLogin: true, Ways: []string{"PLAIN"}}, want: "Please authenticate"},
		{name: "hangs", talk: func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, change: hasty, want: "no answer within"},
		{name: "hangs up", talk: func(net.Conn) {}, want: "hung up"},
		{name: "crumbs", talk: func(c net.Conn) { crumbs(c) }, change: hasty, want: "greeting mail server"},
		{name: "nonsense", talk: func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }, want: "greeting mail server"},
		{name: "too busy", talk: func(c net.Conn) { fmt.Fprint(c, "421 4.3.2 too busy\r\n") }, want: "too busy"},
		{name: "a line without end", talk: func(c net.Conn) { endless(c) }, want: "says more than a mail server would"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := smtpserver.Start(t, tt.server)
			d := open(t, func(c *notify.Config, s *notify.ServerConfig) {
				s.Port, s.Roots = server.Port(), server.Roots()
				if tt.talk != nil {
					s.Port = smtpserver.Speak(t, tt.talk)
				}
				if tt.change != nil {
					tt.change(s)
				}
			})
			d.issue(anna, "iPhone", year)
			d.write()
			err := d.Deliver(t.Context())
			if err == nil {
				t.Fatal("the mail was sent")
			}
			testkit.Contains(t, "error", err.Error(), tt.want)
			testkit.Contains(t, "state", d.state().Reason+strings.Repeat(".", 200), strings.SplitN(err.Error(), ":", 2)[0])
			testkit.Equal(t, "mails", len(server.Mails()), 0)
			msgs, err := d.db.ClaimMessages(t.Context(), d.clock.Now(), d.clock.Now().Add(time.Minute), 10)
			if err != nil || len(msgs) != 1 {
				t.Fatalf("waiting msgs: %v, %v", msgs, err)
			}
			testkit.Equal(t, "tries", msgs[0].Tries, 0)
		})
	}
}

func login(password string) func(*notify.ServerConfig) {
	return func(c *notify.ServerConfig) {
		c.User, c.Password = smtpserver.User, func() (string, error) { return password, nil }
	}
}

// hasty shortens the timeout for tests.
func hasty(c *notify.ServerConfig) { c.Timeout = 300 * time.Millisecond }

// crumbs sends one byte after the other while the client reads.
func crumbs(c net.Conn) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := c.Write([]byte("2")); err != nil {
			return
		}
	}
}

func endless(c net.Conn) {
	much := []byte(strings.Repeat("2", 64<<10))
	for {
		if _, err := c.Write(much); err != nil {
			return
		}
	}
}

func TestWaysToSignIn(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"PLAIN", "LOGIN"} {
		t.Run(way, func(t *testing.T) {
			server := smtpserver.Start(t, smtpserver.Config{Ways: []string{way}, MustLogin: true})
			d := open(t, func(_ *notify.Config, s *notify.ServerConfig) {
				s.Port, s.Roots = server.Port(), server.Roots()
				login(smtpserver.Password)(s)
			})
			d.issue(anna, "iPhone", year)
			d.write()
			d.send()
			mails := server.Mails()
			only(t, mails, "anna@corp.example")
			testkit.Equal(t, "user", mails[0].User, smtpserver.User)
			testkit.Equal(t, "in TLS", mails[0].Secure, true)
			testkit.Equal(t, "greeting", mails[0].Hello, "portal.corp.example")
			testkit.Equal(t, "sender", mails[0].From, "portal@corp.example")
		})
	}
}

func TestTLSAtOnce(t *testing.T) {
	t.Parallel()
	server := smtpserver.Start(t, smtpserver.Config{AtOnce: true})
	d := open(t, func(_ *notify.Config, s *notify.ServerConfig) {
		s.Port, s.Roots, s.Security = server.Port(), server.Roots(), notify.TLS
	})
	if err := d.SendTest(t.Context(), "root@corp.example"); err != nil {
		t.Fatal(err)
	}
	l := only(t, server.Mails(), "root@corp.example")
	testkit.Equal(t, "subject", l.Subject, "Test mail of Corp Certificates")
}

// TestA4_CodeInAMail sends a code to the person's address of the directory at once, in
// their language; the store never holds it.
func TestA4_CodeInAMail(t *testing.T) {
	t.Parallel()
	const code = "7F3K-9QXM-2WTA"
	for _, lang := range []string{"en", "de", "zh-Hans"} {
		d := open(t, nil)
		testkit.NoError(t, d.db.SetLanguage(t.Context(), anna, lang))
		to := portal.Person{ID: anna, Name: "Anna", Mail: "anna@corp.example"}
		testkit.NoError(t, d.SendCode(t.Context(), to, code, testkit.Noon.Add(day), true))
		l := only(t, d.server.Mails(), "anna@corp.example")
		testkit.Contains(t, "text", l.Text, code)
		testkit.Contains(t, "HTML", l.HTML, code)
		testkit.Contains(t, "approval", l.Text, map[string]string{"en": "second person", "de": "zweite Person", "zh-Hans": "另一位同事"}[lang])
		testkit.Equal(t, "language", l.Header.Get("Content-Language"), lang)
		if strings.Contains(l.Subject, code) {
			t.Error("the subject, which locked phones show, holds the code")
		}
		if msgs := testkit.Must(d.db.ClaimMessages(t.Context(), testkit.Noon.Add(day), testkit.Noon.Add(2*day), 10))(t); len(msgs) != 0 {
			t.Errorf("the outbox holds %+v", msgs)
		}
	}
	for _, to := range []portal.Person{{ID: anna}, {ID: anna, Mail: "desk@corp.example", MailShared: true}} {
		d := open(t, nil)
		if err := d.SendCode(t.Context(), to, code, testkit.Noon, false); !errors.Is(err, portal.ErrNotFound) || d.Reaches(to) {
			t.Errorf("without an address: got %v", err)
		}
	}
}

// Plaintext only when configured, and never with a password.
func TestInTheClear(t *testing.T) {
	t.Parallel()
	server := smtpserver.Start(t, smtpserver.Config{NoTLS: true})
	d := open(t, func(_ *notify.Config, s *notify.ServerConfig) { s.Port, s.Security = server.Port(), notify.NoTLS })
	d.issue(anna, "iPhone", year)
	d.write()
	d.send()
	only(t, server.Mails(), "anna@corp.example")
	_, err := notify.NewServer(notify.ServerConfig{
		Host: "mail", From: "portal@corp.example", Security: notify.NoTLS, User: "u", Password: func() (string, error) { return "", nil },
	})
	if err == nil {
		t.Error("a password would be sent in the clear")
	}
}

// A rejected sender address is the portal's fault, not a message's.
func TestARefusedSenderIsNoLettersFault(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	d.server.RefuseSender(550, "sender not allowed")
	d.issue(anna, "iPhone", year)
	d.write()
	if err := d.Deliver(t.Context()); err == nil {
		t.Fatal("sent")
	}
	testkit.Equal(t, "waiting", d.state().Waiting, 1)
	testkit.Contains(t, "why", d.state().Reason, "sender not allowed")
	d.server.RefuseSender(0, "")
	d.clock.Advance(time.Minute)
	only(t, d.send(), "anna@corp.example")
}

// When the connection breaks after the content, the message may have arrived. It is
// retried, but not forever.
func TestALetterTheServerChokesOn(t *testing.T) {
	t.Parallel()
	port := smtpserver.Speak(t, func(c net.Conn) { choke(c) })
	d := open(t, func(_ *notify.Config, s *notify.ServerConfig) { s.Port, s.Security = port, notify.NoTLS })
	d.issue(anna, "iPhone", year)
	d.write()
	tries := 0
	for d.state().Waiting > 0 && tries < 20 {
		if err := d.Deliver(t.Context()); err != nil {
			tries++
		}
		d.clock.Advance(13 * time.Hour)
	}
	testkit.Equal(t, "failed", d.state().Failed, 1)
	if tries > 8 {
		t.Errorf("tried %d times", tries)
	}
}

// choke accepts a message and hangs up instead of answering.
func choke(c net.Conn) {
	say := func(s string) { fmt.Fprint(c, s+"\r\n") }
	say("220 mail")
	buffer, text := make([]byte, 4096), false
	for {
		n, err := c.Read(buffer)
		if err != nil {
			return
		}
		got := string(buffer[:n])
		switch {
		case text && strings.Contains(got, "\r\n.\r\n"):
			return
		case text:
		case strings.HasPrefix(got, "DATA"):
			text = true
			say("354 go on")
		default:
			say("250 fine")
		}
	}
}

// The end of the program neither loses nor duplicates a message in transit.
func TestTheEndOfTheProgramReleasesLetters(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	d.issue(anna, "iPhone", year)
	d.write()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := d.Deliver(ctx); err == nil {
		t.Fatal("sent after the end")
	}
	testkit.Equal(t, "mail fails", d.state().Failing, time.Time{})
	only(t, d.send(), "anna@corp.example")
}

// While a sender waits for the mail server it keeps its messages, however long that takes.
// When it dies, another sender has them after one claim.
func TestASenderKeepsItsMessagesWhileItLives(t *testing.T) {
	t.Parallel()
	const claim = 30 * time.Millisecond
	renewed := make(chan time.Time, 100)
	d := open(t, func(c *notify.Config, _ *notify.ServerConfig) { c.Store, c.Claim = renewals{c.Store, renewed}, claim })
	other := d.replica(nil)
	release := d.server.Hold()
	defer release()
	d.issue(anna, "iPhone", year)
	d.write()
	done := make(chan error, 1)
	go func() { done <- d.Deliver(context.WithoutCancel(t.Context())) }()
	for range 3 { // longer than the first claim
		d.clock.Advance(claim)
		for until := range renewed {
			if until.Equal(d.clock.Now().Add(claim)) {
				break
			}
		}
		testkit.NoError(t, other.Deliver(t.Context()))
	}
	release()
	testkit.NoError(t, <-done)
	testkit.Equal(t, "mails", len(d.server.Mails()), 1)

	d.issue("bob", "Pixel", year)
	d.write()
	now := d.clock.Now()
	testkit.Equal(t, "messages of a sender that dies", len(testkit.Must(d.db.ClaimMessages(t.Context(), now, now.Add(claim), 10))(t)), 1)
	testkit.NoError(t, other.Deliver(t.Context()))
	testkit.Equal(t, "mails while it may live", len(d.server.Mails()), 1)
	d.clock.Advance(claim)
	testkit.NoError(t, other.Deliver(t.Context()))
	testkit.Equal(t, "mails after its claim", len(d.server.Mails()), 2)
}

// After a pause longer than its claim, a sender leaves to others what they claimed meanwhile.
func TestASenderSendsNothingThatAnotherOneClaimed(t *testing.T) {
	t.Parallel()
	const claim = 30 * time.Millisecond
	renewed := make(chan time.Time, 100)
	var taken []notify.Message
	var d *harness
	steal := stealing{renewals: renewals{until: renewed}, steal: sync.OnceFunc(func() {
		later := d.clock.Now().Add(time.Hour)
		taken = testkit.Must(d.db.ClaimMessages(t.Context(), later, later.Add(time.Hour), 10))(t)
	})}
	d = open(t, func(c *notify.Config, _ *notify.ServerConfig) { steal.Store, c.Store, c.Claim = c.Store, &steal, claim })
	release := d.server.Hold()
	defer release()
	d.issue(anna, "iPhone", year)
	d.issue("bob", "Pixel", year)
	d.write()
	done := make(chan error, 1)
	go func() { done <- d.Deliver(context.WithoutCancel(t.Context())) }()
	<-renewed // the first message is on its way, the claims are gone
	release()
	testkit.NoError(t, <-done)
	testkit.Equal(t, "claimed by the other sender", len(taken), 2)
	testkit.Equal(t, "mails", len(d.server.Mails()), 1)
}

// stealing is a store in which another sender claims all messages before the first renewal.
type stealing struct {
	renewals
	steal func()
}

func (s *stealing) ExtendClaims(ctx context.Context, msgs []notify.Message, until time.Time) ([]string, error) {
	s.steal()
	return s.renewals.ExtendClaims(ctx, msgs, until)
}

// renewals is a store that shows how claims are extended.
type renewals struct {
	notify.Store
	until chan<- time.Time
}

func (s renewals) ExtendClaims(ctx context.Context, msgs []notify.Message, until time.Time) ([]string, error) {
	held, err := s.Store.ExtendClaims(ctx, msgs, until)
	select {
	case s.until <- until:
	default:
	}
	return held, err
}

// Acts do not wait for mail: while a server holds a message, acts and the collector go
// on.
func TestAHangingServerHoldsNothingUp(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	release := d.server.Hold()
	defer release()
	d.issue(anna, "iPhone", year)
	d.write()
	done := make(chan error, 1)
	go func() { done <- d.Deliver(context.WithoutCancel(t.Context())) }()
	d.issue("bob", "Pixel", year)
	d.revoke(portal.Lost, portal.Employee, "bob")
	d.write()
	testkit.Equal(t, "waiting", d.state().Waiting, 2)
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	d.send()
	testkit.Equal(t, "mails", len(d.server.Mails()), 2)
}

func TestCheck(t *testing.T) {
	t.Parallel()
	server := smtpserver.Start(t, smtpserver.Config{Ways: []string{"PLAIN"}, MustLogin: true})
	c := notify.ServerConfig{Host: server.Host(), Port: server.Port(), Roots: server.Roots(), From: "portal@corp.example"}
	login(smtpserver.Password)(&c)
	s, err := notify.NewServer(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	testkit.Equal(t, "mails", len(server.Mails()), 0)
	server.Down()
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "connecting to mail server 127.0.0.1:") {
		t.Errorf("got error %v", err)
	}
}

// A check whose context ends before the timeout ends with it, and says how long it waited.
func TestCheckEndsWithItsContext(t *testing.T) {
	t.Parallel()
	port := smtpserver.Speak(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	s := testkit.Must(notify.NewServer(notify.ServerConfig{Host: "127.0.0.1", Port: port, From: "portal@corp.example", Timeout: time.Hour}))(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := s.Check(ctx)
	if err == nil || !strings.Contains(err.Error(), "no answer within") || strings.Contains(err.Error(), "1h") {
		t.Errorf("got error %v", err)
	}
}

func TestServerConfig(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		c    notify.ServerConfig
	}{
		{"no host", notify.ServerConfig{From: "portal@corp.example"}},
		{"no sender", notify.ServerConfig{Host: "mail"}},
		{"two senders", notify.ServerConfig{Host: "mail", From: "a@corp.example, b@corp.example"}},
		{"a line in the sender", notify.ServerConfig{Host: "mail", From: "a@corp.example\r\nBcc: b@corp.example"}},
		{"unknown security", notify.ServerConfig{Host: "mail", From: "a@corp.example", Security: "maybe"}},
		{"user without password", notify.ServerConfig{Host: "mail", From: "a@corp.example", User: "u"}},
		{"port", notify.ServerConfig{Host: "mail", From: "a@corp.example", Port: 70000}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := notify.NewServer(tt.c); err == nil {
				t.Error("taken")
			}
		})
	}
}
