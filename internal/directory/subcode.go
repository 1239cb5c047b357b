package directory

import (
	"errors"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

// subcode is the Win32 error that Active Directory hides in the text of a refused
// bind: "… AcceptSecurityContext error, data 52e, v4563".
type subcode uint32

// The sub-codes that mean something here.
const (
	noSubcode      subcode = 0
	noSuchUser     subcode = 0x525
	wrongPassword  subcode = 0x52e
	logonHours     subcode = 0x530
	workstation    subcode = 0x531
	passwordOld    subcode = 0x532
	switchedOff    subcode = 0x533
	accountExpired subcode = 0x701
	mustChange     subcode = 0x773
	lockedOut      subcode = 0x775
)

// parseSubcode finds the sub-code in the text of a refused bind.
func parseSubcode(text string) subcode {
	_, after, found := strings.Cut(text, ", data ")
	if !found {
		return noSubcode
	}
	digits, _, _ := strings.Cut(after, ",")
	code, err := strconv.ParseUint(strings.TrimSpace(digits), 16, 32)
	if err != nil {
		return noSubcode
	}
	return subcode(code)
}

// refusal is what a sub-code says about a person whose password was right. The
// others, lockedOut among them, come with a wrong password too: they are nil and
// tell a stranger nothing.
func (c subcode) refusal() *portal.Refusal {
	switch c {
	case logonHours, workstation:
		return &portal.Refusal{Reason: portal.Restricted}
	case passwordOld, mustChange:
		return &portal.Refusal{Reason: portal.PasswordOld}
	case switchedOff:
		return &portal.Refusal{Reason: portal.Disabled}
	case accountExpired:
		return &portal.Refusal{Reason: portal.Expired}
	}
	return nil
}

// words tells an administrator what a sub-code says of the portal's own account.
func (c subcode) words() string {
	switch c {
	case noSuchUser:
		return "there is no such account"
	case wrongPassword:
		return "wrong password, or no such account"
	case logonHours:
		return "its logon hours do not allow it now"
	case workstation:
		return "it may not log on from this machine"
	case passwordOld, mustChange:
		return "its password has run out or must be changed"
	case switchedOff:
		return "it is disabled"
	case accountExpired:
		return "it has expired"
	case lockedOut:
		return "it is locked out"
	}
	return "refused"
}

// bindWords tells an administrator why a bind of the portal's account failed.
func bindWords(err error) string {
	var result *ldap.Error
	if !errors.As(err, &result) {
		return "no answer"
	}
	switch result.ResultCode {
	case ldap.LDAPResultInvalidCredentials:
		return parseSubcode(result.Error()).words()
	case ldap.LDAPResultStrongAuthRequired, ldap.LDAPResultConfidentialityRequired:
		return "the server wants TLS"
	case ldap.LDAPResultInvalidDNSyntax:
		return "the name is not a DN"
	}
	return "refused"
}

// judgeBind says what the answer to a person's bind means: nil for nothing but
// success, ErrCredentials, a *enroll.Refusal, or the error itself where the
// server was in no state to judge. A referral is a no: the password goes nowhere
// else.
func judgeBind(kind Kind, err error) error {
	var result *ldap.Error
	if err == nil || isFault(err) || !errors.As(err, &result) {
		return err
	}
	switch result.ResultCode {
	case ldap.LDAPResultInvalidCredentials:
		if refusal := parseSubcode(result.Error()).refusal(); kind == ActiveDirectory && refusal != nil {
			return refusal
		}
		return portal.ErrCredentials
	case ldap.LDAPResultReferral:
		return portal.ErrCredentials
	}
	if kind == PlainLDAP && refusesPerson(result.ResultCode) {
		return portal.ErrCredentials
	}
	return err
}

// refusesPerson lists the codes by which servers other than Active Directory
// refuse one account: without a password, locked after wrong ones (389 Directory
// Server), not allowed to bind, gone. They come with a wrong password too, so
// they tell no more than that one.
func refusesPerson(code uint16) bool {
	switch code {
	case ldap.LDAPResultConstraintViolation, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax,
		ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultInsufficientAccessRights,
		ldap.LDAPResultUnwillingToPerform:
		return true
	}
	return false
}
