package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"certportal/internal/deliver"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/web/page"
)

// makingLimit is how long a certificate may be pending before the page reports that
// the issuer does not answer.
const makingLimit = 2 * time.Minute

// showInstall is GET /devices/{id}/install: the file, its password and the steps of
// the platform, or of the one in ?p=.
func (s ownDevices) showInstall(w http.ResponseWriter, r *http.Request) error {
	d, err := s.keptDevice(r)
	if err != nil {
		return err
	}
	if d.Certificate.Status == portal.Pending && !s.registrar.Failed(d.Certificate) {
		return s.renderMaking(w, r, d)
	}
	brought, err := s.registrar.HasOwnKey(r.Context(), d)
	switch {
	case err != nil:
		return err
	case brought:
		return s.renderOwnKeyDevice(w, r, d)
	}
	return s.renderInstall(w, r, d)
}

// renderInstall shows the page of a device that gets a file, or once got one.
func (s ownDevices) renderInstall(w http.ResponseWriter, r *http.Request, d portal.Device) error {
	challenge, open, err := s.openChallengeOf(r, d)
	if err != nil {
		return err
	}
	var pickup enroll.Pickup
	state := pickupOver
	if !open {
		if waits, err := s.collectable(r, d); err != nil {
			return err
		} else if waits {
			return s.render(w, r, http.StatusOK, page.Ready{Layout: s.layout(r), Device: s.card(d)})
		}
		if pickup, state, err = s.openPickup(r, d); err != nil {
			return err
		}
	}
	platform, chosen := platformParam(r)
	if !chosen {
		platform = d.Platform
	}
	client := clientOf(r)
	p := page.Install{
		Layout: s.layout(r), Device: s.card(d), Platform: string(platform),
		Detected: client.Platform, Browser: client.Browser, Samsung: client.Samsung && platform == portal.Android, TokenForNewFile: newFormToken(),
		// Without a challenge a device has no certificate only because none was finished.
		NotMade:   s.registrar.Failed(d.Certificate) || d.Certificate.Status == "" && !s.makesKey(d.Platform),
		Elsewhere: state == pickupElsewhere, Arrived: state == pickupArrived, Limited: s.person(r).limited(),
	}
	if !open && state != pickupOpen && !p.Limited {
		p.Obstacle = s.obstacleOf(r, d.ID)
	}
	for _, a := range s.anchors().further {
		p.Anchors = append(p.Anchors, page.Anchor{Name: a.title(), Href: a.href("cer")})
	}
	p.ServerAnchor = len(p.Anchors) > 0
	if p.Arrived && s.exchange != nil {
		p.Mailbox = page.Mailbox{Host: s.exchange.Host}
	}
	if open {
		s.offerDeviceKeyProfile(r, &p, challenge)
	}
	if state == pickupOpen {
		if err := s.offerFile(r, &p, pickup, formatFor(platform, client)); err != nil {
			return err
		}
		// Only before the first read: a reload must not use up the reads.
		p.AutoStart = p.Download != "" && !client.Mobile && client.Platform == string(platform) &&
			pickup.ReadsLeft == enroll.MaxReads
	}
	return s.render(w, r, http.StatusOK, p)
}

// offerFile puts password and addresses on the page. The address names the format, so
// that a download manager with another User-Agent gets the same bytes.
func (s ownDevices) offerFile(r *http.Request, p *page.Install, pickup enroll.Pickup, format deliver.Format) error {
	if !p.Device.Confirmed { // the file was installed: its password is of no more use on the screen
		p.Password = deliver.GroupPassword(pickup.Password)
	}
	p.Expires, p.ReadsLeft, p.Format = pickup.Expires, pickup.ReadsLeft, string(format)
	// Phones that make their key have a pickup only if the person chose the plain file.
	target, ok := targetOf(portal.Platform(p.Platform))
	p.Profile = ok && s.profiles != nil && !s.makesKey(pickup.Device.Platform)
	ext := "p12"
	if p.Profile {
		ext = profileExt
	}
	p.SavedAs = deliver.FullName(s.org, pickup.Device.Name, pickup.Number, ext)
	if pickup.ReadsLeft == 0 {
		return nil
	}
	var err error
	if p.Mailbox, err = s.mailbox(r.Context(), pickup.Device); err != nil {
		return err
	}
	folder := "/d/" + string(s.pickupKey(r).Token(pickup.Serial)) + "/"
	file := folder + url.PathEscape(deliver.FileName(s.org, pickup.Device.Name, pickup.Number, "p12")) + "?format="
	if p.Profile {
		p.Plain, p.Unverified = file+string(deliver.FormatLegacy), s.unverified()
		p.Download = folder + url.PathEscape(deliver.FileName(s.org, pickup.Device.Name, pickup.Number, profileExt)) +
			"?" + profileQuery(p.Platform, p.Lang)
		if target == deliver.TargetMac {
			p.Mailbox = page.Mailbox{} // Macs get no mailbox
		}
		return nil
	}
	p.Download, p.OtherFormat = file+string(format), file+string(format.Other())
	return nil
}

// renderMaking shows a page that reloads until the certificate is issued.
func (s ownDevices) renderMaking(w http.ResponseWriter, r *http.Request, d portal.Device) error {
	if d.Certificate.Waits {
		return s.renderWaiting(w, r, d)
	}
	if waited := s.now().Sub(d.Certificate.Requested); waited > makingLimit {
		return &portal.Outage{
			Part: portal.PartIssuer,
			Err:  fmt.Errorf("certificate %s pending since %s", d.Certificate.Serial, waited.Round(time.Second)),
		}
	}
	// A header, because axe reports the meta element. A reload loses no input here.
	w.Header().Set("Refresh", "5")
	return s.render(w, r, http.StatusOK, page.Making{Layout: s.layout(r), Device: d.Name})
}

// submitInstall is POST /devices/{id}/install: a new key, certificate and file for a
// device; or a profile with which the device makes the key, unless only the certificate
// is requested. What works on the device works on for a while.
func (s ownDevices) submitInstall(w http.ResponseWriter, r *http.Request) error {
	fields := []string{"request", "ends"}
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
	if brought, err := s.registrar.HasOwnKey(r.Context(), d); err != nil || brought {
		return errors.Join(err, portal.ErrConflict)
	}
	ends, err := endsOf(f)
	if err != nil {
		return err
	}
	way, again := d.Platform, []page.Hidden{{Name: "request", Value: token}, {Name: "ends", Value: f["ends"]}}
	if f["alone"] != "" {
		way, again = "", append(again, page.Hidden{Name: "alone", Value: "1"})
	}
	device, err := s.certify(r, enroll.Request{
		By: s.by(r), Device: d.ID, Ends: ends, Name: d.Name, Platform: d.Platform,
		Idempotent: token, PickupKey: s.pickupKey(r), WaitKey: s.waitKey(w, r), Invitation: s.person(r).invitation,
	}, way)
	if err == nil {
		err = s.dropInvitation(w, r)
	}
	switch {
	case err == nil:
		return redirect(w, installPath(device))
	case errors.Is(err, enroll.ErrFileInUse):
		return redirect(w, devicePath(d.ID, "newfile"))
	}
	var refusal *portal.Refusal
	if errors.As(err, &refusal) && refusal.Reason == portal.QuotaReached {
		devices, err := s.registrar.Devices(r.Context(), s.person(r).person)
		if err != nil {
			return err
		}
		return s.renderQuota(w, r, devices)
	}
	return &retryable{err, &page.Retry{
		Action: installPath(d.ID), Fields: again,
	}}
}
