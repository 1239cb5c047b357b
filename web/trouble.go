package web

import (
	"net/http"

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

// showTrouble is GET /devices/{id}/trouble: help by symptom.
func (s ownDevices) showTrouble(w http.ResponseWriter, r *http.Request) error {
	d, err := s.keptDevice(r)
	if err != nil {
		return err
	}
	if !d.Blocked.IsZero() {
		return &portal.Refusal{Reason: portal.DeviceBlocked, Value: d.Name}
	}
	p := page.Trouble{
		Layout: s.layout(r), Device: s.card(d), Token: newFormToken(), Limited: s.person(r).limited(),
		Obstacle: s.obstacleOf(r, d.ID),
	}
	if p.FromCSR, err = s.registrar.HasOwnKey(r.Context(), d); err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, p)
}
