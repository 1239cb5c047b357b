package web

import (
	"errors"
	"net/http"
	"time"

	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/web/page"
)

// crlTimeout is how long the next CRL may take after a block before the page says that
// it is late. The publisher is notified at once and polls every few seconds.
const crlTimeout = 20 * time.Second

// lostPath leads to the block of a device before the person has chosen it.
const lostPath = "/lost"

// showLostDevices is GET /lost: the devices to block. With a single one it leads to its
// confirm page.
func (s ownDevices) showLostDevices(w http.ResponseWriter, r *http.Request) error {
	devices, err := s.registrar.Devices(r.Context(), s.person(r).person)
	if err != nil {
		return err
	}
	p := page.LostDevices{Layout: s.layout(r)}
	for _, d := range s.inUse(devices) {
		if d.Blocked.IsZero() {
			p.Devices = append(p.Devices, s.card(d))
		}
	}
	if len(p.Devices) == 1 {
		return redirect(w, devicePath(portal.DeviceID(p.Devices[0].ID), "lost"))
	}
	return s.render(w, r, http.StatusOK, p)
}

// showLost is GET /devices/{id}/lost: the confirm page, and afterwards the progress of
// the revocation.
func (s ownDevices) showLost(w http.ResponseWriter, r *http.Request) error {
	d, err := s.keptDevice(r)
	if err != nil {
		return err
	}
	if d.Blocked.IsZero() {
		typed, again, err := s.typedAgain(w, r)
		if err != nil {
			return err
		}
		p := page.Lost{Layout: s.layout(r), Device: s.card(d)}
		if cause, ok := portal.ParseLoss(typed["reason"]); ok {
			p.Reason, p.Resumed = string(cause), again
		}
		return s.render(w, r, http.StatusOK, p)
	}
	p := s.blockedPage(r, d)
	if p.List == page.ListSoon {
		// As on the page of a pending certificate.
		w.Header().Set("Refresh", "3")
	}
	return s.render(w, r, http.StatusOK, p)
}

// blockedPage shows the current state: the portal refuses the device at once, servers
// do so once the CRL lists it.
func (s ownDevices) blockedPage(r *http.Request, d portal.Device) page.Blocked {
	c := d.Certificate
	p := page.Blocked{Layout: s.layout(r), Device: s.card(d), At: d.Blocked, Stolen: c.Cause == portal.Lost || c.Cause == "", Mobile: clientOf(r).Mobile}
	switch {
	case d.InForce(s.now()):
		p.List = page.ListWaits
	case c.Status != portal.Revoked:
		p.List = page.ListNone
	case c.Upstream != "":
		p.List, p.Confirmed = s.listTheirs(c), c.Confirmed
		p.Until = wholeMinute(s.acceptedUntil(c.RevokedAt, c.AbsentUntil, c.NotAfter, false))
	case c.Listed > 0:
		p.List = page.ListDone
		p.Until = wholeMinute(s.acceptedUntil(c.RevokedAt, c.ListsUntil, c.NotAfter, asksOnline(c.DER)))
	case s.now().Sub(c.RevokedAt) < crlTimeout:
		p.List = page.ListSoon
	default:
		p.List = page.ListLate
	}
	return p
}

// listTheirs is how far the revocation at a CA elsewhere is.
func (s *Server) listTheirs(c portal.Certificate) string {
	switch {
	case c.Confirmed.IsZero():
		return page.ListTheirs
	case c.Absent.IsZero() && !c.Named.IsZero():
		return page.ListTheirsListed
	case c.Absent.IsZero():
		return page.ListTheirsDone
	case c.Absent.After(c.Confirmed.Add(enroll.UpstreamListGrace)), !c.AbsentUntil.After(s.now()):
		return page.ListTheirsMissing
	}
	return page.ListTheirsUnlisted
}

// wholeMinute rounds up to the minute, for times shown without seconds.
func wholeMinute(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(time.Minute - time.Nanosecond).Truncate(time.Minute)
}

// submitLost is POST /devices/{id}/lost. Sending it twice is no error.
func (s ownDevices) submitLost(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(r, "reason")
	if err != nil {
		return err
	}
	cause, ok := portal.ParseLoss(f["reason"])
	d, err := s.keptDevice(r)
	switch {
	case err != nil && ok:
		id, _ := deviceID(r)
		return &retryable{err, blockRetry(id, cause)}
	case err != nil:
		return err
	case !ok:
		return s.render(w, r, http.StatusUnprocessableEntity, page.Lost{
			Layout: s.layout(r), Device: s.card(d), Errors: []page.FieldError{{Field: "reason", Key: page.ErrReason}},
		})
	}
	session, err := s.sessions.Get(r, sessionCookie)
	if err != nil {
		return &retryable{&portal.Outage{Part: portal.PartStore, Err: err}, blockRetry(d.ID, cause)}
	}
	key, _ := s.sessions.keyOf(session.ID)
	err = s.registrar.Block(r.Context(), s.by(r), enroll.Block{
		Person: s.person(r).person, Device: d.ID, Cause: cause, Session: key.idHash(),
	})
	if err != nil {
		return &retryable{err, blockRetry(d.ID, cause)}
	}
	return redirect(w, devicePath(d.ID, "lost"))
}

// blockRetry is the form that sends a block again.
func blockRetry(id portal.DeviceID, cause portal.Cause) *page.Retry {
	return &page.Retry{Action: devicePath(id, "lost"), Fields: []page.Hidden{{Name: "reason", Value: string(cause)}}}
}

// showRename is GET /devices/{id}/rename.
func (s ownDevices) showRename(w http.ResponseWriter, r *http.Request) error {
	d, err := s.keptDevice(r)
	if err != nil {
		return err
	}
	typed, again, err := s.typedAgain(w, r)
	if err != nil {
		return err
	}
	p := page.Rename{Layout: s.layout(r), Device: s.card(d), Name: d.Name}
	if p.Resumed = again; again {
		p.Name = typed["name"]
	}
	return s.render(w, r, http.StatusOK, p)
}

// submitRename is POST /devices/{id}/rename.
func (s ownDevices) submitRename(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(r, "name")
	if err != nil {
		return err
	}
	d, err := s.keptDevice(r)
	if err != nil {
		return err
	}
	err = s.registrar.Rename(r.Context(), s.by(r), d.ID, f["name"])
	var refusal *portal.Refusal
	switch {
	case err == nil:
		return redirect(w, "/devices/"+string(d.ID)+"?done="+page.DoneRenamed)
	case errors.As(err, &refusal) && refusal.Field == "name":
		return s.redisplayRename(w, r, d, f["name"], refusal)
	}
	return &retryable{err, &page.Retry{
		Action: devicePath(d.ID, "rename"), Fields: []page.Hidden{{Name: "name", Value: f["name"]}},
	}}
}

// redisplayRename asks for another name, with the field error.
func (s ownDevices) redisplayRename(w http.ResponseWriter, r *http.Request, d portal.Device, name string, refusal *portal.Refusal) error {
	key := "refusal." + string(refusal.Reason)
	if refusal.Reason == portal.NameTaken {
		key = page.ErrRenameTaken
	}
	return s.render(w, r, http.StatusUnprocessableEntity, page.Rename{
		Layout: s.layout(r), Device: s.card(d), Name: name,
		Errors: []page.FieldError{{Field: "name", Key: key, Value: refusal.Value, Limit: refusal.Limit}},
	})
}
