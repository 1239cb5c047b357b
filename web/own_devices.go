package web

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/web/page"
)

const (
	// foldAfter is how long an ended device stays in the main list.
	foldAfter = 30 * 24 * time.Hour

	// maxDeviceID bounds the id in an address, in bytes.
	maxDeviceID = 64
)

// showHome is GET /.
func (s ownDevices) showHome(w http.ResponseWriter, r *http.Request) error {
	devices, err := s.registrar.Devices(r.Context(), s.person(r).person)
	if err != nil {
		return err
	}
	client := clientOf(r)
	p := page.Home{
		Layout: s.layout(r), Platform: client.Platform, Mobile: client.Mobile,
		Used: len(s.inUse(devices)), Limit: s.registrar.Quota(), Obstacle: s.obstacleOf(r, ""),
		CodeNeeded: s.registrar.CodeRequired() && s.person(r).invitation == "",
	}
	if err := s.fillThis(r, &p, devices); err != nil {
		return err
	}
	if p.Removed, err = s.removedNow(r); err != nil {
		return err
	}
	for _, d := range devices {
		if p.This != nil && p.This.ID == string(d.ID) {
			continue
		}
		if s.endedLongAgo(d) {
			p.Old = append(p.Old, s.card(d))
			continue
		}
		p.Devices = append(p.Devices, s.card(d))
	}
	return s.render(w, r, http.StatusOK, p)
}

// fillThis puts the device that the page is open on first.
func (s ownDevices) fillThis(r *http.Request, p *page.Home, devices []portal.Device) error {
	d, ok := thisDevice(r, devices)
	if !ok || s.endedLongAgo(d) {
		return nil
	}
	card := s.card(d)
	p.This, p.Token = &card, newFormToken()
	var err error
	if p.ThisNoFile, err = s.registrar.HasOwnKey(r.Context(), d); err != nil || p.ThisNoFile {
		return err
	}
	end, err := s.pickupEnd(r, d)
	p.ThisOpen = !end.IsZero()
	return err
}

// pickupEnd is until when this session can fetch the file of the device; zero when that
// is over.
func (s ownDevices) pickupEnd(r *http.Request, d portal.Device) (time.Time, error) {
	challenge, open, err := s.openChallengeOf(r, d)
	if err != nil {
		return time.Time{}, err
	}
	if open {
		return challenge.Expires, nil
	}
	pickup, state, err := s.openPickup(r, d)
	if err != nil || state != pickupOpen || pickup.ReadsLeft == 0 {
		return time.Time{}, err
	}
	return pickup.Expires, nil
}

// showDevice is GET /devices/{id}.
func (s ownDevices) showDevice(w http.ResponseWriter, r *http.Request) error {
	d, err := s.device(r)
	if err != nil {
		return err
	}
	p := page.Device{
		Layout: s.layout(r), Device: s.card(d), Created: d.Created, Delivered: d.Certificate.Delivered, Works: d.Certificate.Works,
		Token: newFormToken(), Removed: !d.Removed.IsZero(), Made: d.Certificate.Requested, Blocked: d.Blocked,
		Done: doneOf(r, d, s.now()), Mobile: clientOf(r).Mobile,
	}
	if d.Certificate.Cause == portal.ByAuthority {
		p.ByAuthority = d.Certificate.RevokedAt
	}
	if d.Removed.IsZero() && d.Blocked.IsZero() {
		p.Obstacle = s.obstacleOf(r, d.ID)
	}
	if p.FromCSR, err = s.registrar.HasOwnKey(r.Context(), d); err != nil {
		return err
	}
	if p.FromCSR {
		return s.render(w, r, http.StatusOK, p)
	}
	if p.PickupEnd, err = s.pickupEnd(r, d); err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, p)
}

// showRemove is GET /devices/{id}/remove: the confirm page.
func (s ownDevices) showRemove(w http.ResponseWriter, r *http.Request) error {
	d, err := s.keptDevice(r)
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, page.RemoveDevice{Layout: s.layout(r), Device: s.card(d)})
}

// doneOf is what the address says was done to the device just now, if that is so.
func doneOf(r *http.Request, d portal.Device, now time.Time) string {
	switch done := r.URL.Query().Get("done"); {
	case !d.Removed.IsZero():
	case done == page.DoneRenamed, done == page.DoneRenewed && d.Working(now) && !d.FormerEnds.After(now):
		return done
	}
	return ""
}

// submitRemove is POST /devices/{id}/remove. Sending it twice is no error.
func (s ownDevices) submitRemove(w http.ResponseWriter, r *http.Request) error {
	if _, err := readForm(r); err != nil {
		return err
	}
	d, err := s.device(r)
	if err != nil {
		return err
	}
	if d.Removed.IsZero() {
		if err := s.registrar.Remove(r.Context(), s.by(r), d.ID); err != nil {
			return err
		}
	}
	return redirect(w, "/?removed="+string(d.ID))
}

