package directory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// errAccount is why nothing is asked for a while after the portal's own account
// was refused: each try could lock it.
var errAccount = errors.New("the directory refused the portal's own account")

// service remembers what became of the password of the portal's account.
type service struct {
	turn chan struct{} // held by whoever binds

	mu      sync.Mutex
	refused string // the password refused last,
	until   time.Time
	err     error // and how
}

// reader opens a connection and binds it as the portal's account. A refused bind
// is an error of the settings, never a person's wrong password.
func (l *LDAP) reader(ctx context.Context, s *server) (*link, error) {
	password, err := l.servicePassword()
	if err != nil {
		return nil, err
	}
	k, err := l.dial(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := l.bindService(ctx, k, password); err != nil {
		k.close()
		return nil, err
	}
	return k, nil
}

// bindService binds as the portal's account, one connection at a time: many wrong
// passwords at once would lock the account before the first was heard of.
func (l *LDAP) bindService(ctx context.Context, k *link, password string) error {
	select {
	case l.service.turn <- struct{}{}:
		defer func() { <-l.service.turn }()
	case <-ctx.Done():
		return &fault{k.server, context.Cause(ctx)}
	}
	if _, err := l.servicePassword(); err != nil {
		return err
	}
	if err := k.bind(ctx, l.c.User, password); err != nil {
		return l.serviceRefused(k.server, password, err)
	}
	l.service.works()
	return nil
}

// servicePassword reads the password of the portal's account. One that was
// refused is not tried again before restTime has passed.
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
	if isFault(err) {
		return err
	}
	err = fmt.Errorf("binding to %s as %s (%s): %w: %w", s.url, l.c.User, bindWords(err), errAccount, err)
	l.service.mu.Lock()
	defer l.service.mu.Unlock()
	l.service.refused, l.service.until, l.service.err = password, l.c.Now().Add(restTime), err
	return err
}

func (s *service) works() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused, s.err = "", nil
}
