package deliver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// SyncDays is how many days of mail a phone fetches: 1, 3, 7, 14, 31 or SyncAll.
// The zero value is a week.
type SyncDays int

// SyncAll fetches all mail; its value in Apple's key is 0.
const SyncAll SyncDays = -1

// Exchange is the Exchange ActiveSync account of a phone. It authenticates with the
// identity of the same profile, without a password, so that a password change does
// not break it.
type Exchange struct {
	// Host is the name of the server, with ":port" when it is not 443.
	Host string

	// UserName is the login name, the UPN or DOMAIN\user: the payload has no key for a
	// domain.
	UserName string

	// EmailAddress is the person's address. Optional; without it the phone asks.
	EmailAddress string

	// SyncDays is optional; the default is a week.
	SyncDays SyncDays

	// SMIMESign signs all mail with the identity; the person can turn it off.
	SMIMESign bool

	// SMIMEEncrypt decrypts mail with the identity and offers to encrypt each message.
	// A renewed identity cannot decrypt mail for the previous one.
	SMIMEEncrypt bool
}

// ValidSyncDays reports whether Apple's key accepts the number of days.
func ValidSyncDays(d SyncDays) bool {
	return slices.Contains([]SyncDays{SyncAll, 0, 1, 3, 7, 14, 31}, d)
}

// ValidExchangeHost reports whether the text is a valid host of an account: a name or
// address with an optional port, without scheme and path.
func ValidExchangeHost(host string) bool {
	foreign := func(r rune) bool {
		return (r|0x20 < 'a' || r|0x20 > 'z') && (r < '0' || r > '9') && !strings.ContainsRune(".-:[]", r)
	}
	return host != "" && len(host) <= 255+len(":65535") && !strings.ContainsFunc(host, foreign)
}

// check refuses an account that a phone could not set up.
func (e Exchange) check() error {
	switch {
	case !ValidExchangeHost(e.Host):
		return fmt.Errorf("exchange host %.80q is not a host name", e.Host)
	case cleanText(e.UserName) == "":
		return errors.New("exchange user name is empty")
	case cleanText(e.UserName) != e.UserName, cleanText(e.EmailAddress) != e.EmailAddress:
		// A cleaned name could be that of another account.
		return errors.New("exchange user name or address holds characters that cannot be shown")
	case !ValidSyncDays(e.SyncDays):
		return fmt.Errorf("exchange sync of %d days: want 1, 3, 7, 14, 31 or all", e.SyncDays)
	}
	return nil
}

// account makes the payload of the Exchange account.
func (p Profile) account(identity string) accountPlist {
	e := p.Exchange
	payload := accountPlist{
		payloadHead: p.head("com.apple.eas.account", p.Identifier, "exchange"),
		Host:        e.Host, UserName: e.UserName, EmailAddress: e.EmailAddress,
		SSL: true, PayloadCertificateUUID: identity,
	}
	payload.PayloadDisplayName = cleanText(p.Organization)
	switch e.SyncDays {
	case SyncAll: // 0
	case 0:
		payload.MailNumberOfPastDaysToSync = 7
	default:
		payload.MailNumberOfPastDaysToSync = int(e.SyncDays)
	}
	if e.SMIMESign {
		payload.SMIMESigningEnabled, payload.SMIMESigningUserOverrideable = true, true
		payload.SMIMESigningCertificateUUID = identity
	}
	if e.SMIMEEncrypt {
		payload.SMIMEEnableEncryptionPerMessageSwitch = true
		payload.SMIMEEncryptionCertificateUUID = identity
	}
	return payload
}

// accountPlist is the payload com.apple.eas.account.
type accountPlist struct {
	payloadHead
	Host                                  string `plist:"Host"`
	UserName                              string `plist:"UserName"`
	EmailAddress                          string `plist:"EmailAddress,omitempty"`
	SSL                                   bool   `plist:"SSL"` // false by default, in Apple's schema
	PayloadCertificateUUID                string `plist:"PayloadCertificateUUID"`
	MailNumberOfPastDaysToSync            int    `plist:"MailNumberOfPastDaysToSync"`
	SMIMESigningEnabled                   bool   `plist:"SMIMESigningEnabled,omitempty"`
	SMIMESigningUserOverrideable          bool   `plist:"SMIMESigningUserOverrideable,omitempty"`
	SMIMESigningCertificateUUID           string `plist:"SMIMESigningCertificateUUID,omitempty"`
	SMIMEEnableEncryptionPerMessageSwitch bool   `plist:"SMIMEEnableEncryptionPerMessageSwitch,omitempty"`
	SMIMEEncryptionCertificateUUID        string `plist:"SMIMEEncryptionCertificateUUID,omitempty"`
}
