package kerberos

import (
	"errors"
	"fmt"

	"github.com/jcmturner/gokrb5/v8/iana/errorcode"
	"github.com/jcmturner/gokrb5/v8/messages"

	"certportal/ca/upstream"
	"certportal/internal/escape"
)

// remedy is what to do about an error of the KDC (RFC 4120 section 7.5.9), and whether the
// error is about the account's key or state.
type remedy struct {
	hint   string
	signIn bool
}

func remedies() map[int32]remedy {
	return map[int32]remedy{
		errorcode.KDC_ERR_C_PRINCIPAL_UNKNOWN: {"the realm has no such account: look at user, which is the account's logon name and not an alias", true},
		errorcode.KDC_ERR_S_PRINCIPAL_UNKNOWN: {"no account has this service principal name: setspn -S adds it to the account of the web server", false},
		errorcode.KDC_ERR_ETYPE_NOSUPP:        {"the account has no AES key: let it use AES in Active Directory, and set its password anew", false},
		errorcode.KDC_ERR_CLIENT_REVOKED:      {"the account is disabled, locked or has run out", true},
		errorcode.KDC_ERR_KEY_EXPIRED:         {"the password of the account has run out: set it anew, and make a new keytab", true},
		errorcode.KDC_ERR_PREAUTH_FAILED:      {"the keytab has another key than the account: make a new one after each change of its password", true},
		errorcode.KRB_AP_ERR_SKEW:             {"the clocks of this machine and of the domain controller differ by more than five minutes", false},
	}
}

// explain classifies what kept the account from a ticket.
func explain(err error) error {
	if errors.Is(err, errNoKDC) {
		return fmt.Errorf("%w (domain controllers are asked on TCP 88; DNS names them by _kerberos._tcp.REALM, or krb5_config_file does)", err)
	}
	refused, is := errors.AsType[messages.KRBError](err)
	if !is {
		return err
	}
	remedy := remedies()[refused.ErrorCode]
	return &upstream.Denied{
		Code: errorcode.Lookup(refused.ErrorCode), Hint: remedy.hint, Text: escape.Value(refused.EText), Credentials: true, SignIn: remedy.signIn,
	}
}
