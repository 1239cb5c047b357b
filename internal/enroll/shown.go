package enroll

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/portal"
)

// Shown is a certificate that a browser showed to the check address.
type Shown struct {
	Verdict portal.Verdict
	Device  portal.Device // with that very certificate; zero for a foreign one
}

// LastShown is the last time that a certificate was shown, and the verdict then.
type LastShown struct {
	Verdict portal.Verdict
	At      time.Time // zero when it never was
}

// Use is what the portal knows of how a certificate is used.
type Use struct {
	Downloads    int       // complete ones of its file, the last of them at LastDownload
	LastDownload time.Time // zero when there was none, or a device took the certificate by SCEP
	LastShown
	Earlier time.Time // when an earlier certificate of the device was last shown; zero for never

	// Asked is when an OCSP client last asked for its status, to the hour; zero for never.
	// Servers keep answers, and anyone can ask: it proves nothing about the device.
	Asked time.Time
}

// ShownEvery is how often the same verdict of a certificate is recorded again at most.
const ShownEvery = time.Minute

// Examine judges a certificate whose private key the client has proved to hold, and
// records the verdict: one that works is then known to. Only a certificate that is equal to
// the recorded one, byte by byte, and signed by one of the issuing CAs counts as issued by this portal.
func (r *Registrar) Examine(ctx context.Context, cert *x509.Certificate, by portal.Actor) (Shown, error) {
	serial, err := ca.SerialOf(cert.SerialNumber)
	if err != nil {
		return Shown{Verdict: portal.VerdictForeign}, nil
	}
	device, last, err := r.c.Store.Shown(ctx, serial)
	switch {
	case errors.Is(err, portal.ErrNotFound), err == nil && !bytes.Equal(device.Certificate.DER, cert.Raw):
		return Shown{Verdict: portal.VerdictForeign}, nil
	case err != nil:
		return Shown{}, portal.AsOutage(portal.PartStore, "finding a shown certificate", err)
	}
	if issued, err := r.signers.issued(ctx, cert); err != nil || !issued {
		return Shown{Verdict: portal.VerdictForeign}, err
	}
	now := r.c.Now()
	s := Shown{Verdict: verdictOf(device, now), Device: device}
	settled := s.Verdict != portal.VerdictWorks || !device.Certificate.Works.IsZero()
	if settled && last.Verdict == s.Verdict && now.Sub(last.At) < ShownEvery {
		return s, nil
	}
	by.Person, by.Role = device.Person, portal.Employee
	err = r.c.Store.NoteShown(ctx, serial, LastShown{Verdict: s.Verdict, At: now}, by.Entry(now, audit.CertificateWorks))
	return s, portal.AsOutage(portal.PartStore, "recording a shown certificate", err)
}

// Use gives how a certificate of a person is used; the zero value for none.
func (r *Registrar) Use(ctx context.Context, serial ca.Serial) (Use, error) {
	u, err := r.c.Store.Use(ctx, serial)
	if errors.Is(err, portal.ErrNotFound) { // no certificate yet
		return Use{}, nil
	}
	return u, portal.AsOutage(portal.PartStore, "finding the use of a certificate", err)
}

// verdictOf judges the certificate of a device at a time. A state that is not known to be
// good is blocked.
func verdictOf(d portal.Device, now time.Time) portal.Verdict {
	switch d.State(now) {
	case portal.StateReplaced:
		return portal.VerdictReplaced
	case portal.StateExpired:
		return portal.VerdictExpired
	case portal.StateNotDownloaded, portal.StateDownloaded, portal.StateWorks, portal.StateEndsSoon:
		if now.Before(d.Certificate.NotBefore) {
			return portal.VerdictEarly
		}
		return portal.VerdictWorks
	}
	return portal.VerdictBlocked
}
