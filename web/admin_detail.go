package web

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"

	"github.com/go-chi/chi/v5"

	"certportal/ca"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/portal"
	"certportal/web/page"
)

// serialOf reads the serial of the address.
func serialOf(r *http.Request) (ca.Serial, error) {
	serial, err := ca.ParseSerial(chi.URLParam(r, "serial"))
	if err != nil {
		return serial, fmt.Errorf("%w: %w", portal.ErrNotFound, err)
	}
	return serial, nil
}

// showCertificate is GET /admin/certificates/{serial}: everything known about one
// certificate.
func (s adminPages) showCertificate(w http.ResponseWriter, r *http.Request) error {
	serial, err := serialOf(r)
	if err != nil {
		return err
	}
	d, err := s.admin.Certificate(r.Context(), actorOf(r), serial)
	if err != nil {
		return err
	}
	events, err := s.admin.Events(r.Context(), actorOf(r), serial)
	if err != nil {
		return err
	}
	p := page.AdminDetail{
		Layout: s.staffLayout(r), AdminCertificate: certificateRow(d.Certificate), Own: d.Person == "",
		Profile: d.Profile, SID: d.SID, Mail: d.Mail, NotBefore: d.NotBefore, Requested: d.Requested,
		MayRevoke: may(r, authz.Revoke) && endable(d.Certificate),
	}
	if d.Person != "" {
		if p.Use, p.Refused, err = s.story(r, d.Certificate, d.Delivered); err != nil {
			return err
		}
	}
	if p.Revocation, err = s.revocationStatus(r.Context(), d); err != nil {
		return err
	}
	if p.Events, err = s.certificateEvents(r.Context(), events); err != nil {
		return err
	}
	if err := s.describe(&p, d.DER); err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, p)
}

// certificateEvents converts audit entries for the page, with the actors' names where
// they are known.
func (s adminPages) certificateEvents(ctx context.Context, entries []audit.Entry) ([]page.AdminEvent, error) {
	var ids []portal.PersonID
	for _, e := range entries {
		ids = append(ids, portal.PersonID(e.Actor))
	}
	slices.Sort(ids)
	names, err := s.personNames(ctx, slices.Compact(ids))
	if err != nil {
		return nil, err
	}
	var events []page.AdminEvent
	for _, e := range entries {
		actor := cmp.Or(names[portal.PersonID(e.Actor)], e.Actor)
		events = append(events, page.AdminEvent{At: e.At, Seq: e.Seq, Action: string(e.Action), Actor: actor, Role: e.Role})
	}
	return events, nil
}

// describe adds the content of the certificate.
func (s adminPages) describe(p *page.AdminDetail, der []byte) error {
	if der == nil {
		return nil // not issued yet, or never
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("parsing certificate %s: %w", p.Serial, err)
	}
	p.Subject, p.Issuer = cert.Subject.String(), cert.Issuer.String()
	p.Key, p.Signature = ca.DescribeKey(cert), cert.SignatureAlgorithm.String()
	p.PEM = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	for _, e := range ca.Describe(cert) {
		p.Extensions = append(p.Extensions, page.AdminExtension{OID: e.OID, Name: e.Name, Critical: e.Critical, Values: e.Values})
	}
	for _, above := range s.anchors().all {
		if above.Own {
			p.Chain = append(p.Chain, page.AdminLink{
				Subject: above.Cert.Subject.String(), Fingerprint: ca.Fingerprint(above.Cert), NotAfter: above.Cert.NotAfter,
			})
		}
	}
	return nil
}

// endable reports whether the certificate can still be revoked.
func endable(c admin.Certificate) bool {
	return c.Person != "" && c.State != admin.Revoked && c.State != admin.Expired
}

// anyDevice finds the device in the address, of any person.
func (s adminPages) anyDevice(r *http.Request) (admin.Device, error) {
	id, ok := deviceID(r)
	if !ok {
		return admin.Device{}, portal.ErrNotFound
	}
	return s.admin.Device(r.Context(), actorOf(r), id)
}

// showAnyDevice is GET /admin/devices/{id}.
func (s adminPages) showAnyDevice(w http.ResponseWriter, r *http.Request) error {
	d, err := s.anyDevice(r)
	if err != nil {
		return err
	}
	rows, live, err := s.admin.Holdings(r.Context(), actorOf(r), admin.Filter{DeviceID: d.ID})
	if err != nil {
		return err
	}
	truth, err := s.lastRevocationStatus(r, rows)
	if err != nil {
		return err
	}
	p := page.AdminDevice{
		Layout: s.staffLayout(r), AdminDeviceRow: deviceRow(d), Certificates: certificateRows(rows), Revocation: truth,
		MayRevoke: may(r, authz.Revoke) && (live > 0 || d.Blocked.IsZero()),
	}
	if len(rows) > 0 {
		newest, err := s.admin.Certificate(r.Context(), actorOf(r), rows[0].Serial)
		if err != nil {
			return err
		}
		if p.Use, p.Refused, err = s.story(r, newest.Certificate, newest.Delivered); err != nil {
			return err
		}
	}
	return s.render(w, r, http.StatusOK, p)
}
