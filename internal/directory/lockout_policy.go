package directory

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Lockout is the number of wrong passwords after which the domain locks an account, and
// the time in which they are counted. The zero value means never, or unknown.
type Lockout struct {
	Threshold int
	Window    time.Duration
}

// Lockout reads the lockout policy of the domain. It does not read fine-grained password
// policies of groups, which may be stricter. With PlainLDAP it returns the zero value.
func (l *LDAP) Lockout(ctx context.Context) (Lockout, error) {
	if l.c.Kind == PlainLDAP {
		return Lockout{}, nil
	}
	ctx, cancel := l.withTimeout(ctx)
	defer cancel()
	root, err := l.rootDSE(ctx)
	if err != nil {
		return Lockout{}, err
	}
	var entries []entry
	_, err = l.read(ctx, l.people, func(ctx context.Context, conn *connection) (err error) {
		entries, err = conn.search(ctx, query{
			base: root.domain, filter: "(objectClass=*)",
			attributes: []string{"lockoutThreshold", "lockOutObservationWindow"},
		})
		return err
	})
	if err != nil || len(entries) != 1 {
		return Lockout{}, errors.Join(errors.New("reading the lockout policy"), err)
	}
	return lockoutOf(entries[0])
}

func lockoutOf(e entry) (Lockout, error) {
	threshold, _, err := e.number("lockoutThreshold")
	if err != nil {
		return Lockout{}, err
	}
	window, _, err := e.number("lockOutObservationWindow") // in -100 ns
	if err != nil {
		return Lockout{}, err
	}
	const longest = int64(1<<63-1) / 100
	if threshold < 0 || threshold > 1<<20 || window > 0 || window < -longest {
		return Lockout{}, fmt.Errorf("lockout policy %d in %d has an unknown form", threshold, window)
	}
	if threshold == 0 {
		return Lockout{}, nil
	}
	return Lockout{Threshold: int(threshold), Window: time.Duration(-window * 100)}, nil
}
