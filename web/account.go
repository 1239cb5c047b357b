package web

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/gorilla/sessions"

	"certportal/enroll"
)

// account is what a session says about who signed in: enough for the frame of
// the pages. What stands in a certificate is read afresh from the directory.
type account struct {
	person  enroll.PersonID
	name    string // display name
	given   string // given name, may be empty
	expires time.Time
}

// accountOf reads the values of a session.
func accountOf(session *sessions.Session) account {
	text := func(key string) string {
		s, _ := session.Values[key].(string)
		return s
	}
	// A time that does not parse is long over: the session ends.
	unix, _ := strconv.ParseInt(text("expires"), 10, 64)
	return account{
		person: enroll.PersonID(text("person")), name: text("name"), given: text("given"),
		expires: time.Unix(unix, 0),
	}
}

// openSession opens a new session for the person. The row of a session that was open
// before ends first, so that its cookie is worth nothing from here on.
func (s *Server) openSession(w http.ResponseWriter, r *http.Request, p enroll.Person) error {
	session, err := s.sessions.Get(r, sessionCookie)
	if err != nil {
		return &enroll.Outage{Part: enroll.PartStore, Err: err}
	}
	if secret, ok := parseSecret(session.ID); ok {
		if err := s.records.EndSession(r.Context(), secret.idHash()); err != nil {
			return &enroll.Outage{Part: enroll.PartStore, Err: fmt.Errorf("ending earlier session: %w", err)}
		}
	}
	lifetime := s.limits.Lifetime
	if p.Has(enroll.Helpdesk) || p.Has(enroll.Admin) {
		lifetime = s.limits.StaffLifetime
	}
	session.ID = ""
	clear(session.Values)
	session.Values["person"] = string(p.ID)
	session.Values["name"] = p.Name
	session.Values["given"] = p.GivenName
	session.Values["expires"] = strconv.FormatInt(s.now().Add(lifetime).Unix(), 10)
	if err := session.Save(r, w); err != nil {
		return &enroll.Outage{Part: enroll.PartStore, Err: err}
	}
	return nil
}

// signedIn returns who the request belongs to, false for nobody. The error is
// an *enroll.Outage of the store.
func (s *Server) signedIn(r *http.Request) (account, bool, error) {
	session, err := s.sessions.Get(r, sessionCookie)
	if err != nil {
		return account{}, false, &enroll.Outage{Part: enroll.PartStore, Err: err}
	}
	if session.IsNew {
		return account{}, false, nil
	}
	return accountOf(session), true, nil
}

// person returns who the request belongs to, on routes that require somebody.
func (s *Server) person(r *http.Request) account {
	a, _, _ := s.signedIn(r)
	return a
}

// pickupKey returns the key of the session's pickups, on routes that require a
// session.
func (s *Server) pickupKey(r *http.Request) enroll.PickupKey {
	session, err := s.sessions.Get(r, sessionCookie)
	if err != nil {
		return enroll.PickupKey{}
	}
	secret, _ := parseSecret(session.ID)
	return secret.pickupKey()
}

// by says for the ledger who acts, as an employee and from where.
func (s *Server) by(r *http.Request) enroll.By {
	return enroll.By{
		Person: s.person(r).person, Role: enroll.Employee,
		Address: clientAddress(r), Request: visitOf(r).ref,
	}
}

// clientAddress is the address the request came from, proxies that the
// configuration trusts taken off.
func clientAddress(r *http.Request) string { return middleware.GetClientIP(r.Context()) }

// requireSession lets only those through who signed in. Others go to the
// sign-in page and come back to the page they wanted; a POST comes back to the
// page of its form.
func (s *Server) requireSession(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, ok, err := s.signedIn(r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if !ok {
			_ = redirect(w, signInAddress(pagePath(r)))
			return
		}
		next.ServeHTTP(w, r)
	})
}
