package web

import (
	"net/http"

	"certportal/internal/admin"
	"certportal/internal/authz"
	"certportal/web/page"
)

// showCertificates is GET /admin/certificates. The address holds the whole search, so
// it can be bookmarked and shared.
func (s adminPages) showCertificates(w http.ResponseWriter, r *http.Request) error {
	const path = "/admin/certificates"
	p := page.AdminCertificates{Layout: s.staffLayout(r)}
	q, err := s.searchOf(r)
	if err != nil {
		return err
	}
	var f admin.Filter
	if p.AdminList, f, err = s.listOf(r, &p.Layout, path, q); err != nil {
		return err
	}
	if len(p.Errors) > 0 {
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
	hits, err := s.admin.CountCertificates(r.Context(), actorOf(r), f)
	if err != nil {
		return err
	}
	p.Hits, p.MoreHits = hits.Number, hits.More
	p.Columns = s.columnsOf(f, path, f.CertificateSorts(), sortColumn{"person", admin.SortPerson, ""}, sortColumn{"device", admin.SortDevice, ""},
		sortColumn{key: "status"}, sortColumn{"until", admin.SortEnd, admin.SortEndLast}, sortColumn{"asked", admin.SortNewest, admin.SortOldest}, sortColumn{key: "serial"})
	p.Rows, p.Looked, p.Next = certificateRows(found.Rows), found.Scanned, s.nextPage(path, f, found.Next)
	if f.PersonID != "" {
		if p.Revocation, err = s.lastRevocationStatus(r, found.Rows); err != nil {
			return err
		}
	}
	if may(r, authz.RevokeMany) {
		p.MayPick = true
		if !f.IsZero() && f.Since.IsZero() {
			p.BulkRevocation = withQuery("/admin/orders/new", f.Query(s.zone))
		}
	}
	return s.render(w, r, http.StatusOK, p)
}

// showAllDevices is GET /admin/devices.
func (s adminPages) showAllDevices(w http.ResponseWriter, r *http.Request) error {
	const path = "/admin/devices"
	p := page.AdminDevices{Layout: s.staffLayout(r)}
	q, err := s.searchOf(r)
	if err != nil {
		return err
	}
	var f admin.Filter
	if p.AdminList, f, err = s.listOf(r, &p.Layout, path, q); err != nil {
		return err
	}
	if len(p.Errors) > 0 {
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
	hits, err := s.admin.CountDevices(r.Context(), actorOf(r), f)
	if err != nil {
		return err
	}
	p.Hits, p.MoreHits = hits.Number, hits.More
	p.Columns = s.columnsOf(f, path, f.DeviceSorts(), sortColumn{"device", admin.SortDevice, admin.SortDeviceUp},
		sortColumn{"person", admin.SortPerson, ""}, sortColumn{key: "status"}, sortColumn{"created", admin.SortNewest, admin.SortOldest})
	p.Looked, p.Next = found.Scanned, s.nextPage(path, f, found.Next)
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
		Serial: c.Serial.String(), State: string(c.Shown), UPN: c.UPN, Name: c.PersonName, Owner: string(c.Person),
		DeviceID: string(c.Device), Device: c.DeviceName, Platform: string(c.Platform), NotAfter: c.NotAfter,
		Requested: c.Requested, Revocable: endable(c),
	}
}

func deviceRow(d admin.Device) page.AdminDeviceRow {
	return page.AdminDeviceRow{
		ID: string(d.ID), Name: d.Name, Platform: string(d.Platform), UPN: d.UPN, Person: d.PersonName, Owner: string(d.Person),
		State: string(d.Shown), Serial: d.Certificate.Serial.String(), Created: d.Created, Blocked: d.Blocked, Removed: d.Removed,
	}
}
