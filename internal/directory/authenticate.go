package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

// Canonical implements portal.Directory. It returns the person's ID, or "name " and the
// normalized login name when no person has it. Both cost one search; a string that is
// not a valid login name costs none.
func (l *LDAP) Canonical(ctx context.Context, login string) (string, error) {
	ctx, cancel := l.withTimeout(ctx)
	defer cancel()
	sp, user, err := l.resolveLogin(ctx, login)
	if errors.Is(err, errUnknownLogin) {
		return "name " + sp.key, nil
	}
	if err != nil {
		return "", err
	}
	return string(user.id), nil
}

// resolveLogin parses a login name and finds its entry.
func (l *LDAP) resolveLogin(ctx context.Context, login string) (loginName, loginEntry, error) {
	root, err := l.rootDSE(ctx)
	if err != nil {
		return loginName{}, loginEntry{}, err
	}
	parser := loginParser{a: l.d.a, domain: l.c.Domain, netbios: root.netbios, byMail: l.c.LoginByMail}
	sp := parser.parse(login)
	user, err := l.find(ctx, sp)
	return sp, user, err
}

// Authenticate implements portal.Directory. It sends the password to one server, once,
// with the DN found for the login name. For an unknown login name it binds with a DN
// that does not exist, so that traffic and time do not differ. When an error concerns
// a known person, the ID in the returned Person is set.
func (l *LDAP) Authenticate(ctx context.Context, login, password string) (portal.Person, error) {
	// A bind with an empty password succeeds as anonymous (RFC 4513 section 5.1.2), and
	// a server written in C may treat a NUL as the end of the string.
	if strings.TrimSpace(password) == "" || strings.Contains(password, "\x00") {
		return portal.Person{}, portal.ErrCredentials
	}
	ctx, cancel := l.withTimeout(ctx)
	defer cancel()
	_, user, err := l.resolveLogin(ctx, login)
	if errors.Is(err, errUnknownLogin) {
		return portal.Person{}, l.refuseUnknown(ctx, user.server, password)
	}
	if err != nil {
		return portal.Person{}, err
	}
	started := l.timing.start()
	err = l.bindPerson(ctx, user, password)
	if errors.Is(err, portal.ErrCredentials) {
		l.timing.record(started)
	}
	if err != nil {
		return portal.Person{ID: user.id}, err
	}
	return l.readSignedIn(ctx, user.id)
}

// refuseUnknown binds with a DN that does not exist and returns ErrCredentials.
func (l *LDAP) refuseUnknown(ctx context.Context, s *server, password string) error {
	if s == nil {
		return portal.ErrCredentials
	}
	root, err := l.rootDSE(ctx)
	if err != nil {
		return err
	}
	started := l.timing.start()
	err = l.bindPerson(ctx, loginEntry{server: s, dn: l.absentRDN + "," + root.base}, password)
	var refusal *portal.Refusal
	if err == nil || errors.As(err, &refusal) {
		l.c.Log.Error("directory accepted a bind with a DN that does not exist", "server", s.url)
		err = portal.ErrCredentials
	}
	if errors.Is(err, portal.ErrCredentials) {
		l.timing.wait(ctx, started)
	}
	return err
}

// readSignedIn reads a person after a successful bind and refuses disabled and expired
// accounts.
func (l *LDAP) readSignedIn(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	p, err := l.readPerson(ctx, id)
	switch {
	case errors.Is(err, portal.ErrNotFound):
		return portal.Person{ID: id}, errors.New("the person who just signed in is not in the directory")
	case err != nil:
		return portal.Person{ID: id}, err
	case p.Disabled:
		return p, &portal.Refusal{Reason: portal.Disabled}
	case p.Expired:
		return p, &portal.Refusal{Reason: portal.Expired}
	}
	return p, nil
}

// bindPerson checks a password by a bind. It returns nil only when the server also
// confirms the identity of the connection.
func (l *LDAP) bindPerson(ctx context.Context, user loginEntry, password string) error {
	release, err := l.slot(ctx)
	if err != nil {
		return err
	}
	defer release()
	conn, err := l.bindConn(ctx, user.server)
	if err != nil {
		return err
	}
	defer func() { conn.server.bindPool.give(conn, l.c.Now()) }()
	err = conn.bind(ctx, user.dn, password)
	// A connection bound as one person is not reused for another: Samba keeps the
	// previous identity when a later bind is refused.
	conn.broken = conn.broken || err == nil
	if isServerError(err) {
		return l.unanswered(ctx, conn.server, err)
	}
	if err := classifyBind(l.c.Kind, err); err != nil {
		return err
	}
	return l.verifyIdentity(ctx, conn, user)
}

// unanswered returns the error for a bind without a usable response. The password is
// not sent again, to any server: the directory may have counted the attempt.
func (l *LDAP) unanswered(ctx context.Context, s *server, err error) error {
	var result *ldap.Error
	if errors.As(err, &result) && result.ResultCode < ldap.ErrorNetwork {
		return fmt.Errorf("checking a password: %w", err) // the server reports that it is unavailable
	}
	if !errors.Is(ctx.Err(), context.Canceled) { // a canceled caller is not the server's failure
		s.markDown(l.c.Now().Add(retryAfter))
	}
	return fmt.Errorf("checking a password: %w: %w", portal.ErrUnanswered, err)
}

// bindConn returns a connection for checking a password, preferably to the server that
// returned the entry. No password has been sent at this point, so it falls back to the
// other servers.
func (l *LDAP) bindConn(ctx context.Context, first *server) (*connection, error) {
	servers := []*server{first}
	for _, s := range l.people {
		if s != first {
			servers = append(servers, s)
		}
	}
	var conn *connection
	_, err := l.tryServers(ctx, servers, func(ctx context.Context, s *server) (err error) {
		if conn = s.bindPool.take(l.c.Now()); conn == nil {
			conn, err = l.dial(ctx, s)
		}
		return err
	})
	return conn, err
}
