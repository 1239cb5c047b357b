package web

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/web/page"
)

// handoffPath is the desktop's end of the way to a phone.
const handoffPath = "/handoff"

// handoffRefresh is how often the desktop's page looks what became of its code, in
// seconds.
const handoffRefresh = 4

// fresh reports whether whoever sits at the desktop showed a moment ago who they
// are: a desktop left open must not let a stranger's phone in.
func (s *Server) fresh(a account) bool {
	return s.signedInWithin(a, signin.HandoffFresh)
}

// isFreshFor reports whether a session is enough for where somebody wants to go, so
// that the sign-in page leads on without asking.
func (s *Server) isFreshFor(a account, next string) bool {
	path, _, _ := strings.Cut(next, "?")
	switch {
	case a.limited():
		return false
	case path == handoffPath:
		return s.fresh(a)
	case changesAsStaff(path):
		return s.signedInWithin(a, staffFresh)
	}
	return true
}

// showHandoff is GET /handoff: the code that this session made, and what became of
// it. While a phone may still come, the page looks again by itself.
func (s handoffPages) showHandoff(w http.ResponseWriter, r *http.Request) error {
	a := s.person(r)
	p := page.Handoff{Layout: s.layout(r)}
	if a.offer == "" {
		return s.render(w, r, http.StatusOK, p)
	}
	h, err := s.signIn.Handoff(r.Context(), a.person, a.offer)
	if errors.Is(err, portal.ErrNotFound) { // forgotten by now
		return s.render(w, r, http.StatusOK, p)
	}
	if err != nil {
		return err
	}
	p.State = string(h.State)
	if h.State != signin.HandoffOpen {
		return s.render(w, r, http.StatusOK, p)
	}
	p.Number, p.Code, p.Expires = strconv.Itoa(h.Number), a.code.Grouped(), h.Expires
	p.Address = s.public.Host + goPath
	if p.QR, err = page.NewQR(s.origin() + codePath(a.code)); err != nil {
		return err
	}
	// A header and not a meta element, which axe reports: nothing is read or typed
	// on this page that a reload could take away.
	w.Header().Set("Refresh", strconv.Itoa(handoffRefresh))
	return s.render(w, r, http.StatusOK, p)
}

// submitHandoff is POST /handoff: a new code, in place of what was open. The
// records keep its hash; for reloads it stays in the session, which only the
// cookie opens.
func (s handoffPages) submitHandoff(w http.ResponseWriter, r *http.Request) error {
	if _, err := readForm(r); err != nil {
		return err
	}
	a := s.person(r)
	if !s.fresh(a) {
		return redirect(w, signInAddress(handoffPath))
	}
	session, err := s.sessions.Get(r, sessionCookie)
	if err != nil {
		return &portal.Outage{Part: portal.PartStore, Err: err}
	}
	secret, _ := parseSecret(session.ID)
	h, code, err := s.signIn.OfferHandoff(r.Context(), s.by(r), secret.idHash(), a.name)
	if err != nil {
		return err
	}
	session.Values["offer"], session.Values["code"] = string(h.ID), string(code)
	if err := session.Save(r, w); err != nil {
		return &portal.Outage{Part: portal.PartStore, Err: fmt.Errorf("keeping hand-off code: %w", err)}
	}
	return redirect(w, handoffPath)
}
