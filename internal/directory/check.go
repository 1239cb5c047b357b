package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

// Clock differences that are told. From the greater one on Kerberos fails too.
const (
	clockWarning = time.Minute
	clockFailed  = 5 * time.Minute
)

// certificateWarning is how long before its end a server's certificate is told.
const certificateWarning = 30 * 24 * time.Hour

// report collects findings.
type report struct{ findings []portal.Finding }

func (r *report) add(what string, state portal.FindingState, format string, args ...any) {
	r.findings = append(r.findings, portal.Finding{What: what, State: state, Text: fmt.Sprintf(format, args...)})
}

// Check tries every server, the portal's account, the look-ups and the clock
// against the directory, and says what is wrong. It changes nothing there; the
// portal's own password is sent to each server once, and to no further one when
// it is refused.
func (l *LDAP) Check(ctx context.Context) []portal.Finding {
	r := &report{}
	var works *link
	for i, s := range slices.Concat(l.people, l.catalog()) {
		k, refused := l.checkServer(ctx, r, s)
		switch {
		case k != nil && works == nil && i < len(l.people):
			works = k
			defer k.close()
		case k != nil:
			k.close()
		}
		if refused {
			break
		}
	}
	if works != nil {
		l.checkDirectory(ctx, r, works)
	}
	return r.findings
}

// catalog are the servers of the global catalog, none where it is not set.
func (l *LDAP) catalog() []*server {
	if len(l.c.GlobalCatalog) == 0 {
		return nil
	}
	return l.forest
}

// checkServer tries one server and returns the connection where it let the
// portal's account in; refused says that the server would not have it.
func (l *LDAP) checkServer(ctx context.Context, r *report, s *server) (k *link, refused bool) {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	password, err := l.c.Password()
	if err != nil || password == "" {
		r.add("directory.password_file", portal.FindingFailed, "The password of the portal's account cannot be read: %v.",
			errors.Join(err, errIfEmpty(password)))
		return nil, true
	}
	k, err = l.dial(ctx, s)
	if err != nil {
		r.add(s.url, portal.FindingFailed, "%s", dialWords(s, err))
		return nil, false
	}
	l.checkCertificate(r, k)
	if err := k.bind(ctx, l.c.User, password); err != nil {
		k.close()
		l.serviceRefused(s, password, err)
		r.add(s.url, portal.FindingFailed, "The server does not let the portal's account %q in: %s. Check directory.user and directory.password_file.",
			l.c.User, bindWords(err))
		return nil, !isFault(err)
	}
	l.service.works()
	r.add(s.url, portal.FindingOK, "The server lets the portal's account %q in.", l.c.User)
	return k, false
}

func errIfEmpty(password string) error {
	if password == "" {
		return errors.New("it is empty")
	}
	return nil
}

func (l *LDAP) checkCertificate(r *report, k *link) {
	end := k.leaf.NotAfter
	left := end.Sub(l.c.Now())
	if left < certificateWarning {
		r.add(k.server.url, portal.FindingWarning, "The server's certificate ends on %s, in %d days. Renew it: the portal trusts no expired one.",
			end.UTC().Format(time.DateOnly), int(left.Hours()/24))
		return
	}
	r.add(k.server.url, portal.FindingOK, "The server answers under TLS with a trusted certificate, valid until %s.", end.UTC().Format(time.DateOnly))
}

// checkDirectory checks what a working connection tells.
func (l *LDAP) checkDirectory(ctx context.Context, r *report, k *link) {
	ctx, cancel := context.WithTimeoutCause(ctx, 4*l.c.Timeout, errSlow)
	defer cancel()
	l.checkClock(ctx, r, k)
	facts, err := l.facts(ctx)
	if err != nil {
		r.add("directory.domain", portal.FindingFailed, "The directory does not fit the settings: %v.", err)
		return
	}
	if l.c.Kind == ActiveDirectory {
		r.add("directory.domain", portal.FindingOK, "The domain is %s, before the backslash %s.", l.c.Domain, facts.netbios)
		l.checkForest(ctx, r, k, facts)
		l.checkLockout(ctx, r)
	}
	l.checkPeople(ctx, r, k, facts)
	l.checkGroups(ctx, r)
	if len(l.c.UPNSuffixes) > 0 {
		r.add("directory.upn_suffixes", portal.FindingOK, "Certificates are issued to UPNs that end in %s.", list(l.c.UPNSuffixes))
	}
}

// checkPeople reads one person the way it is done at every sign-in.
func (l *LDAP) checkPeople(ctx context.Context, r *report, k *link, facts facts) {
	found, err := k.search(ctx, query{
		base: facts.base, scope: ldap.ScopeWholeSubtree, filter: l.d.a.PersonFilter, attributes: l.nameAttributes(), limit: 1,
	})
	k.broken = false // an answer cut short is what was asked for
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		r.add("directory.base", portal.FindingFailed, "There is no %s in the directory. Correct directory.base.", facts.base)
		return
	case err != nil && !errors.Is(err, errCut):
		r.add("directory.base", portal.FindingFailed, "Searching below %s: %v.", facts.base, err)
		return
	case len(found) == 0:
		r.add("directory.base", portal.FindingFailed, "Nobody is found below %s. Correct directory.base, or let the portal's account read there.", facts.base)
		return
	}
	id, err := l.d.id(found[0])
	if err == nil {
		err = l.checkPerson(ctx, id)
	}
	if err != nil {
		r.add("directory.base", portal.FindingFailed, "A person cannot be read in full: %v. Let the portal's account read this attribute.", err)
		return
	}
	r.add("directory.base", portal.FindingOK, "People below %s can be read, with their groups.", facts.base)
}

// checkPerson reads somebody's state and groups. Who is not a person after all,
// or does not fit, is left aside: it is the reading that is tried.
func (l *LDAP) checkPerson(ctx context.Context, id portal.PersonID) error {
	e, err := l.entryOf(ctx, id)
	if errors.Is(err, portal.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	p, err := l.d.person(e)
	if err != nil {
		return err
	}
	_, err = l.membershipOf(ctx, e, &p)
	return err
}
