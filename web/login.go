package web

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"certportal/internal/authz"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/web/page"
)

// maxTriesShown is the number of remaining tries from which the sign-in page counts
// down.
const maxTriesShown = 2

// showLogin is GET /login.
func (s signInPages) showLogin(w http.ResponseWriter, r *http.Request) error {
	next, _ := localPath(r.URL.Query().Get("next"))
	a, ok, err := s.signedIn(r)
	if ok && s.isFreshFor(a, next) {
		return redirect(w, orHome(next))
	}
	p := s.loginPage(r, next)
	if !ok && err == nil {
		p.Over = s.sessionEnd(r)
	}
	p.Again = ok && !a.limited()
	p.AgainStaff = p.Again && changesAsStaff(next)
	if p.Again {
		p.Username = a.login
	}
	return s.render(w, r, http.StatusOK, p)
}

// sessionEnd says why the session of the browser's cookie is over; empty without a cookie.
// When the store does not answer, the page does not claim a reason.
func (s signInPages) sessionEnd(r *http.Request) string {
	if _, err := r.Cookie(sessionCookie); err != nil {
		return ""
	}
	over, _, err := s.sessions.over(r)
	switch {
	case err == nil && over.Lost:
		return page.OverLost
	case err == nil && over.Idle:
		return page.OverIdle
	}
	return page.OverOther
}

// loginPage is the sign-in page that leads on to next. Its address for links is that
// of the sign-in page, on error pages too.
func (s *Server) loginPage(r *http.Request, next string) page.Login {
	p := page.Login{Layout: s.layout(r), Example: s.example, Next: next, Pickup: s.helpdesk != nil, CodeAlone: s.codeAlone}
	p.Layout.Path = signInAddress(next)
	p.Layout.PageURL = s.origin() + p.Layout.Path
	if s.sso != nil {
		p.Provider, p.PasswordOff = s.sso.Name, s.sso.PasswordOff
	}
	return p
}

// takesPasswords reports whether people may sign in by password.
func (s *Server) takesPasswords() bool { return s.sso == nil || !s.sso.PasswordOff }

// submitLogin is POST /login. Empty fields are not sent to the directory.
func (s signInPages) submitLogin(w http.ResponseWriter, r *http.Request) error {
	if !s.takesPasswords() {
		return portal.ErrNotFound
	}
	f, err := readForm(r, "username", "password", "next")
	if err != nil {
		return err
	}
	next, _ := localPath(f["next"])
	p := s.loginPage(r, next)
	p.Username = strings.TrimSpace(f["username"])
	if p.Errors = missing(p.Username, f["password"]); len(p.Errors) > 0 {
		return s.render(w, r, http.StatusUnprocessableEntity, p)
	}
	person, err := s.authenticate(r, p.Username, f["password"])
	if errors.Is(err, portal.ErrCredentials) {
		var wrong *signin.Wrong
		if errors.As(err, &wrong) && wrong.Left <= maxTriesShown {
			p.TriesLeft, p.Pause = wrong.Left, wrong.Pause
		}
		p.Errors = []page.FieldError{{Field: "username", Key: page.ErrWrong}}
		// 401 without WWW-Authenticate: there is no scheme to offer, and browsers must
		// never be asked for NTLM or Negotiate (attack A14).
		return s.render(w, r, http.StatusUnauthorized, p)
	}
	if err != nil {
		return err
	}
	if err := s.openSession(w, r, person, p.Username, true); err != nil {
		return err
	}
	http.SetCookie(w, newKnownCookie(s.signIn.KnowBrowser(knownCookieOf(r), person.ID)))
	return redirect(w, s.startPage(r, next, person))
}

// authenticate checks login and password. No login has control characters: such a name
// is answered as wrong.
func (s signInPages) authenticate(r *http.Request, username, password string) (portal.Person, error) {
	if strings.ContainsFunc(username, unicode.IsControl) {
		return portal.Person{}, portal.ErrCredentials
	}
	by := s.anonymous(r)
	session, err := s.sessions.Get(r, sessionCookie)
	if err != nil {
		return portal.Person{}, &portal.Outage{Part: portal.PartStore, Err: err}
	}
	if a := accountOf(session); !session.IsNew && !a.limited() {
		// Asked for the password again.
		key, _ := s.sessions.keyOf(session.ID)
		by.Person, by.Session = a.person, key.idHash()
	}
	return s.signIn.Authenticate(r.Context(), username, password, by)
}

// missing lists the empty fields.
func missing(username, password string) []page.FieldError {
	var errs []page.FieldError
	if username == "" {
		errs = append(errs, page.FieldError{Field: "username", Key: page.ErrUsernameEmpty})
	}
	if password == "" {
		errs = append(errs, page.FieldError{Field: "password", Key: page.ErrPasswordEmpty})
	}
	return errs
}

// submitLogout is POST /logout. It writes the audit entry first: without it the
// session does not end.
func (s signInPages) submitLogout(w http.ResponseWriter, r *http.Request) error {
	if _, err := readForm(r); err != nil {
		return err
	}
	if err := s.signIn.SignedOut(r.Context(), s.by(r)); err != nil {
		return err
	}
	session, err := s.sessions.Get(r, sessionCookie)
	if err == nil {
		session.Options.MaxAge = -1
		err = session.Save(r, w)
	}
	if err != nil {
		return &portal.Outage{Part: portal.PartStore, Err: err}
	}
	return redirect(w, "/login")
}

// startPage is the page after the sign-in of a person: the one they asked for; without,
// that of their work, or on a phone the form for their first device.
func (s *Server) startPage(r *http.Request, next string, p portal.Person) string {
	if page := orHome(next); page != "/" {
		return page
	}
	for _, role := range p.Roles {
		if slices.Contains(authz.Acts(role), authz.ReadOverview) {
			return "/admin"
		}
	}
	if desk := staffHome(p.Roles); desk != "" {
		return desk
	}
	if s.wantsFirst(r, p) {
		return "/new"
	}
	return "/"
}

// wantsFirst reports whether the person signed in on a phone or tablet, has no device yet,
// and may have one. What cannot be read is for the home page to say.
func (s *Server) wantsFirst(r *http.Request, p portal.Person) bool {
	if !clientOf(r).Mobile || s.registrar.CodeRequired() {
		return false
	}
	devices, err := s.registrar.Devices(r.Context(), p.ID)
	return err == nil && len(devices) == 0 && s.registrar.Obstacle(r.Context(), p.ID, "") == nil
}

// orHome is the page after the sign-in.
func orHome(next string) string {
	path, _, _ := strings.Cut(next, "?")
	if path == "" || path == "/login" || path == "/logout" || path == ssoPath || path == CallbackPath {
		return "/"
	}
	return next
}
