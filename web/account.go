package web

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/sessions"

	"certportal/internal/authz"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/signin"
)

// account is the content of a session: enough for the layout of the pages. What a
// certificate holds is read from the directory again.
type account struct {
	person  portal.PersonID
	name    string // display name
	given   string // given name, may be empty
	expires time.Time
	login   string    // name as it was typed at the sign-in; empty after one at the provider
	proven  time.Time // time of the last full sign-in, not by a remembered session of the provider; zero for never
	desk    string    // where staff pages begin for them; empty for employees

	// The hand-off that this session made, and its code.
	offer signin.HandoffID
	code  signin.HandoffCode

	// The invitation that the next certificate uses up, empty for none, and its
	// device, empty for a new one.
	invitation signin.InvitationID
	invitedTo  portal.DeviceID

	// The hand-off that opened this session, empty for a whole session, and the device
	// of its one certificate, empty before.
	phone  signin.HandoffID
	device portal.DeviceID
}

// limited reports whether this is a phone's session, which may get one certificate.
func (a account) limited() bool { return a.phone != "" }

// attempt returns the idempotency token of a request for a certificate. All forms of a
// phone's session share one, so that it gets one certificate, however many forms it
// sends at once.
func (a account) attempt(token string) string {
	if a.limited() {
		return "hand-off " + string(a.phone)
	}
	return token
}

// accountOf reads the values of a session.
func accountOf(session *sessions.Session) account {
	text := func(key string) string {
		s, _ := session.Values[key].(string)
		return s
	}
	// A time that does not parse is in the past: the session ends, or is not fresh.
	moment := func(key string) time.Time {
		unix, _ := strconv.ParseInt(text(key), 10, 64)
		return time.Unix(unix, 0)
	}
	return account{
		person: portal.PersonID(text("person")), name: text("name"), given: text("given"), login: text("login"),
		expires: moment("expires"), proven: moment("proven"), desk: text("desk"),
		offer: signin.HandoffID(text("offer")), code: signin.HandoffCode(text("code")),
		phone: signin.HandoffID(text("phone")), device: portal.DeviceID(text("device")),
		invitation: signin.InvitationID(text("invitation")), invitedTo: portal.DeviceID(text("invited-to")),
	}
}

// openSession opens a new session for the person. login is the name that they typed, if
// they did; proven means that they authenticated just now, not by a remembered session of
// the provider.
func (s *Server) openSession(w http.ResponseWriter, r *http.Request, p portal.Person, login string, proven bool) error {
	lifetime := s.limits.Lifetime
	if authz.IsStaff(p) {
		lifetime = s.limits.StaffLifetime
	}
	return s.beginSession(w, r, p, sessionStart{lifetime: lifetime, login: login, proven: proven})
}

// openPhoneSession opens a session for one certificate, after a hand-off or a pickup
// code.
func (s *Server) openPhoneSession(w http.ResponseWriter, r *http.Request, p portal.Person, h signin.HandoffID, i signin.InvitationID) error {
	return s.beginSession(w, r, p, sessionStart{lifetime: min(signin.HandoffSession, s.limits.Lifetime), phone: h, invitation: i})
}

// sessionStart describes a new session.
type sessionStart struct {
	lifetime time.Duration
	login    string
	proven   bool
	phone    signin.HandoffID // that opened it, empty for a whole session

	// The pickup code that opened it, empty for none. It is set from the start: without
	// it the session must allow nothing.
	invitation signin.InvitationID
}

// beginSession opens a session. It first deletes the row of the browser's earlier
// session, so that the old cookie is worthless.
func (s *Server) beginSession(w http.ResponseWriter, r *http.Request, p portal.Person, start sessionStart) error {
	session, err := s.sessions.Get(r, sessionCookie)
	if err != nil {
		return &portal.Outage{Part: portal.PartStore, Err: err}
	}
	typed, err := s.carriedForm(r, session, p.ID)
	if err != nil {
		return &portal.Outage{Part: portal.PartStore, Err: err}
	}
	if key, ok := s.sessions.keyOf(session.ID); ok {
		if err := s.store.EndSession(r.Context(), key.idHash()); err != nil {
			return &portal.Outage{Part: portal.PartStore, Err: fmt.Errorf("ending earlier session: %w", err)}
		}
	}
	session.ID = ""
	clear(session.Values)
	session.Values["person"] = string(p.ID)
	session.Values["name"] = p.Name
	session.Values["given"] = p.GivenName
	session.Values["login"] = start.login
	now := strconv.FormatInt(s.now().Unix(), 10)
	if start.proven {
		session.Values["proven"] = now
	}
	session.Values["expires"] = strconv.FormatInt(s.now().Add(start.lifetime).Unix(), 10)
	session.Values["phone"] = string(start.phone)
	session.Values["invitation"] = string(start.invitation)
	if start.phone == "" {
		session.Values["desk"] = staffHome(p.Roles)
		session.Values[typedKey] = typed
	}
	if err := session.Save(r, w); err != nil {
		return &portal.Outage{Part: portal.PartStore, Err: err}
	}
	s.noteLanguage(r, p.ID)
	return nil
}

// signedIn returns the account of the request, and false without a session. The error
// is a *portal.Outage of the store.
func (s *Server) signedIn(r *http.Request) (account, bool, error) {
	session, err := s.sessions.Get(r, sessionCookie)
	if err != nil {
		return account{}, false, &portal.Outage{Part: portal.PartStore, Err: err}
	}
	if session.IsNew {
		return account{}, false, nil
	}
	return accountOf(session), true, nil
}

// person returns the account of the request, on routes that require a session.
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
	key, _ := s.sessions.keyOf(session.ID)
	return key.pickupKey()
}

// by returns the signed-in person as an actor in the role of an employee.
func (s *Server) by(r *http.Request) portal.Actor {
	return portal.Actor{
		Person: s.person(r).person, Role: portal.Employee,
		Address: clientAddress(r), Request: requestInfoOf(r).id,
	}
}

// AnonymousActor returns the actor of a request without a session, such as one of a
// device.
func AnonymousActor(r *http.Request) portal.Actor {
	return portal.Actor{Address: clientAddress(r), Request: requestInfoOf(r).id}
}

// anonymous is the actor before sign-in, for the audit log and the throttle.
func (s *Server) anonymous(r *http.Request) portal.Actor {
	return portal.Actor{Role: portal.Employee, Address: clientAddress(r), Request: requestInfoOf(r).id, Browser: knownCookieOf(r)}
}

// clientAddress is the client's address, behind the trusted proxies.
func clientAddress(r *http.Request) string { return requestInfoOf(r).address }

// requireSession redirects clients without a session to the sign-in page, which leads
// back to the page they asked for; after a POST, to the page of the form, which shows again
// what was typed.
func (s *Server) requireSession(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, ok, err := s.signedIn(r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if !ok {
			back := s.returnPath(r)
			if err := s.keepTypedLate(r, back); err != nil {
				s.fail(w, r, err)
				return
			}
			_ = redirect(w, signInAddress(back))
			return
		}
		next.ServeHTTP(w, r)
	})
}
