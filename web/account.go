package web

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5/middleware"
	"github.com/gorilla/sessions"

	"certportal/internal/authz"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/signin"
)

// account is what a session says about who signed in: enough for the frame of
// the pages. What stands in a certificate is read afresh from the directory.
type account struct {
	person  portal.PersonID
	name    string // display name
	given   string // given name, may be empty
	expires time.Time
	proven  time.Time // when they last showed it to nobody else's old session; zero for never
	desk    string    // where staff pages begin for them; empty for employees

	// A hand-off that this session made, and its code.
	offer signin.HandoffID
	code  signin.HandoffCode

	// The pickup code that the next certificate uses up, empty for none, and the
	// device it is for, empty for a new one.
	invitation signin.InvitationID
	invitedTo  portal.DeviceID

	// The hand-off that this session came by, empty for a whole session, and the
	// device it got its one certificate for, empty before.
	phone  signin.HandoffID
	device portal.DeviceID
}

// limited reports whether the session is that of a phone, good for one certificate.
func (a account) limited() bool { return a.phone != "" }

// attempt is the token under which the session asks for a certificate. All forms of
// a phone are the same request: it gets one certificate, however often and at
// however many places it asks at once.
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
	// A time that does not parse is long over: the session ends, or is not fresh.
	moment := func(key string) time.Time {
		unix, _ := strconv.ParseInt(text(key), 10, 64)
		return time.Unix(unix, 0)
	}
	return account{
		person: portal.PersonID(text("person")), name: text("name"), given: text("given"),
		expires: moment("expires"), proven: moment("proven"), desk: text("desk"),
		offer: signin.HandoffID(text("offer")), code: signin.HandoffCode(text("code")),
		phone: signin.HandoffID(text("phone")), device: portal.DeviceID(text("device")),
		invitation: signin.InvitationID(text("invitation")), invitedTo: portal.DeviceID(text("invited-to")),
	}
}

// openSession opens a new session for the person. Proven says that they showed just
// now who they are, and no provider remembered them from earlier.
func (s *Server) openSession(w http.ResponseWriter, r *http.Request, p portal.Person, proven bool) error {
	lifetime := s.limits.Lifetime
	if authz.IsStaff(p) {
		lifetime = s.limits.StaffLifetime
	}
	return s.beginSession(w, r, p, sessionStart{lifetime: lifetime, proven: proven})
}

// openPhoneSession opens a session that is good for one certificate, of a phone that
// came by a hand-off or by a pickup code.
func (s *Server) openPhoneSession(w http.ResponseWriter, r *http.Request, p portal.Person, h signin.HandoffID, i signin.InvitationID) error {
	return s.beginSession(w, r, p, sessionStart{lifetime: min(signin.HandoffSession, s.limits.Lifetime), phone: h, invitation: i})
}

// sessionStart is how a session begins.
type sessionStart struct {
	lifetime time.Duration
	proven   bool
	phone    signin.HandoffID // that it came by, empty for a whole session

	// The pickup code that it came by, empty for none. It is there from the first
	// moment: the session must not be worth anything without.
	invitation signin.InvitationID
}

// beginSession opens a session. The row of one that was open before ends first, so
// that its cookie is worth nothing from here on.
func (s *Server) beginSession(w http.ResponseWriter, r *http.Request, p portal.Person, start sessionStart) error {
	session, err := s.sessions.Get(r, sessionCookie)
	if err != nil {
		return &portal.Outage{Part: portal.PartStore, Err: err}
	}
	if secret, ok := parseSecret(session.ID); ok {
		if err := s.store.EndSession(r.Context(), secret.idHash()); err != nil {
			return &portal.Outage{Part: portal.PartStore, Err: fmt.Errorf("ending earlier session: %w", err)}
		}
	}
	session.ID = ""
	clear(session.Values)
	session.Values["person"] = string(p.ID)
	session.Values["name"] = p.Name
	session.Values["given"] = p.GivenName
	now := strconv.FormatInt(s.now().Unix(), 10)
	if start.proven {
		session.Values["proven"] = now
	}
	session.Values["expires"] = strconv.FormatInt(s.now().Add(start.lifetime).Unix(), 10)
	session.Values["phone"] = string(start.phone)
	session.Values["invitation"] = string(start.invitation)
	if start.phone == "" {
		session.Values["desk"] = staffHome(p.Roles)
	}
	if err := session.Save(r, w); err != nil {
		return &portal.Outage{Part: portal.PartStore, Err: err}
	}
	s.noteLanguage(r, p.ID)
	return nil
}

// signedIn returns who the request belongs to, false for nobody. The error is
// an *enroll.Outage of the store.
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
func (s *Server) by(r *http.Request) portal.Actor {
	return portal.Actor{
		Person: s.person(r).person, Role: portal.Employee,
		Address: clientAddress(r), Request: requestInfoOf(r).id,
	}
}

// AnonymousActor says where a request of a machine came from: nobody is signed in.
func AnonymousActor(r *http.Request) portal.Actor {
	return portal.Actor{Address: clientAddress(r), Request: requestInfoOf(r).id}
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
