package directory

import (
	"errors"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

// subcode is the Win32 error code in the text of a bind refused by Active Directory:
// "… AcceptSecurityContext error, data 52e, v4563".
type subcode uint32

// The sub-codes that are handled.
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

// parseSubcode returns the sub-code in the text of a refused bind.
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

// refusal returns the refusal for a sub-code that is sent only with the right password,
// and nil for the others. Those, lockedOut among them, are sent with a wrong password
// too, so the sign-in must not reveal them.
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

// explain describes the sub-code of a bind as the portal's account to an administrator.
func (c subcode) explain() string {
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

// explainBindError describes a failed bind as the portal's account to an administrator.
func explainBindError(err error) string {
	var result *ldap.Error
	if !errors.As(err, &result) {
		return "no answer"
	}
	switch result.ResultCode {
	case ldap.LDAPResultInvalidCredentials:
		return parseSubcode(result.Error()).explain()
	case ldap.LDAPResultStrongAuthRequired, ldap.LDAPResultConfidentialityRequired:
		return "the server wants TLS"
	case ldap.LDAPResultInvalidDNSyntax:
		return "the name is not a DN"
	}
	return "refused"
}

// classifyBind converts the result of a person's bind: nil only for success,
// ErrCredentials, a *portal.Refusal, or the error itself when the server could not check
// the password. A referral is ErrCredentials: the password is sent to no other server.
func classifyBind(kind Kind, err error) error {
	var result *ldap.Error
	if err == nil || isServerError(err) || !errors.As(err, &result) {
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

// refusesPerson reports whether servers other than Active Directory use the code to refuse
// one account: it has no password, is locked (389 Directory Server), may not bind, or
// does not exist. The codes are sent with a wrong password too, so the sign-in treats
// them alike.
func refusesPerson(code uint16) bool {
	switch code {
	case ldap.LDAPResultConstraintViolation, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax,
		ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultInsufficientAccessRights,
		ldap.LDAPResultUnwillingToPerform:
		return true
	}
	return false
}
