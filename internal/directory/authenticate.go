package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

// Canonical fulfils enroll.Directory: the id of the person, or "name " and the
// typed name in one spelling. Both cost one search; what cannot be a name costs
// none, whoever exists.
func (l *LDAP) Canonical(ctx context.Context, login string) (string, error) {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	sp, who, err := l.spelt(ctx, login)
	if errors.Is(err, errNobody) {
		return "name " + sp.key, nil
	}
	if err != nil {
		return "", err
	}
	return string(who.id), nil
}

// spelt takes a login name apart and looks for its person.
func (l *LDAP) spelt(ctx context.Context, login string) (spelling, found, error) {
	facts, err := l.facts(ctx)
	if err != nil {
		return spelling{}, found{}, err
	}
	speller := speller{a: l.d.a, domain: l.c.Domain, netbios: facts.netbios, byMail: l.c.LoginByMail}
	sp := speller.spell(login)
	who, err := l.find(ctx, sp)
	return sp, who, err
}

// Authenticate fulfils enroll.Directory. The password goes to one server, once,
// with the DN of the entry that the login name led to; for nobody it goes there
// with a DN that does not exist, so that traffic and time are alike. With an
// error that is about somebody known, the person's ID is set.
func (l *LDAP) Authenticate(ctx context.Context, login, password string) (portal.Person, error) {
	// A bind without a password succeeds, as nobody (RFC 4513 section 5.1.2), and a
	// server written in C may take a NUL for the end.
	if strings.TrimSpace(password) == "" || strings.Contains(password, "\x00") {
		return portal.Person{}, portal.ErrCredentials
	}
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	_, who, err := l.spelt(ctx, login)
	if errors.Is(err, errNobody) {
		return portal.Person{}, l.refuseNobody(ctx, who.server, password)
	}
	if err != nil {
		return portal.Person{}, err
	}
	started := l.pace.start()
	err = l.bindPerson(ctx, who, password)
	if errors.Is(err, portal.ErrCredentials) {
		l.pace.refused(started)
	}
	if err != nil {
		return portal.Person{ID: who.id}, err
	}
	return l.admitted(ctx, who.id)
}

// refuseNobody tries the password on an entry that does not exist.
func (l *LDAP) refuseNobody(ctx context.Context, s *server, password string) error {
	if s == nil {
		return portal.ErrCredentials
	}
	facts, err := l.facts(ctx)
	if err != nil {
		return err
	}
	started := l.pace.start()
	err = l.bindPerson(ctx, found{server: s, dn: l.nobody + "," + facts.base}, password)
	var refusal *portal.Refusal
	if err == nil || errors.As(err, &refusal) {
		l.c.Log.Error("the directory let somebody in who does not exist", "server", s.url)
		err = portal.ErrCredentials
	}
	if errors.Is(err, portal.ErrCredentials) {
		l.pace.wait(ctx, started)
	}
	return err
}

// admitted reads a person whose password was right.
func (l *LDAP) admitted(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	p, err := l.readPerson(ctx, id)
	switch {
	case errors.Is(err, portal.ErrNotFound):
		return portal.Person{ID: id}, errors.New("somebody who just signed in is not in the directory")
	case err != nil:
		return portal.Person{ID: id}, err
	case p.Disabled:
		return p, &portal.Refusal{Reason: portal.Disabled}
	case p.Expired:
		return p, &portal.Refusal{Reason: portal.Expired}
	}
	return p, nil
}

// bindPerson checks a password. It returns nil for nothing but a success that
// the server confirms.
func (l *LDAP) bindPerson(ctx context.Context, who found, password string) error {
	release, err := l.slot(ctx)
	if err != nil {
		return err
	}
	defer release()
	k, err := l.door(ctx, who.server)
	if err != nil {
		return err
	}
	defer func() { k.server.doors.give(k, l.c.Now()) }()
	err = k.bind(ctx, who.dn, password)
	// A connection that belongs to somebody is not used for the next one: Samba
	// keeps its owner even when a later bind is refused.
	k.broken = k.broken || err == nil
	if isFault(err) {
		return l.unanswered(ctx, k.server, err)
	}
	if err := judgeBind(l.c.Kind, err); err != nil {
		return err
	}
	return l.proveIdentity(ctx, k, who)
}

// unanswered says that a password went out and nothing sensible came back. It is
// not sent again, to no server.
func (l *LDAP) unanswered(ctx context.Context, s *server, err error) error {
	var result *ldap.Error
	if errors.As(err, &result) && result.ResultCode < ldap.ErrorNetwork {
		return fmt.Errorf("checking a password: %w", err) // it answered that it is unwell
	}
	if !errors.Is(ctx.Err(), context.Canceled) { // the asker may have gone away
		s.rests(l.c.Now().Add(restTime))
	}
	return fmt.Errorf("checking a password: %w: %w", portal.ErrUnanswered, err)
}

// door opens a connection for a password, best at the server that knew the
// person. Nothing has been said over it yet, so another server may take its place.
func (l *LDAP) door(ctx context.Context, first *server) (*link, error) {
	servers := []*server{first}
	for _, s := range l.people {
		if s != first {
			servers = append(servers, s)
		}
	}
	var door *link
	_, err := l.over(ctx, servers, func(ctx context.Context, s *server) (err error) {
		if door = s.doors.take(l.c.Now()); door == nil {
			door, err = l.dial(ctx, s)
		}
		return err
	})
	return door, err
}
