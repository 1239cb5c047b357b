package directory

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-ldap/ldap/v3"

	"certportal/internal/portal"
)

// Clock differences that Check reports. Above the greater one Kerberos fails too.
const (
	clockWarning = time.Minute
	clockFailed  = 5 * time.Minute
)

// certificateWarning is how long before its expiry Check warns about a server's
// certificate.
const certificateWarning = 30 * 24 * time.Hour

// report collects findings.
type report struct{ findings []portal.Finding }

// add adds a finding: the sentence has a key in the catalogues, and a format in English.
func (r *report) add(what string, state portal.FindingState, key, format string, args ...any) {
	r.say(what, state, portal.Say(key, format, args...))
}

func (r *report) say(what string, state portal.FindingState, said ...portal.Sentence) {
	r.findings = append(r.findings, portal.NewFinding(what, state, said...))
}

// Check tests every server, the portal's account, the lookups and the clock, and
// returns what it found. It changes nothing in the directory. It sends the password of
// the portal's account to each server once, and stops when one refuses it.
func (l *LDAP) Check(ctx context.Context) []portal.Finding {
	r := &report{}
	var works *connection
	for i, s := range slices.Concat(l.people, l.catalog()) {
		conn, refused := l.checkServer(ctx, r, s)
		switch {
		case conn != nil && works == nil && i < len(l.people):
			works = conn
			defer conn.close()
		case conn != nil:
			conn.close()
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

// catalog returns the servers of the global catalog, or none when it is not configured.
func (l *LDAP) catalog() []*server {
	if len(l.c.GlobalCatalog) == 0 {
		return nil
	}
	return l.forest
}

// checkServer tests one server and returns a connection bound as the portal's account.
// refused reports that the server rejected the account.
func (l *LDAP) checkServer(ctx context.Context, r *report, s *server) (conn *connection, refused bool) {
	ctx, cancel := l.withTimeout(ctx)
	defer cancel()
	password, err := l.c.Password()
	if err != nil || password == "" {
		r.add("directory.password_file", portal.FindingFailed, "directory-password", "The password of the portal's account cannot be read: %v.",
			errors.Join(err, errIfEmpty(password)))
		return nil, true
	}
	conn, err = l.dial(ctx, s)
	if err != nil {
		r.say(s.url, portal.FindingFailed, explainDialError(s, err))
		return nil, false
	}
	l.checkCertificate(r, conn)
	if err := conn.bind(ctx, l.c.User, password); err != nil {
		conn.close()
		l.serviceRefused(s, password, err)
		r.add(s.url, portal.FindingFailed, "directory-refused", "The server does not let the portal's account %q in: %s. Check directory.user and directory.password_file.",
			l.c.User, explainBindError(err))
		return nil, !isServerError(err)
	}
	l.service.accepted()
	r.add(s.url, portal.FindingOK, "directory-accepted", "The server lets the portal's account %q in.", l.c.User)
	return conn, false
}

// Answers reports whether a server can be asked now: nil, or why not.
func Answers(ctx context.Context, l *LDAP) error {
	_, err := l.read(ctx, l.people, func(ctx context.Context, conn *connection) error {
		_, err := conn.search(ctx, query{filter: "(objectClass=*)", attributes: []string{"currentTime"}})
		return err
	})
	return err
}

func errIfEmpty(password string) error {
	if password == "" {
		return errors.New("it is empty")
	}
	return nil
}

func (l *LDAP) checkCertificate(r *report, conn *connection) {
	end := conn.leaf.NotAfter
	left := end.Sub(l.c.Now())
	if left < certificateWarning {
		r.add(conn.server.url, portal.FindingWarning, "directory-tls-ends", "The server's certificate ends on %s, in %d days. Renew it: the portal trusts no expired one.",
			end.UTC().Format(time.DateOnly), int(left.Hours()/24))
		return
	}
	r.add(conn.server.url, portal.FindingOK, "directory-tls", "The server answers under TLS with a trusted certificate, valid until %s.", end.UTC().Format(time.DateOnly))
}

// checkDirectory runs the checks that need a bound connection.
func (l *LDAP) checkDirectory(ctx context.Context, r *report, conn *connection) {
	ctx, cancel := context.WithTimeoutCause(ctx, 4*l.c.Timeout, errTimeout)
	defer cancel()
	l.checkClock(ctx, r, conn)
	root, err := l.rootDSE(ctx)
	if err != nil {
		r.add("directory.domain", portal.FindingFailed, "directory-unfit", "The directory does not fit the settings: %v.", err)
		return
	}
	if l.c.Kind == ActiveDirectory {
		r.add("directory.domain", portal.FindingOK, "directory-domain", "The domain is %s, before the backslash %s.", l.c.Domain, root.netbios)
		l.checkForest(ctx, r, conn, root)
		l.checkLockout(ctx, r)
	}
	l.checkPeople(ctx, r, conn, root)
	l.checkCensus(ctx, r, conn, root)
	l.checkGroups(ctx, r)
	if l.c.Kind == ActiveDirectory {
		l.checkPowerful(ctx, r)
	}
}

// checkedPeople is how many people checkPeople tries to read.
const checkedPeople = 10

// checkPeople reads one person with the same queries as a sign-in. A few may be
// unreadable.
func (l *LDAP) checkPeople(ctx context.Context, r *report, conn *connection, root rootDSE) {
	found, err := conn.search(ctx, query{
		base: root.base, scope: ldap.ScopeWholeSubtree, filter: l.d.a.PersonFilter, attributes: l.nameAttributes(), limit: checkedPeople,
	})
	conn.broken = false // the limit truncates the result on purpose
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		r.add("directory.base", portal.FindingFailed, "directory-no-base", "There is no %s in the directory. Correct directory.base.", root.base)
		return
	case err != nil && !errors.Is(err, errTruncated):
		r.add("directory.base", portal.FindingFailed, "directory-search", "Searching below %s: %v.", root.base, err)
		return
	case len(found) == 0:
		r.add("directory.base", portal.FindingFailed, "directory-empty", "No person is found below %s. Correct directory.base, or let the portal's account read there.", root.base)
		return
	}
	for _, e := range found {
		var id portal.PersonID
		if id, err = l.d.id(e); err == nil {
			err = l.checkPerson(ctx, id)
		}
		var unread *portal.UnreadableError
		if err == nil || !errors.As(err, &unread) {
			break
		}
	}
	if err != nil {
		r.add("directory.base", portal.FindingFailed, "directory-person", "A person cannot be read in full: %v. Let the portal's account read this attribute.", err)
		return
	}
	r.add("directory.base", portal.FindingOK, "directory-people", "People below %s can be read, with their groups.", root.base)
}

// checkPerson reads the state and groups of one entry. It ignores an entry that is not
// a person: the check is about permission to read.
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
		return l.d.unread(id, e, err)
	}
	_, err = l.readMembership(ctx, e, &p)
	return err
}
