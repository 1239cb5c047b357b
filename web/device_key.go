package web

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"time"

	"certportal/internal/deliver"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/web/page"
)

// SCEP lets iPhones and iPads make their key themselves and get the certificate with
// the profile. It needs signed profiles.
type SCEP struct {
	// URL is where devices ask, http or https, such as
	// http://certs.example.com/scep.
	URL string

	// CAFingerprint gives the SHA-1 hash of the CA certificate that devices must find
	// there now. It is required over http: without it an impostor would be sent the
	// challenge.
	CAFingerprint func() []byte
}

// check refuses settings that would fail on every phone.
func (c *SCEP) check() error {
	if c == nil {
		return nil
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("web: SCEP address %.80q is not an http address", c.URL)
	}
	if u.Scheme == "http" && c.CAFingerprint == nil {
		return errors.New("web: SCEP over http needs the fingerprint of its CA")
	}
	return nil
}

// makesKey reports whether devices of a platform make their key themselves: iPhones
// and iPads, where profiles are signed. A Mac gets its key from the portal.
func (s *Server) makesKey(p portal.Platform) bool {
	return s.scep != nil && s.profiles != nil && p == portal.IOS
}

// certify issues a certificate, or a challenge with which the device requests one.
// Both return the device and the same errors.
func (s ownDevices) certify(r *http.Request, req enroll.Request, p portal.Platform) (portal.DeviceID, error) {
	if s.makesKey(p) {
		c, err := s.registrar.NewChallenge(r.Context(), req)
		return c.Device.ID, err
	}
	done, err := s.registrar.Enroll(r.Context(), req)
	return done.Device, err
}

// phoneLocks is the number of mutexes of [ownDevices.lockPhone].
const phoneLocks = 64

// lockPhone serialises the requests of one phone's session, and returns the device
// that the session got in the meantime. A certificate and a challenge are recorded in
// different tables: without the lock, a phone that requests both at once would get
// both.
func (s ownDevices) lockPhone(r *http.Request) (leave func(), got portal.DeviceID, err error) {
	a := s.person(r)
	if !a.limited() || s.scep == nil {
		return func() {}, "", nil
	}
	h := fnv.New32a()
	h.Write([]byte(a.phone))
	turn := &s.phones[h.Sum32()%phoneLocks]
	turn.Lock()
	// Not Get, which returns the values read before the lock was taken.
	session, err := s.sessions.New(r, sessionCookie)
	if err != nil {
		turn.Unlock()
		return nil, "", &portal.Outage{Part: portal.PartStore, Err: err}
	}
	return turn.Unlock, accountOf(session).device, nil
}

// openChallengeOf finds the challenge that a device may still use: made by this
// session, after the device's current certificate.
func (s ownDevices) openChallengeOf(r *http.Request, d portal.Device) (enroll.Challenge, bool, error) {
	if !s.makesKey(d.Platform) {
		return enroll.Challenge{}, false, nil
	}
	c, err := s.registrar.WaitingChallenge(r.Context(), s.person(r).person, d.ID, s.pickupKey(r))
	if errors.Is(err, portal.ErrNotFound) {
		return enroll.Challenge{}, false, nil
	}
	made := c.Expires.Add(-enroll.ChallengeLife)
	return c, err == nil && !made.Before(d.Certificate.Requested), err
}

// offerDeviceKeyProfile puts the address of the profile on the page. Only the address
// is secret: there is no key and no password.
func (s ownDevices) offerDeviceKeyProfile(r *http.Request, p *page.Install, c enroll.Challenge) {
	p.Platform, p.Profile, p.DeviceKey = string(portal.IOS), true, true
	p.Expires, p.Unverified = c.Expires, s.unverified()
	if s.exchange != nil {
		p.Mailbox = page.Mailbox{Host: s.exchange.Host}
	}
	p.SavedAs = deliver.FullName(s.org, c.Device.Name, c.Number, profileExt)
	p.Download = "/d/" + string(c.Token) + "/" + url.PathEscape(deliver.FileName(s.org, c.Device.Name, c.Number, profileExt)) +
		"?" + profileQuery(p.Platform, p.Lang)
}

// openChallenge opens the challenge in the address and makes its profile. The file is
// as good as a key until the phone uses it; downloads are not counted, because the
// challenge works once.
func (s fileDownloads) openChallenge(r *http.Request, d *delivery) error {
	if s.scep == nil || d.ext != profileExt {
		return portal.ErrNotFound
	}
	c, err := s.registrar.OpenChallenge(r.Context(), d.token)
	if err != nil {
		return err
	}
	target, lang, err := profileAsked(r, deliver.TargetPhone)
	if err != nil {
		return err
	}
	if target != deliver.TargetPhone {
		return fmt.Errorf("%w: no profile of that kind", errForm)
	}
	content, err := s.deviceKeyProfile(r, c, lang)
	if err != nil {
		return err
	}
	d.data, err = s.signProfile(content, c.Expires.Add(-enroll.ChallengeLife))
	d.kind, d.shown, d.name, d.number, d.challenge = deliver.TypeProfile, true, c.Device.Name, c.Number, &c
	return err
}

// deviceKeyProfile collects the content of a profile whose device makes its key. The
// names are read from the directory now: a certificate with others would not be
// issued.
func (s fileDownloads) deviceKeyProfile(r *http.Request, c enroll.Challenge, lang string) (deliver.Profile, error) {
	person, err := s.registrar.Person(r.Context(), c.Device.Person)
	if err != nil {
		return deliver.Profile{}, err
	}
	mailbox := page.Mailbox{}
	if s.exchange != nil {
		names := person
		if person.MailShared {
			names.Mail = "" // as in the certificate
		}
		mailbox = s.exchange.mailboxOf(names)
	}
	p := s.newProfile(c.Device, deliver.TargetPhone, mailbox)
	p.Issuing = s.registrar.Chain(nil)
	var fingerprint []byte
	if s.scep.CAFingerprint != nil {
		fingerprint = s.scep.CAFingerprint()
	}
	p.Enrollment = &deliver.Enrollment{
		ID: string(c.ID), URL: s.scep.URL, Challenge: c.Secret, CommonName: person.Subject().CommonName(),
		CAFingerprint: fingerprint, KeyBits: 2048,
	}
	return p, s.fillTexts(&p, lang, c.Device.Name)
}

// serveDeviceKeyProfile records the delivery of the profile, then sends it.
func (s fileDownloads) serveDeviceKeyProfile(w http.ResponseWriter, r *http.Request, d delivery) error {
	if err := s.registrar.NoteChallengeRead(r.Context(), d.by, *d.challenge); err != nil {
		clearFileHeaders(w.Header())
		return err
	}
	if !isPart(r.Header, d.etag, d.size()) {
		r.Header.Del("Range")
	}
	// As in notePart.
	r.Header.Del("If-None-Match")
	r.Header.Del("If-Match")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(d.data))
	return nil
}
