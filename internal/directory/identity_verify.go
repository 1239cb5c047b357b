package directory

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

// verifyIdentity checks after a bind that the connection is authenticated as the user. A
// success without an identity is no sign-in (attack A6).
//
// Active Directory lists the SIDs of the authenticated account in the rootDSE (MS-ADTS
// 3.1.1.3.2), and the user's own must be among them. Without that list, and with
// PlainLDAP, "Who am I?" (RFC 4532) must not be anonymous; Samba does not implement
// that operation.
func (l *LDAP) verifyIdentity(ctx context.Context, conn *connection, user loginEntry) error {
	if l.c.Kind == ActiveDirectory {
		proven, err := l.hasToken(ctx, conn, user.sid)
		if proven || err != nil {
			return err
		}
	}
	var identity string
	err := conn.do(ctx, func(c *ldap.Conn) error {
		result, err := c.WhoAmI(nil)
		if err == nil {
			identity = result.AuthzID
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("asking the server for the authenticated identity (RFC 4532): %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(identity)) {
	case "", "dn:", "u:": // anonymous (RFC 4513 section 5.2.1.8)
		l.c.Log.Error("directory accepted a password and reports no identity", "person", user.id)
		return portal.ErrCredentials
	}
	return nil
}

// hasToken reports whether the SID is among those of the connection's account.
func (l *LDAP) hasToken(ctx context.Context, conn *connection, sid []byte) (bool, error) {
	root, err := conn.search(ctx, query{filter: "(objectClass=*)", attributes: []string{attrTokens}})
	if err != nil {
		return false, fmt.Errorf("asking the server for the authenticated identity: %w", err)
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
