package web

import (
	"errors"
	"fmt"
	"net/http"

	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/web/page"
)

// showRenew is GET /devices/{id}/renew: the confirm page.
func (s ownDevices) showRenew(w http.ResponseWriter, r *http.Request) error {
	d, err := s.keptDevice(r)
	if err != nil {
		return err
	}
	if err := d.Renewable(s.now(), s.registrar.RenewWindow()); err != nil {
		return err
	}
	if barred, err := s.barred(w, r, d.ID); barred {
		return err
	}
	p, err := s.renewPage(r, d)
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, p)
}

// renewPage shows until when the old certificate would work, which it may not any more
// after the person was renamed.
func (s ownDevices) renewPage(r *http.Request, d portal.Device) (page.Renew, error) {
	brought, err := s.registrar.HasOwnKey(r.Context(), d)
	if err != nil {
		return page.Renew{}, err
	}
	p := page.Renew{Layout: s.layout(r), Device: s.card(d), Token: newFormToken(), FromCSR: brought}
	_, apple := targetOf(d.Platform)
	p.Profile = apple && s.profiles != nil
	if p.Device.Outdated || p.Device.FormerOutdated {
		return p, nil // servers look for the account by a name that it no longer has
	}
	now := s.now()
	if former := d.FormerEnds; former.After(now) {
		p.Until = former // renewing again does not extend it
		return p, nil
	}
	if d.Working(now) {
		p.Until = now.Add(s.registrar.Overlap())
		if end := d.Certificate.End(); end.Before(p.Until) {
			p.Until = end
		}
	}
	return p, nil
}

// submitRenew is POST /devices/{id}/renew: a new key, certificate and file; the old
// certificate stays valid for a while. The same token twice gets the same certificate.
// People with a key of their own send a certificate request.
func (s ownDevices) submitRenew(w http.ResponseWriter, r *http.Request) error {
	fields := []string{"request", "csr", "ends"}
	if s.scep != nil {
		fields = append(fields, "alone")
	}
	f, err := readForm(r, fields...)
	if err != nil {
		return err
	}
	token, err := formToken(f)
	if err != nil {
		return err
	}
	d, err := s.keptDevice(r)
	if err != nil {
		return err
	}
	ends, err := endsOf(f)
	if err != nil {
		return err
	}
	brought, err := s.registrar.HasOwnKey(r.Context(), d)
	if err != nil {
		return err
	}
	if !brought && f["csr"] != "" {
		return fmt.Errorf("%w: a request for a device that makes none", errForm)
	}
	req := enroll.Request{
		By: s.by(r), Device: d.ID, Ends: ends, Renew: true, Name: d.Name, Platform: d.Platform,
		Idempotent: token, PickupKey: s.pickupKey(r), WaitKey: s.waitKey(w, r), Invitation: s.person(r).invitation,
	}
	if brought {
		_, err = s.registrar.EnrollRequest(r.Context(), req, f["csr"])
	} else {
		_, err = s.certify(r, req, platformFor(d, f))
	}
	if err == nil {
		err = s.dropInvitation(w, r)
	}
	switch {
	case err == nil:
		return redirect(w, installPath(d.ID))
	case errors.Is(err, enroll.ErrFileInUse):
		return redirect(w, devicePath(d.ID, "renew"))
	}
	return s.redisplayRenew(w, r, d, f, token, err)
}

// platformFor is the platform that decides how a device gets its certificate; empty
// for a file without a profile.
func platformFor(d portal.Device, f form) portal.Platform {
	if f["alone"] != "" {
		return ""
	}
	return d.Platform
}

// redisplayRenew shows errors that the person can fix: a name or place that another
// device took, an invalid certificate request.
func (s ownDevices) redisplayRenew(w http.ResponseWriter, r *http.Request, d portal.Device, f form, token string, err error) error {
	var refusal *portal.Refusal
	var denial *portal.Denial
	switch {
	case errors.As(err, &denial):
		p, err := s.renewPage(r, d)
		if err != nil {
			return err
		}
		p.Token, p.Request = token, f["csr"]
		if denial.Why == enroll.RequestSecret {
			p.Request = ""
		}
		p.Errors = []page.FieldError{{Field: "csr", Key: csrErrorKey(denial.Why)}}
		return s.render(w, r, http.StatusUnprocessableEntity, p)
	case errors.As(err, &refusal) && refusal.Reason == portal.NameTaken:
		return s.redisplayRename(w, r, d, d.Name, refusal)
	case errors.As(err, &refusal) && refusal.Reason == portal.QuotaReached:
		devices, err := s.registrar.Devices(r.Context(), s.person(r).person)
		if err != nil {
			return err
		}
		return s.renderQuota(w, r, devices)
	}
	again := []page.Hidden{{Name: "request", Value: token}}
	for _, name := range []string{"alone", "csr", "ends"} {
		if f[name] != "" {
			again = append(again, page.Hidden{Name: name, Value: f[name]})
		}
	}
	return &retryable{err, &page.Retry{Action: devicePath(d.ID, "renew"), Fields: again}}
}

// submitFinish is POST /devices/{id}/finish: the person says that the newest certificate
// works, which ends the one before. Sending it twice is no error.
func (s ownDevices) submitFinish(w http.ResponseWriter, r *http.Request) error {
	if _, err := readForm(r); err != nil {
		return err
	}
	d, err := s.keptDevice(r)
	if err != nil {
		return err
	}
	err = s.registrar.Finish(r.Context(), s.by(r), d.ID)
	if errors.Is(err, portal.ErrConflict) { // the new one was not fetched
		return redirect(w, installPath(d.ID))
	}
	if err != nil {
		return &retryable{err, &page.Retry{Action: devicePath(d.ID, "finish")}}
	}
	if s.person(r).limited() {
		return redirect(w, installPath(d.ID))
	}
	return redirect(w, "/devices/"+string(d.ID)+"?done="+page.DoneRenewed)
}

// devicePath is the address of an act on a device.
func devicePath(id portal.DeviceID, act string) string { return "/devices/" + string(id) + "/" + act }
