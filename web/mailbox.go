package web

import (
	"crypto/x509"
	"errors"
	"fmt"

	"certportal/deliver"
	"certportal/enroll"
	"certportal/web/page"
)

// UserNameForm is how a person signs in to Exchange.
type UserNameForm string

// The forms. DOMAIN\user is none of them: the certificate does not carry it.
const (
	UserNameUPN  UserNameForm = "upn"  // the user principal name
	UserNameMail UserNameForm = "mail" // the mail address; of people without, the UPN
)

// Exchange is the server whose mailboxes open with a certificate.
type Exchange struct {
	// Host is the name of the server, with ":port" when it is not 443.
	Host string

	// UserName is optional; the default is UserNameUPN.
	UserName UserNameForm

	// SyncDays, SMIMESign and SMIMEEncrypt go into the profiles of phones, as
	// deliver.Exchange tells.
	SyncDays                deliver.SyncDays
	SMIMESign, SMIMEEncrypt bool
}

// check refuses what would fail on every phone.
func (e *Exchange) check() error {
	switch {
	case e == nil:
		return nil
	case !deliver.ValidExchangeHost(e.Host):
		return fmt.Errorf("web: Exchange host %.80q is not a host name", e.Host)
	case !deliver.ValidSyncDays(e.SyncDays):
		return fmt.Errorf("web: Exchange sync of %d days: want 1, 3, 7, 14, 31 or all", e.SyncDays)
	case e.UserName != "" && e.UserName != UserNameUPN && e.UserName != UserNameMail:
		return fmt.Errorf("web: Exchange user name %.80q: want %q or %q", string(e.UserName), UserNameUPN, UserNameMail)
	}
	return nil
}

// mailbox is the mailbox of whom a certificate names; empty without Exchange. Its
// names are those of the certificate: what a phone signs in with must not differ
// from what it shows.
func (e *Exchange) mailbox(c enroll.Certificate) (page.Mailbox, error) {
	if e == nil {
		return page.Mailbox{}, nil
	}
	if c.UPN == "" {
		return page.Mailbox{}, errors.New("making mailbox: certificate without UPN")
	}
	leaf, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return page.Mailbox{}, fmt.Errorf("making mailbox: parsing certificate %s: %w", c.Serial, err)
	}
	address := ""
	if len(leaf.EmailAddresses) > 0 {
		address = leaf.EmailAddresses[0]
	}
	return e.mailboxOf(c.UPN, address), nil
}

// mailboxOf is the mailbox of a name and an address, which may be empty.
func (e *Exchange) mailboxOf(upn, address string) page.Mailbox {
	m := page.Mailbox{Host: e.Host, User: upn, Address: address}
	if e.UserName == UserNameMail && address != "" {
		m.User = address
	}
	return m
}
