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

// handoffPath is the desktop's page of a hand-off.
const handoffPath = "/handoff"

// handoffRefresh is how often the desktop's page reloads, in seconds.
const handoffRefresh = 4

// fresh reports whether the person at the desktop authenticated just now: an
// unattended desktop must not let another person's phone in.
func (s *Server) fresh(a account) bool {
	return s.signedInWithin(a, signin.HandoffFresh)
}

// isFreshFor reports whether the session is fresh enough for the next page, so that
// the sign-in page can redirect there.
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

// showHandoff is GET /handoff: the code of this session and its state. The page
// reloads itself while the code is open.
func (s handoffPages) showHandoff(w http.ResponseWriter, r *http.Request) error {
	a := s.person(r)
	p := page.Handoff{Layout: s.layout(r)}
	if a.offer == "" && opensByItself(r) {
		return s.offer(w, r, a)
	}
	if a.offer == "" {
		if barred, err := s.barred(w, r, ""); barred {
			return err
		}
		return s.render(w, r, http.StatusOK, p)
	}
	h, err := s.signIn.Handoff(r.Context(), a.person, a.offer)
	if errors.Is(err, portal.ErrNotFound) { // deleted by now
		return s.render(w, r, http.StatusOK, p)
	}
	if err != nil {
		return err
	}
	p.State = string(h.State)
	if h.State == signin.HandoffRedeemed {
		return s.renderConnected(w, r, p, h)
	}
	if h.State != signin.HandoffOpen {
		return s.render(w, r, http.StatusOK, p)
	}
	p.Number, p.Code, p.Expires = h.Digits(), a.code.Grouped(), h.Expires
	p.Address = s.public.Host + goPath
	if p.QR, err = page.NewQR(s.origin() + codePath(a.code)); err != nil {
		return err
	}
	// A header, because axe reports the meta element. A reload loses no input here.
	w.Header().Set("Refresh", strconv.Itoa(handoffRefresh))
	return s.render(w, r, http.StatusOK, p)
}

// renderConnected shows what became of the phone: the page reloads itself until the device
// that the phone enrolled has its certificate.
func (s handoffPages) renderConnected(w http.ResponseWriter, r *http.Request, p page.Handoff, h signin.Handoff) error {
	devices, err := s.registrar.Devices(r.Context(), h.Person)
	if err != nil {
		return err
	}
	for _, d := range devices {
		if d.ID == h.Device && !d.Certificate.Delivered.IsZero() {
			p.Device = d.Name
		}
	}
	if p.Device == "" && s.now().Before(h.Expires.Add(signin.HandoffSession)) {
		w.Header().Set("Refresh", strconv.Itoa(handoffRefresh))
	}
	return s.render(w, r, http.StatusOK, p)
}

// submitHandoff is POST /handoff: a new code, in place of an open one. The store keeps
// its hash; the code itself is in the encrypted session, for reloads of the page.
func (s handoffPages) submitHandoff(w http.ResponseWriter, r *http.Request) error {
	if _, err := readForm(r); err != nil {
		return err
	}
	return s.offer(w, r, s.person(r))
}

// opensByItself reports whether a person opened the page, from the portal's own pages or
// by typing its address, so that it may show a code at once. Another site, a preview or a
// prefetch, and a browser that does not say, get a button.
func opensByItself(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return r.Method == http.MethodGet && (site == "same-origin" || site == "none") &&
		r.Header.Get("Sec-Fetch-Dest") == "document" && r.Header.Get("Sec-Purpose") == ""
}

// offer makes a code and shows it; a person who signed in a while ago signs in again.
func (s handoffPages) offer(w http.ResponseWriter, r *http.Request, a account) error {
	if !s.fresh(a) {
		return redirect(w, signInAddress(handoffPath))
	}
	if barred, err := s.barred(w, r, ""); barred {
		return err
	}
	session, err := s.sessions.Get(r, sessionCookie)
	if err != nil {
		return &portal.Outage{Part: portal.PartStore, Err: err}
	}
	key, _ := s.sessions.keyOf(session.ID)
	h, code, err := s.signIn.OfferHandoff(r.Context(), s.by(r), key.idHash(), a.name)
	if err != nil {
		return err
	}
	session.Values["offer"], session.Values["code"] = string(h.ID), string(code)
	if err := session.Save(r, w); err != nil {
		return &portal.Outage{Part: portal.PartStore, Err: fmt.Errorf("keeping hand-off code: %w", err)}
	}
	return redirect(w, handoffPath)
}
