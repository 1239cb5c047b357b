package directory

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

// proveIdentity asks the server whose the connection is after a bind. A success
// without an identity is no sign-in (attack A6).
//
// Active Directory tells the SIDs of the connection's owner in the rootDSE
// (MS-ADTS 3.1.1.3.2), and the person's own must be among them. Where it does not
// tell, and with PlainLDAP, "Who am I?" (RFC 4532) must name somebody; Samba does
// not know that operation.
func (l *LDAP) proveIdentity(ctx context.Context, k *link, who found) error {
	if l.c.Kind == ActiveDirectory {
		proven, err := l.ownsSession(ctx, k, who.sid)
		if proven || err != nil {
			return err
		}
	}
	var identity string
	err := k.do(ctx, func(c *ldap.Conn) error {
		result, err := c.WhoAmI(nil)
		if err == nil {
			identity = result.AuthzID
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("asking the server who signed in (RFC 4532): %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(identity)) {
	case "", "dn:", "u:": // anonymous (RFC 4513 section 5.2.1.8)
		l.c.Log.Error("the directory accepted a password and does not say whose", "person", who.id)
		return portal.ErrCredentials
	}
	return nil
}

// ownsSession reports whether the SID is among those of the connection's owner.
func (l *LDAP) ownsSession(ctx context.Context, k *link, sid []byte) (bool, error) {
	root, err := k.search(ctx, query{filter: "(objectClass=*)", attributes: []string{attrTokens}})
	if err != nil {
		return false, fmt.Errorf("asking the server who signed in: %w", err)
	}
	for _, e := range root {
		for _, token := range e.bytes(attrTokens) {
			if len(sid) > 0 && bytes.Equal(token, sid) {
				return true, nil
			}
		}
	}
	return false, nil
}
