package directory

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Lockout is after how many wrong passwords the domain locks an account, and in
// what time they count. The zero value is "never, or not known".
type Lockout struct {
	Threshold int
	Window    time.Duration
}

// Lockout reads the lockout policy of the domain's head. Policies for single
// groups (fine-grained password policies) may be stricter and are not read. With
// PlainLDAP the server does not tell.
func (l *LDAP) Lockout(ctx context.Context) (Lockout, error) {
	if l.c.Kind == PlainLDAP {
		return Lockout{}, nil
	}
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	facts, err := l.facts(ctx)
	if err != nil {
		return Lockout{}, err
	}
	var entries []entry
	_, err = l.read(ctx, l.people, func(ctx context.Context, k *link) (err error) {
		entries, err = k.search(ctx, query{
			base: facts.domain, filter: "(objectClass=*)",
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
