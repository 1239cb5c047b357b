package web

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"certportal/internal/deliver"
	"certportal/internal/portal"
	"certportal/web/page"
)

// UserNameForm is the form of the user name for Exchange.
type UserNameForm string

// The forms.
const (
	UserNameUPN    UserNameForm = "upn"    // the user principal name
	UserNameMail   UserNameForm = "mail"   // the mail address; of people without, the UPN
	UserNameDomain UserNameForm = "domain" // DOMAIN\user, from the directory: not in the certificate
)

// Exchange is the server whose mailboxes people open with a certificate.
type Exchange struct {
	// Host is the name of the server, with ":port" when it is not 443.
	Host string

	// UserName is optional; the default is UserNameUPN.
	UserName UserNameForm

	// Domain is the NetBIOS name before the backslash, for UserNameDomain.
	Domain string

	// SyncDays, SMIMESign and SMIMEEncrypt go into the profiles of phones, see
	// [deliver.Exchange].
	SyncDays                deliver.SyncDays
	SMIMESign, SMIMEEncrypt bool
}

// check refuses settings that would fail on every phone.
func (e *Exchange) check() error {
	switch {
	case e == nil:
		return nil
	case !deliver.ValidExchangeHost(e.Host):
		return fmt.Errorf("web: Exchange host %.80q is not a host name", e.Host)
	case !deliver.ValidSyncDays(e.SyncDays):
		return fmt.Errorf("web: Exchange sync of %d days: want 1, 3, 7, 14, 31 or all", e.SyncDays)
	case !slices.Contains([]UserNameForm{"", UserNameUPN, UserNameMail, UserNameDomain}, e.UserName):
		return fmt.Errorf("web: Exchange user name %.80q: want %q, %q or %q",
			string(e.UserName), UserNameUPN, UserNameMail, UserNameDomain)
	case e.UserName == UserNameDomain && !validDomain(e.Domain):
		return fmt.Errorf("web: Exchange domain %.80q: want a NetBIOS name of 1 to 15 characters", e.Domain)
	}
	return nil
}

// validDomain accepts NetBIOS domain names of letters, digits, "-", "_" and ".".
func validDomain(name string) bool {
	foreign := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '_' && r != '.'
	}
	return name != "" && utf8.RuneCountInString(name) <= 15 && !strings.ContainsFunc(name, foreign)
}

// mailbox is the mailbox of the person in the device's certificate; empty without
// Exchange. Its names come from the certificate: the user name of a phone must match
// the certificate it presents. Only DOMAIN\user is read from the directory, and only
// if that person still has the certificate's UPN.
func (s *Server) mailbox(ctx context.Context, d portal.Device) (page.Mailbox, error) {
	c := d.Certificate
	if s.exchange == nil {
		return page.Mailbox{}, nil
	}
	if c.UPN == "" {
		return page.Mailbox{}, errors.New("making mailbox: certificate without UPN")
	}
	leaf, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return page.Mailbox{}, fmt.Errorf("making mailbox: parsing certificate %s: %w", c.Serial, err)
	}
	names := portal.Person{UPN: c.UPN}
	if len(leaf.EmailAddresses) > 0 {
		names.Mail = leaf.EmailAddresses[0]
	}
	if s.exchange.UserName == UserNameDomain {
		person, err := s.registrar.Person(ctx, d.Person)
		if err != nil && !errors.Is(err, portal.ErrNotFound) {
			return page.Mailbox{}, err
		}
		if strings.EqualFold(person.UPN, c.UPN) {
			names.Login = person.Login
		}
	}
	return s.exchange.mailboxOf(names), nil
}

// mailboxOf is the mailbox of a person, whose mail and login may be empty.
func (e *Exchange) mailboxOf(p portal.Person) page.Mailbox {
	m := page.Mailbox{Host: e.Host, User: p.UPN, Address: p.Mail}
	switch {
	case e.UserName == UserNameMail && p.Mail != "":
		m.User = p.Mail
	case e.UserName == UserNameDomain && p.Login != "":
		m.User = e.Domain + `\` + p.Login
	}
	return m
}
