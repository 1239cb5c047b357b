package web

import (
	"net/http"
	"time"

	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/web/page"
)

// submitTrouble is POST /devices/{id}/trouble: the person says that the device does not
// work. The helpdesk sees it among their failed attempts.
func (s ownDevices) submitTrouble(w http.ResponseWriter, r *http.Request) error {
	if _, err := readForm(r); err != nil {
		return err
	}
	d, err := s.keptDevice(r)
	if err != nil {
		return err
	}
	if err := s.registrar.NoteTrouble(r.Context(), s.by(r), d); err != nil {
		return err
	}
	return redirect(w, devicePath(d.ID, "trouble"))
}

// showTrouble is GET /devices/{id}/trouble: the likeliest reason as far as it is known,
// what mends it, and help by symptom.
func (s ownDevices) showTrouble(w http.ResponseWriter, r *http.Request) error {
	d, err := s.keptDevice(r)
	if err != nil {
		return err
	}
	use, err := s.registrar.Use(r.Context(), d.Certificate.Serial)
	if err != nil {
		return err
	}
	refusal := s.refusalOf(r, d.ID)
	fault := s.registrar.FaultOf(d, use, refusal)
	p := page.Trouble{
		Layout: s.layout(r), Device: s.card(d), Token: newFormToken(), Limited: s.person(r).limited(), Mobile: clientOf(r).Mobile,
		Fault: string(fault), Since: sinceOf(fault, d, use), Downloads: use.Downloads,
	}
	if refusal != nil && d.Blocked.IsZero() {
		p.Obstacle = s.obstaclePage(r, refusal)
	}
	if p.FromCSR, err = s.registrar.HasOwnKey(r.Context(), d); err != nil {
		return err
	}
	end, err := s.pickupEnd(r, d)
	if err != nil {
		return err
	}
	p.Open = !end.IsZero() || d.Certificate.Status == portal.Pending
	return s.render(w, r, http.StatusOK, p)
}

// sinceOf is the moment that the sentence about a fault names; zero where it names none.
func sinceOf(f enroll.Fault, d portal.Device, u enroll.Use) time.Time {
	c := d.Certificate
	switch f {
	case enroll.FaultBlocked:
		return d.Blocked
	case enroll.FaultNeverFetched, enroll.FaultEnded:
		return c.RevokedAt
	case enroll.FaultVoid:
		return c.Void
	case enroll.FaultExpired, enroll.FaultSuperseded:
		return c.End()
	case enroll.FaultEarlier:
		return u.Earlier
	case enroll.FaultMail, enroll.FaultTestAgain:
		return u.At
	case enroll.FaultFile:
		return u.LastDownload
	case enroll.FaultUntested:
		return c.Delivered
	}
	return time.Time{}
}
