package web

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"certportal/internal/oidc"
	"certportal/internal/portal"
	"certportal/web/page"
)

// CallbackPath is the redirect address for the identity provider, below the public
// address.
const CallbackPath = "/login/callback"

// ssoPath starts a sign-in at the identity provider.
const ssoPath = "/login/sso"

// SSO configures the sign-in at an identity provider.
type SSO struct {
	Provider *oidc.Provider

	// Name is shown on the button: "Continue with {Name}".
	Name string

	// PasswordOff disables the sign-in by password.
	PasswordOff bool
}

func (o *SSO) check() error {
	if o != nil && (o.Provider == nil || strings.TrimSpace(o.Name) == "") {
		return errors.New("web: single sign-on lacks its provider or its name")
	}
	return nil
}

const (
	// ssoCookie is the name of the cookie between start and callback.
	ssoCookie = "__Host-sso"

	// ssoLife bounds the time at the provider.
	ssoLife = 10 * time.Minute

	// maxCode bounds the authorization code, in bytes.
	maxCode = 8 << 10
)

// ssoStart is the content of the cookie: a secret, and the page after the sign-in.
// State, nonce and PKCE verifier are derived from all of it, so that the portal keeps
// nothing, and a response fits only the browser, time and page that started the
// sign-in: no response signs in another browser (attack A9).
type ssoStart struct {
	secret cookieSecret
	at     time.Time
	next   string // local path; empty for the home page
}

func newStart(at time.Time, next string) ssoStart {
	s := ssoStart{at: at, next: next}
	rand.Read(s.secret[:]) // never returns an error, see crypto/rand
	return s
}

// String is the value of the cookie.
func (s ssoStart) String() string { return s.secret.String() + "." + s.open() }

// open is the public part of the cookie.
func (s ssoStart) open() string {
	return strconv.FormatInt(s.at.Unix(), 10) + "." + base64.RawURLEncoding.EncodeToString([]byte(s.next))
}

// parseStart parses the value of a cookie.
func parseStart(value string) (ssoStart, bool) {
	parts := strings.Split(value, ".")
	if len(parts) != 3 {
		return ssoStart{}, false
	}
	secret, ok := parseSecret(parts[0])
	unix, err := strconv.ParseInt(parts[1], 10, 64)
	path, pathErr := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if !ok || err != nil || pathErr != nil {
		return ssoStart{}, false
	}
	next, ok := localPath(string(path))
	return ssoStart{secret: secret, at: time.Unix(unix, 0), next: next}, ok || len(path) == 0
}

// flow derives the secrets of the sign-in, each under its own label.
func (s ssoStart) flow() oidc.Flow {
	part := func(label string) string {
		return cookieSecret(s.secret.derive("certportal sso " + label + " " + s.open())).String()
	}
	flow := oidc.Flow{State: part("state"), Nonce: part("nonce"), Verifier: part("verifier")}
	if s.next == handoffPath || changesAsStaff(s.next) {
		// These pages need a fresh sign-in: a session of the provider on an unattended
		// desktop is not enough.
		flow.Since = s.at
	}
	return flow
}

// startSSO is GET /login/sso. It only sets the cookie, so a link on another site does
// no harm: people who follow it sign in as themselves.
func (s signInPages) startSSO(w http.ResponseWriter, r *http.Request) error {
	next, _ := localPath(r.URL.Query().Get("next"))
	if a, ok, _ := s.signedIn(r); ok && s.isFreshFor(a, next) {
		return redirect(w, orHome(next))
	}
	start := newStart(s.now(), next)
	address, err := s.sso.Provider.Address(r.Context(), start.flow())
	if err != nil {
		return err
	}
	http.SetCookie(w, newSSOCookie(start.String(), int(ssoLife.Seconds())))
	return redirect(w, address)
}

