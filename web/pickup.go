package web

import (
	"errors"
	"net/http"

	"github.com/go-chi/chi/v5"

	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/web/page"
)

// pickupPath is where people enter the code from the helpdesk.
const pickupPath = "/pickup"

// Catalogue keys of the errors of a code.
const (
	errPickupForm  = "pickup.form"
	errPickupWrong = "pickup.wrong"
)

// visitor is the client on the pickup pages: without a session, with a whole session,
// or with a phone's session.
type visitor struct {
	account
	known bool
}

type visitorFunc func(w http.ResponseWriter, r *http.Request, v visitor) error

// withVisitor passes the client's session on. Clients without one must sign in first,
// unless a code may replace the password; a phone that has its certificate is
// redirected to it.
func (s pickupPages) withVisitor(next visitorFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		a, ok, err := s.signedIn(r)
		switch {
		case err != nil:
			return err
		case !ok && !s.codeAlone:
			return redirect(w, signInAddress(pagePath(r)))
		case ok && a.limited() && a.device != "":
			return redirect(w, installPath(a.device))
		}
		return next(w, r, visitor{a, ok})
	}
}

// visitorActor is the actor for the audit log and the throttle.
func (s pickupPages) visitorActor(r *http.Request, v visitor) portal.Actor {
	if !v.known {
		return s.anonymous(r)
	}
	return s.by(r)
}

func (s pickupPages) pickupPage(r *http.Request, v visitor) page.Pickup {
	return page.Pickup{Layout: s.layout(r), Required: v.known && s.registrar.CodeRequired(), Anonymous: !v.known}
}

// showPickup is GET /pickup: the form, or the device for which this session has a
// code.
func (s pickupPages) showPickup(w http.ResponseWriter, r *http.Request, v visitor) error {
	if v.invitedTo == "" || v.limited() {
		return s.render(w, r, http.StatusOK, s.pickupPage(r, v))
	}
	d, err := s.registrar.Device(r.Context(), v.person, v.invitedTo)
	if errors.Is(err, portal.ErrNotFound) || err == nil && !d.Removed.IsZero() {
		return s.render(w, r, http.StatusOK, s.pickupPage(r, v))
	}
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, page.PickupReady{Layout: s.layout(r), Device: s.card(d), Token: newFormToken()})
}

// showPickupCode is GET /pickup/{code}, the address in the QR code of a slip. It
// changes nothing: link previews fetch it too. To other people the code does not exist
// (attack A4).
func (s pickupPages) showPickupCode(w http.ResponseWriter, r *http.Request, v visitor) error {
	code, ok := signin.ParsePickupCode(chi.URLParam(r, "code"))
	if !ok {
		return portal.ErrNotFound
	}
	i, err := s.signIn.OpenInvitation(r.Context(), code, s.visitorActor(r, v))
	var wrong *signin.WrongCode
	switch {
	case errors.As(err, &wrong) && !v.known:
		return redirect(w, signInAddress(pagePath(r)))
	case errors.As(err, &wrong):
		return portal.ErrNotFound
	case err != nil:
		return s.renderPickupOver(w, r, err)
	}
	p := s.pickupPage(r, v)
	p.Code, p.Fixed = code.Grouped(), true
	if !v.known {
		person, err := s.registrar.Person(r.Context(), i.Person)
		if err != nil && !errors.Is(err, portal.ErrNotFound) {
			return err
		}
		p.Masked = signin.MaskName(nameOf(person))
	}
	return s.render(w, r, http.StatusOK, p)
}

// submitPickup is POST /pickup. A valid code is saved in the session, and used up when
// a certificate is recorded with it.
func (s pickupPages) submitPickup(w http.ResponseWriter, r *http.Request, v visitor) error {
	f, err := readForm(r, "code")
	if err != nil {
		return err
	}
	p := s.pickupPage(r, v)
	p.Code = f["code"]
	code, ok := signin.ParsePickupCode(f["code"])
	if !ok {
		p.Errors = []page.FieldError{{Field: "code", Key: errPickupForm}}
		return s.render(w, r, http.StatusUnprocessableEntity, p)
	}
	if !v.known {
		return s.signInByCode(w, r, p, code)
	}
	i, err := s.signIn.OpenInvitation(r.Context(), code, s.by(r))
	var wrong *signin.WrongCode
	if errors.As(err, &wrong) {
		return s.redisplayPickup(w, r, p, wrong)
	}
	if err != nil {
		return s.renderPickupOver(w, r, err)
	}
	keep := map[string]string{"invitation": string(i.ID), "invited-to": ""}
	to := "/new"
	if i.Purpose == signin.ForBroken && i.Device != "" && !v.limited() {
		keep["invited-to"], to = string(i.Device), pickupPath
	}
	if err := s.changeSession(w, r, keep); err != nil {
		return err
	}
	return redirect(w, to)
}

// signInByCode opens a session for the one certificate of the code.
func (s pickupPages) signInByCode(w http.ResponseWriter, r *http.Request, p page.Pickup, code signin.PickupCode) error {
	person, i, err := s.signIn.SignInByCode(r.Context(), code, s.anonymous(r))
	var wrong *signin.WrongCode
	if errors.As(err, &wrong) {
		return s.redisplayPickup(w, r, p, wrong)
	}
	if err != nil {
		return err
	}
	// A phone's session gets one certificate, even if the code is entered in several
	// browsers at once.
	if err := s.openPhoneSession(w, r, person, signin.HandoffID(i.ID), i.ID); err != nil {
		return err
	}
	return redirect(w, "/new")
}

func (s pickupPages) redisplayPickup(w http.ResponseWriter, r *http.Request, p page.Pickup, wrong *signin.WrongCode) error {
	p.Counted, p.TriesLeft, p.Pause = wrong.Counted, wrong.Left, wrong.Pause
	p.Errors = []page.FieldError{{Field: "code", Key: errPickupWrong}}
	return s.render(w, r, http.StatusUnprocessableEntity, p)
}

// renderPickupOver shows a person why their own code does not work.
func (s pickupPages) renderPickupOver(w http.ResponseWriter, r *http.Request, err error) error {
	var gone *signin.CodeGone
	if !errors.As(err, &gone) {
		return err
	}
	status := http.StatusGone
	if gone.State == signin.InvitationWaiting {
		status = http.StatusConflict
	}
	return s.render(w, r, status, page.PickupOver{Layout: s.layout(r), State: string(gone.State), At: gone.At})
}

// dropInvitation removes a used invitation from the session. A phone's session keeps
// it: without it, a session that a code opened would be good for a certificate without
// a code.
func (s *Server) dropInvitation(w http.ResponseWriter, r *http.Request) error {
	if a := s.person(r); a.invitation == "" || a.limited() {
		return nil
	}
	return s.changeSession(w, r, map[string]string{"invitation": "", "invited-to": ""})
}

// refuseUninvited answers requests for a certificate with a used code, or without one
// where it is required. It reports whether err was of this kind.
func (s *Server) refuseUninvited(w http.ResponseWriter, r *http.Request, err error) bool {
	var refusal *portal.Refusal
	if !errors.As(err, &refusal) || s.helpdesk == nil {
		return false
	}
	switch refusal.Reason {
	case portal.CodeNeeded:
		_ = redirect(w, pickupPath)
		return true
	case portal.CodeOver:
		if err := s.dropInvitation(w, r); err != nil {
			s.log.Error("removing a used pickup code from the session", "request", requestInfoOf(r).id, "err", err)
		}
		_ = s.render(w, r, http.StatusGone, page.PickupOver{Layout: s.layout(r), State: page.CodeUsedUp})
		return true
	}
	return false
}
