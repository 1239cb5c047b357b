package web

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"time"

	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/web/page"
)

// waitingCookie holds the secret under which the key of a certificate waits that a CA
// elsewhere issues later: it must outlive the session.
const waitingCookie = "__Host-waiting"

// waitingCookieLife is longer than a key waits.
const waitingCookieLife = 90 * 24 * time.Hour

// waitKey returns the secret of this browser, and makes one where there is none. It is zero
// where the portal's own CA issues, which answers at once.
func (s *Server) waitKey(w http.ResponseWriter, r *http.Request) enroll.PickupKey {
	if !s.registrar.IssuesElsewhere() {
		return enroll.PickupKey{}
	}
	key, ok := waitKeyOf(r)
	if !ok {
		rand.Read(key[:]) // never returns an error, see crypto/rand
	}
	http.SetCookie(w, &http.Cookie{
		Name: waitingCookie, Value: base64.RawURLEncoding.EncodeToString(key[:]), MaxAge: int(waitingCookieLife.Seconds()),
		Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	return key
}

// waitKeyOf reads the secret of this browser; false when it has none.
func waitKeyOf(r *http.Request) (key enroll.PickupKey, ok bool) {
	cookie, err := r.Cookie(waitingCookie)
	if err != nil {
		return key, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cookie.Value)
	if err != nil || len(raw) != len(key) {
		return key, false
	}
	return enroll.PickupKey(raw), true
}

// collectable reports whether the certificate came after its request was answered, and its
// file waits for this browser.
func (s ownDevices) collectable(r *http.Request, d portal.Device) (bool, error) {
	key, _ := waitKeyOf(r)
	return s.registrar.Collectable(r.Context(), d, key, s.pickupKey(r))
}

// submitCollect is POST /devices/{id}/collect: from now on the file can be downloaded, for as
// long as a new one. Sending it twice is no error.
func (s ownDevices) submitCollect(w http.ResponseWriter, r *http.Request) error {
	if _, err := readForm(r); err != nil {
		return err
	}
	d, err := s.keptDevice(r)
	if err != nil {
		return err
	}
	key, _ := waitKeyOf(r)
	if _, err := s.registrar.Collect(r.Context(), s.by(r), d, key, s.pickupKey(r)); err != nil {
		return err
	}
	return redirect(w, installPath(d.ID))
}

// renderWaiting shows since when a certificate waits for approval. It does not reload: that
// takes hours or days.
func (s ownDevices) renderWaiting(w http.ResponseWriter, r *http.Request, d portal.Device) error {
	_, here := waitKeyOf(r)
	return s.render(w, r, http.StatusOK, page.Waiting{
		Layout: s.layout(r), Device: d.Name, Since: d.Certificate.Requested, Here: here,
	})
}
