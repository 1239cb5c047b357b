package directory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// errServiceRefused reports that the directory refused the portal's own account. Binds
// stop for a while then, because each attempt could lock the account.
var errServiceRefused = errors.New("the directory refused the portal's own account")

// longestServiceWait is the longest pause between two tries of a refused password. The pause
// begins with retryAfter and doubles: each replica tries for itself, and directories lock
// accounts after as few as three wrong passwords. Another password is tried at once.
const longestServiceWait = 16 * time.Minute

// serviceAccount records whether the password of the portal's account was refused.
type serviceAccount struct {
	binding chan struct{} // mutex of binds; a channel, so that waiting ends with the context

	mu      sync.Mutex
	refused string // the password last refused
	pause   time.Duration
	until   time.Time // when it may be tried again
	err     error     // the refusal
}

// readConn opens a connection and binds it as the portal's account. A refused bind is a
// configuration error, never reported as a person's wrong password.
func (l *LDAP) readConn(ctx context.Context, s *server) (*connection, error) {
	password, err := l.servicePassword()
	if err != nil {
		return nil, err
	}
	conn, err := l.dial(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := l.bindService(ctx, conn, password); err != nil {
		conn.close()
		return nil, err
	}
	return conn, nil
}

// bindService binds as the portal's account, one connection at a time: concurrent binds
// with a wrong password would lock the account before the first is refused.
func (l *LDAP) bindService(ctx context.Context, conn *connection, password string) error {
	select {
	case l.service.binding <- struct{}{}:
		defer func() { <-l.service.binding }()
	case <-ctx.Done():
		return &serverError{conn.server, context.Cause(ctx)}
	}
	if _, err := l.servicePassword(); err != nil {
		return err
	}
	if err := conn.bind(ctx, l.c.User, password); err != nil {
		return l.serviceRefused(conn.server, password, err)
	}
	l.service.accepted()
	return nil
}

// servicePassword reads the password of the portal's account. It returns the earlier
// error for a password that was refused and must not be tried again yet.
func (l *LDAP) servicePassword() (string, error) {
	password, err := l.c.Password()
	if err != nil {
		return "", fmt.Errorf("reading password of the directory account: %w", err)
	}
	if password == "" {
		return "", errors.New("password of the directory account is empty")
	}
	l.service.mu.Lock()
	defer l.service.mu.Unlock()
	if password == l.service.refused && l.c.Now().Before(l.service.until) {
		return "", l.service.err
	}
	return password, nil
}

func (l *LDAP) serviceRefused(s *server, password string, err error) error {
	if isServerError(err) {
		return err
	}
	err = fmt.Errorf("binding to %s as %s (%s): %w: %w", s.url, l.c.User, explainBindError(err), errServiceRefused, err)
	l.service.mu.Lock()
	defer l.service.mu.Unlock()
	if l.service.refused == password && isWrongPassword(err) {
		l.service.pause = min(2*l.service.pause, longestServiceWait)
	} else {
		l.service.pause = retryAfter
	}
	l.service.refused, l.service.until, l.service.err = password, l.c.Now().Add(l.service.pause), err
	return err
}

// isWrongPassword reports whether a bind was refused for what directories count until they lock
// the account. One that is locked or disabled is mended in the directory, and must be found so
// soon.
func isWrongPassword(err error) bool {
	var result *ldap.Error
	if !errors.As(err, &result) || result.ResultCode != ldap.LDAPResultInvalidCredentials {
		return false
	}
	code := parseSubcode(result.Error())
	return code == wrongPassword || code == noSubcode
}

func (s *serviceAccount) accepted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused, s.err = "", nil
}
