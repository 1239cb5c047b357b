package web

import (
	"net/http"
	"time"

	"certportal/internal/admin"
	"certportal/internal/authz"
	"certportal/web/page"
)

// showCertificates is GET /admin/certificates. The address holds the whole search, so
// it can be bookmarked and shared.
func (s adminPages) showCertificates(w http.ResponseWriter, r *http.Request) error {
	const path = "/admin/certificates"
	p := page.AdminCertificates{Layout: s.staffLayout(r)}
	f, mistakes := filterOf(r.URL.Query())
	var err error
	if p.AdminList, err = s.listOf(r, &p.Layout, path, f, mistakes); err != nil {
		return err
	}
	if len(mistakes) > 0 {
		return s.render(w, r, http.StatusUnprocessableEntity, p)
	}
	place, err := cursorOf(r)
	if err != nil {
		return err
	}
	found, err := s.admin.Certificates(r.Context(), actorOf(r), f, place)
	if err != nil {
		return err
	}
	p.Rows, p.Looked, p.Next = certificateRows(found.Rows), found.Scanned, nextPage(path, f, found.Next)
	if f.PersonID != "" {
		if p.Revocation, err = s.lastRevocationStatus(r, found.Rows); err != nil {
			return err
		}
	}
	if !f.IsZero() && may(r, authz.RevokeMany) {
		p.BulkRevocation = withQuery("/admin/orders/new", f.Query(time.Local))
	}
	return s.render(w, r, http.StatusOK, p)
}

// showAllDevices is GET /admin/devices.
func (s adminPages) showAllDevices(w http.ResponseWriter, r *http.Request) error {
	const path = "/admin/devices"
	p := page.AdminDevices{Layout: s.staffLayout(r)}
	f, mistakes := filterOf(r.URL.Query())
	var err error
	if p.AdminList, err = s.listOf(r, &p.Layout, path, f, mistakes); err != nil {
		return err
	}
	if len(mistakes) > 0 {
		return s.render(w, r, http.StatusUnprocessableEntity, p)
	}
	place, err := cursorOf(r)
	if err != nil {
		return err
	}
	found, err := s.admin.Devices(r.Context(), actorOf(r), f, place)
	if err != nil {
		return err
	}
	p.Looked, p.Next = found.Scanned, nextPage(path, f, found.Next)
	for _, d := range found.Rows {
		p.Rows = append(p.Rows, deviceRow(d))
	}
	return s.render(w, r, http.StatusOK, p)
}

func certificateRows(found []admin.Certificate) []page.AdminCertificate {
	rows := make([]page.AdminCertificate, len(found))
	for i, c := range found {
		rows[i] = certificateRow(c)
	}
	return rows
}

func certificateRow(c admin.Certificate) page.AdminCertificate {
	return page.AdminCertificate{
		Serial: c.Serial.String(), State: string(c.State), UPN: c.UPN, Name: c.PersonName, Owner: string(c.Person),
		DeviceID: string(c.Device), Device: c.DeviceName, Platform: string(c.Platform), NotAfter: c.NotAfter,
	}
}

func deviceRow(d admin.Device) page.AdminDeviceRow {
	return page.AdminDeviceRow{
		ID: string(d.ID), Name: d.Name, Platform: string(d.Platform), UPN: d.UPN, Person: d.PersonName, Owner: string(d.Person),
		State: string(d.State), Serial: d.Certificate.Serial.String(), Created: d.Created, Blocked: d.Blocked, Removed: d.Removed,
	}
}