// removedNow names the device that the address says was removed, if it was.
func (s ownDevices) removedNow(r *http.Request) (string, error) {
	id := portal.DeviceID(r.URL.Query().Get("removed"))
	if !validDeviceID(string(id)) {
		return "", nil
	}
	d, err := s.registrar.Device(r.Context(), s.person(r).person, id)
	switch {
	case errors.Is(err, portal.ErrNotFound) || err == nil && d.Removed.IsZero():
		return "", nil
	case err != nil:
		return "", err
	}
	return d.Name, nil
}

// deviceID reads the id in the address; false for one that the portal cannot have
// made.
func deviceID(r *http.Request) (portal.DeviceID, bool) {
	id := chi.URLParam(r, "id")
	return portal.DeviceID(id), validDeviceID(id)
}

// validDeviceID reports whether the portal can have made the id.
func validDeviceID(id string) bool {
	foreign := func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' }
	return id != "" && len(id) <= maxDeviceID && !strings.ContainsFunc(id, foreign)
}

// device finds the device in the address among those of the person.
func (s *Server) device(r *http.Request) (portal.Device, error) {
	id, ok := deviceID(r)
	if !ok {
		return portal.Device{}, portal.ErrNotFound
	}
	return s.registrar.Device(r.Context(), s.person(r).person, id)
}

// keptDevice is [Server.device] without removed devices.
func (s *Server) keptDevice(r *http.Request) (portal.Device, error) {
	d, err := s.device(r)
	if err == nil && !d.Removed.IsZero() {
		return portal.Device{}, portal.ErrNotFound
	}
	return d, err
}

// pickupState is what a session may do with the pickup of a device.
type pickupState int

const (
	pickupOver      pickupState = iota // there is none, or it has expired
	pickupElsewhere                    // made by another session, which may be using it
	pickupArrived                      // the device got the certificate for its own key
	pickupOpen
)

// openPickup opens the pickup of the device's certificate with the session's key.
func (s ownDevices) openPickup(r *http.Request, d portal.Device) (enroll.Pickup, pickupState, error) {
	c := d.Certificate
	if c.Status != portal.Issued {
		return enroll.Pickup{}, pickupOver, nil
	}
	pickup, err := s.registrar.Pickup(r.Context(), s.pickupKey(r).Token(c.Serial))
	var gone *portal.Gone
	switch {
	case err == nil:
		return pickup, pickupOpen, nil
	case errors.As(err, &gone):
		return enroll.Pickup{}, pickupOver, nil
	case !errors.Is(err, portal.ErrNotFound):
		return enroll.Pickup{}, pickupOver, err
	case s.makesKey(d.Platform) && !c.Delivered.IsZero():
		return enroll.Pickup{}, pickupArrived, nil
	case s.now().Before(c.Requested.Add(enroll.PasswordLife)):
		return enroll.Pickup{}, pickupElsewhere, nil
	}
	return enroll.Pickup{}, pickupOver, nil
}

// card converts a device for the lists.
func (s *Server) card(d portal.Device) page.DeviceCard {
	c, now, window := d.Certificate, s.now(), s.registrar.RenewWindow()
	card := page.DeviceCard{
		ID: string(d.ID), Test: s.testAddress(d.ID), Name: d.Name, Platform: string(d.Platform), Serial: c.Serial.String(),
		Status: string(d.State(now)), NotAfter: c.End(), Arrived: !c.Delivered.IsZero(), Confirmed: !c.Works.IsZero(),
		Outdated:  d.Working(now) && c.Changed.Outdates(),
		Renewable: d.Renewable(now, window) == nil, FileEnds: d.NewFileEnds(now), Works: !c.Delivered.IsZero() && d.Working(now),
	}
	if left := c.End().Sub(now); left > 0 {
		card.DaysLeft = int(left / (24 * time.Hour))
	}
	if d.Working(now) && c.Status == portal.Issued {
		card.RenewFrom = d.RenewFrom(window)
		if d.FormerEnds.After(now) {
			card.Former, card.FormerOutdated = d.FormerEnds, d.FormerOutdated
		}
	}
	return card
}

// inUse returns the devices that count for the quota and reserve their names.
func (s *Server) inUse(devices []portal.Device) []portal.Device {
	var used []portal.Device
	for _, d := range devices {
		if d.Certificate.Status == portal.Pending || d.InForce(s.now()) {
			used = append(used, d)
		}
	}
	return used
}

// endedLongAgo reports whether the device belongs into the folded list.
func (s *Server) endedLongAgo(d portal.Device) bool {
	ended := d.Certificate.End()
	switch {
	case !d.Blocked.IsZero():
		ended = d.Blocked
	case d.Certificate.Status == portal.Revoked:
		ended = d.Certificate.RevokedAt
	}
	return d.Certificate.Status != portal.Pending && s.now().Sub(ended) > foldAfter
}