// newSSOCookie makes the cookie. SameSite is Lax: the provider's response comes from
// another site.
func newSSOCookie(value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: ssoCookie, Value: value, MaxAge: maxAge,
		Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// finishSSO is GET /login/callback, the provider's response. It is the only GET that
// signs in: the state, bound to this browser's cookie, protects it like a form's
// origin. The cookie is deleted in any case.
func (s signInPages) finishSSO(w http.ResponseWriter, r *http.Request) error {
	http.SetCookie(w, newSSOCookie("", -1))
	// The address holds the code, which must not leak in the Referer of the style
	// sheet's request; a form on this page keeps its Origin.
	w.Header().Set("Referrer-Policy", "strict-origin")
	q := r.URL.Query()
	if !q.Has("code") && !q.Has("error") {
		return redirect(w, "/login") // a language link of this page, or no parameters
	}
	start, err := s.startOf(r, q)
	if err != nil {
		return &ssoRefused{http.StatusBadRequest, page.ErrSSOFailed, err}
	}
	if code := q.Get("error"); code != "" {
		return providerError(code)
	}
	claim, err := s.sso.Provider.Finish(r.Context(), start.flow(), oidc.Answer{Code: q.Get("code"), Issuer: q.Get("iss")})
	if err != nil {
		return &ssoRefused{http.StatusForbidden, page.ErrSSOFailed, err}
	}
	by := portal.Actor{Role: portal.Employee, Address: clientAddress(r), Request: requestInfoOf(r).id}
	person, err := s.signIn.Assert(r.Context(), claim, by)
	if err != nil {
		return err
	}
	if err := s.openSession(w, r, person, "", !start.flow().Since.IsZero()); err != nil {
		return err
	}
	return redirect(w, s.startPage(r, start.next, person))
}

// startOf finds the start of the sign-in.
func (s signInPages) startOf(r *http.Request, q url.Values) (ssoStart, error) {
	for _, name := range []string{"code", "state", "iss", "error"} {
		if len(q[name]) > 1 {
			return ssoStart{}, fmt.Errorf("parameter %s sent %d times", name, len(q[name]))
		}
	}
	cookie, err := r.Cookie(ssoCookie)
	if err != nil {
		return ssoStart{}, errors.New("no sign-in was started in this browser")
	}
	start, ok := parseStart(cookie.Value)
	state := q.Get("state")
	switch {
	case !ok || subtle.ConstantTimeCompare([]byte(state), []byte(start.flow().State)) != 1:
		return ssoStart{}, errors.New("state of another sign-in")
	case s.now().Sub(start.at) > ssoLife || start.at.After(s.now().Add(time.Minute)):
		return ssoStart{}, errors.New("sign-in started too long ago")
	case len(q.Get("code")) > maxCode:
		return ssoStart{}, fmt.Errorf("code of %d bytes", len(q.Get("code")))
	}
	return start, nil
}

// providerError maps the provider's error response (RFC 6749 section 4.1.2.1).
func providerError(code string) error {
	err := fmt.Errorf("answer of the identity provider: %.100q", code)
	switch code {
	case "server_error", "temporarily_unavailable":
		return &portal.Outage{Part: portal.PartProvider, Err: err}
	case "access_denied":
		return &ssoRefused{http.StatusForbidden, page.ErrSSODenied, err}
	}
	return &ssoRefused{http.StatusForbidden, page.ErrSSOFailed, err}
}

// ssoRefused is a failed sign-in at the provider. The person gets the sign-in page
// again; an outage or refusal inside it has a page of its own.
type ssoRefused struct {
	status int
	key    string // of the sentence
	err    error
}

func (e *ssoRefused) Error() string { return "signing in at identity provider: " + e.err.Error() }

// Unwrap gives the cause.
func (e *ssoRefused) Unwrap() error { return e.err }

// ssoFailedPage is the sign-in page after a failed sign-in at the provider.
func (s *Server) ssoFailedPage(r *http.Request, key string) page.Page {
	p := s.loginPage(r, s.nextOf(r))
	p.Errors = []page.FieldError{{Field: "sso", Key: key, Value: s.sso.Name}}
	return p
}

// nextOf is the page after the sign-in: from the address, or from the cookie.
func (s *Server) nextOf(r *http.Request) string {
	if next, ok := localPath(r.URL.Query().Get("next")); ok {
		return next
	}
	if cookie, err := r.Cookie(ssoCookie); err == nil {
		if start, ok := parseStart(cookie.Value); ok {
			return start.next
		}
	}
	return ""
}
