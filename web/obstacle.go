package web

import (
	"errors"
	"net/http"

	"certportal/internal/portal"
	"certportal/web/page"
)

// obstacleOf is what keeps the person from a certificate for the device, empty for a new
// one; nil when nothing is known to.
func (s *Server) obstacleOf(r *http.Request, device portal.DeviceID) *page.Problem {
	refusal := s.refusalOf(r, device)
	if refusal == nil {
		return nil
	}
	return s.obstaclePage(r, refusal)
}

// refusalOf is what a request for a certificate would be refused with; nil when nothing is
// known to refuse it.
func (s *Server) refusalOf(r *http.Request, device portal.DeviceID) *portal.Refusal {
	var refusal *portal.Refusal
	errors.As(s.registrar.Obstacle(r.Context(), s.person(r).person, device), &refusal)
	return refusal
}

func (s *Server) obstaclePage(r *http.Request, refusal *portal.Refusal) *page.Problem {
	p := page.Problem{Layout: s.layout(r), Kind: page.Kind(refusal.Reason), Limit: refusal.Limit}
	if filled, ok := s.refusalPage(p, refusal).(page.Problem); ok {
		p = filled
	}
	return &p
}

// barred answers a request for a page that offers a certificate which the person cannot
// have: with the refusal, or with the page of a full quota. It reports whether it did.
func (s *Server) barred(w http.ResponseWriter, r *http.Request, device portal.DeviceID) (bool, error) {
	err := s.registrar.Obstacle(r.Context(), s.person(r).person, device)
	var refusal *portal.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != portal.QuotaReached {
		return err != nil, err
	}
	devices, err := s.registrar.Devices(r.Context(), s.person(r).person)
	if err != nil {
		return true, err
	}
	return true, ownDevices{s}.renderQuota(w, r, devices)
}

// toEligible lets people pass to the pages that lead to a certificate for a new device
// if they could have it.
func (s *Server) toEligible(next handlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if s.registrar.CodeRequired() && s.person(r).invitation == "" {
			return redirect(w, pickupPath)
		}
		if barred, err := s.barred(w, r, ""); barred {
			return err
		}
		return next(w, r)
	}
}
