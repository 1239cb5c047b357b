package config

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"certportal/internal/notify"
	"certportal/web/page"
)

// MailSettings name the server that takes the portal's letters: to people about
// their certificates, to operators about the portal.
type MailSettings struct {
	// Name of the mail server, such as mail.corp.example. It must stand in the
	// server's certificate. Empty: no mail is sent.
	Host string `yaml:"host"`

	// Its port. Default: 587, with security tls 465, with none 25.
	Port int `yaml:"port"`

	// How the way there is protected: starttls, or tls from the first byte, or none.
	Security string `yaml:"security"`

	// Account to sign in with. Empty: the server takes mail of this machine without.
	User string `yaml:"user"`

	// File with its password. Default: the systemd credential mail-password.
	PasswordFile string `yaml:"password_file"`

	// Sender, such as certificates@corp.example, or with a name before it:
	// Corp Certificates <certificates@corp.example>
	From string `yaml:"from"`

	// File with the CA certificates (PEM or DER) that sign the server's certificate.
	// Default: the CAs this machine trusts.
	CAFile string `yaml:"ca_file"`

	// Addresses of the operators of the portal: they get mail when accounts and
	// certificates part, when the watch over the directory stops, when issuing is
	// halted, and when the audit log was changed.
	Operators []string `yaml:"operators"`

	// Language of operators, and of people who never read a page: en, de or zh-Hans.
	Language string `yaml:"language"`

	// How many people get mail within an hour that their certificates must be replaced,
	// after an issuing CA was revoked. Perhaps one in ten calls the helpdesk: with 200 that
	// is a call every three minutes. 12 to 100000.
	RecallsPerHour int `yaml:"recalls_per_hour"`

	// Longest wait for an answer of the server.
	Timeout time.Duration `yaml:"timeout"`

	// Allow security none: anyone on the network path reads and changes the messages.
	InsecureNoTLS bool `yaml:"insecure_no_tls"`
}

func defaultMail() MailSettings {
	return MailSettings{Security: string(notify.STARTTLS), Language: page.English, Timeout: notify.DefaultTimeout, RecallsPerHour: notify.DefaultRecallsPerHour}
}

// mailPassword is the systemd credential with the password of the mail account.
const mailPassword = "mail-password"

// checkMail finds mistakes in the settings of the mail server.
func (s *Settings) checkMail() error {
	m := s.Mail
	var errs []error
	if !slices.Contains(page.Languages(), m.Language) {
		errs = append(errs, mistake("mail.language", m.Language, "choose en, de or zh-Hans"))
	}
	if m.Timeout < time.Second || m.Timeout > 5*time.Minute {
		errs = append(errs, mistake("mail.timeout", m.Timeout, "choose 1s to 5m"))
	}
	if m.RecallsPerHour < 12 || m.RecallsPerHour > 100_000 {
		errs = append(errs, mistake("mail.recalls_per_hour", m.RecallsPerHour, "choose 12 to 100000"))
	}
	for i, address := range m.Operators {
		if !notify.Deliverable(address) {
			errs = append(errs, mistake(fmt.Sprintf("mail.operators[%d]", i), address, "write one bare address, such as admin@corp.example"))
		}
	}
	if _, err := notify.ParseSender(m.From); m.From != "" && err != nil {
		errs = append(errs, mistake("mail.from", m.From, "write one address, such as certificates@corp.example, or with a name: Corp Certificates <certificates@corp.example>"))
	}
	if m.Host == "" {
		return errors.Join(append(errs, m.unused())...)
	}
	if !isHostName(m.Host) && !isAddress(m.Host) {
		errs = append(errs, mistake("mail.host", m.Host, "write a host name; the port goes into mail.port"))
	}
	if m.Port < 0 || m.Port > 65535 {
		errs = append(errs, mistake("mail.port", m.Port, "choose 1 to 65535, or leave it out"))
	}
	if m.From == "" {
		errs = append(errs, errors.New("mail.from: give the address the letters come from, such as certificates@corp.example"))
	}
	errs = append(errs, m.checkSecurity())
	if err := errors.Join(errs...); err != nil {
		return err
	}
	c := s.MailServer(nil)
	c.Password = func() (string, error) { return "", nil }
	if _, err := notify.NewServer(c); err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	return nil
}

func (m MailSettings) checkSecurity() error {
	switch notify.Security(m.Security) {
	case notify.STARTTLS, notify.TLS:
		return nil
	case notify.NoTLS:
	default:
		return mistake("mail.security", m.Security, "choose starttls, tls or none")
	}
	if !m.InsecureNoTLS {
		return mistake("mail.security", m.Security, "letters could be read and changed on the way: set mail.insecure_no_tls too, if that is meant")
	}
	if m.User != "" {
		return errors.New("mail.user: a password is never sent without TLS: leave it empty, or choose starttls or tls")
	}
	return nil
}

// unused refuses settings without effect when no server is set: the operator thinks that mail
// is on.
func (m MailSettings) unused() error {
	if m.From == "" && m.User == "" && len(m.Operators) == 0 {
		return nil
	}
	return errors.New("mail.host: name the mail server; without it no letter is sent")
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// checkMailFiles opens what the settings of mail name.
func (s *Settings) checkMailFiles() error {
	if s.Mail.Host == "" || s.Mail.User == "" {
		return nil
	}
	_, err := Credential(s.Mail.PasswordFile, mailPassword, "mail.password_file")
	return err
}

// MailServer carries the settings over, but for what is in files.
func (s *Settings) MailServer(public *url.URL) notify.ServerConfig {
	m := s.Mail
	c := notify.ServerConfig{
		Host: m.Host, Port: m.Port, Security: notify.Security(m.Security), User: m.User, From: m.From,
		Timeout: m.Timeout, Hello: helloName(public),
	}
	if m.User != "" {
		c.Password = func() (string, error) {
			secret, err := Credential(m.PasswordFile, mailPassword, "mail.password_file")
			return string(secret), err
		}
	}
	return c
}

// helloName is how the portal calls itself (RFC 5321 section 4.1.3).
func helloName(public *url.URL) string {
	if public == nil {
		return ""
	}
	address, err := netip.ParseAddr(public.Hostname())
	switch {
	case err != nil:
		return public.Hostname()
	case address.Is6():
		return "[IPv6:" + address.String() + "]"
	}
	return "[" + address.String() + "]"
}
