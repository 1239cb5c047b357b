package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"

	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/web/page"
)

// goPath is the phone's page of a hand-off.
const goPath = "/go"

// codePath is the address of a code, as in the QR code.
func codePath(code signin.HandoffCode) string { return goPath + "/" + string(code) }

// showGo is GET /go, for phones without a camera.
func (s handoffPages) showGo(w http.ResponseWriter, r *http.Request) error {
	return s.render(w, r, http.StatusOK, page.Go{Layout: s.layout(r)})
}

// submitGo is POST /go. It redirects to the address of the code.
func (s handoffPages) submitGo(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(r, "code")
	if err != nil {
		return err
	}
	code, ok := signin.ParseHandoffCode(f["code"])
	if !ok {
		p := page.Go{Layout: s.layout(r), Code: f["code"], Errors: []page.FieldError{{Field: "code", Key: page.ErrCode}}}
		return s.render(w, r, http.StatusUnprocessableEntity, p)
	}
	return redirect(w, codePath(code))
}

// showGoCode is GET /go/{code}: the field for the number of the desktop. It changes
// nothing and shows no full name, because link previews fetch it too.
func (s handoffPages) showGoCode(w http.ResponseWriter, r *http.Request) error {
	code, ok := signin.ParseHandoffCode(chi.URLParam(r, "code"))
	if !ok {
		return s.renderHandoffOver(w, r)
	}
	return s.renderConfirm(w, r, http.StatusOK, code, page.GoConfirm{})
}

// renderConfirm shows the field for the number if the code is open.
func (s handoffPages) renderConfirm(w http.ResponseWriter, r *http.Request, status int, code signin.HandoffCode, p page.GoConfirm) error {
	h, err := s.signIn.OpenHandoff(r.Context(), code, s.anonymous(r))
	if errors.Is(err, portal.ErrNotFound) {
		return s.renderHandoffOver(w, r)
	}
	if err != nil {
		return err
	}
	p.Layout, p.Code, p.Masked = s.layout(r), string(code), h.Masked
	return s.render(w, r, status, p)
}

// submitGoCode is POST /go/{code}: one try. The right number opens a session for one
// certificate. What is not two digits is no try: it cannot be the number.
func (s handoffPages) submitGoCode(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(r, "number")
	if err != nil {
		return err
	}
	code, ok := signin.ParseHandoffCode(chi.URLParam(r, "code"))
	if !ok {
		return s.renderHandoffOver(w, r)
	}
	number, ok := signin.ParseHandoffNumber(f["number"])
	if !ok {
		return s.renderConfirm(w, r, http.StatusUnprocessableEntity, code, page.GoConfirm{
			Number: f["number"], Errors: []page.FieldError{{Field: "number", Key: page.ErrNumber}},
		})
	}
	person, h, err := s.signIn.RedeemHandoff(r.Context(), code, number, s.anonymous(r))
	switch {
	case errors.Is(err, portal.ErrNotFound):
		return s.renderHandoffOver(w, r)
	case errors.Is(err, signin.ErrWrongNumber):
		return s.render(w, r, http.StatusForbidden, page.GoOver{Layout: s.layout(r), Wrong: true})
	case err != nil:
		return &retryable{err, &page.Retry{
			Action: codePath(code), Fields: []page.Hidden{{Name: "number", Value: f["number"]}},
		}}
	}
	if err := s.openPhoneSession(w, r, person, h.ID, ""); err != nil {
		return err
	}
	return redirect(w, "/new")
}

// renderHandoffOver answers an invalid code: unknown, used and expired codes get the
// same page.
func (s handoffPages) renderHandoffOver(w http.ResponseWriter, r *http.Request) error {
	return s.render(w, r, http.StatusGone, page.GoOver{Layout: s.layout(r)})
}

// errLimited means that a phone's session may not use the page.
var errLimited = errors.New("session is limited to one certificate")

// requireWhole refuses the limited session of a phone.
func (s *Server) requireWhole(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.person(r).limited() {
			s.fail(w, r, errLimited)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// onceOnPhone redirects a phone's session to its device once it has one.
func (s *Server) onceOnPhone(next handlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if a := s.person(r); a.limited() && a.device != "" {
			return redirect(w, installPath(a.device))
		}
		return next(w, r)
	}
}

// ownOnPhone refuses a phone's session all devices but its own.
func (s *Server) ownOnPhone(next handlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if a := s.person(r); a.limited() {
			if id, ok := deviceID(r); !ok || id != a.device {
				return errLimited
			}
		}
		return next(w, r)
	}
}

// limitedPage is the page for errLimited.
func (s *Server) limitedPage(r *http.Request) page.Page {
	return page.GoLimited{Layout: s.layout(r), DeviceID: string(s.person(r).device)}
}

// rememberDevice saves the device of a phone's session. Other sessions only drop the
// invitation that was used.
func (s *Server) rememberDevice(w http.ResponseWriter, r *http.Request, id portal.DeviceID) error {
	if !s.person(r).limited() {
		return s.dropInvitation(w, r)
	}
	// A client that disconnects now must not get a second certificate.
	r = r.WithContext(context.WithoutCancel(r.Context()))
	session, err := s.sessions.Get(r, sessionCookie)
	if err == nil {
		session.Values["device"] = string(id)
		err = session.Save(r, w)
	}
	if err != nil {
		return &portal.Outage{Part: portal.PartStore, Err: fmt.Errorf("noting device of hand-off: %w", err)}
	}
	// Only the computer's page is the worse without it.
	if err := s.signIn.NoteHandoffDevice(r.Context(), s.person(r).phone, id); err != nil {
		s.log.Warn("device of a hand-off not noted", "request", requestInfoOf(r).id, "err", err)
	}
	return nil
}
