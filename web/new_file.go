package web

import (
	"fmt"
	"net/http"

	"certportal/ca"
	"certportal/web/page"
)

// showNewFile is GET /devices/{id}/newfile: it asks before a new file ends a certificate
// that may be in use. Where none would end, the device's page has the button.
func (s ownDevices) showNewFile(w http.ResponseWriter, r *http.Request) error {
	d, err := s.keptDevice(r)
	if err != nil {
		return err
	}
	brought, err := s.registrar.HasOwnKey(r.Context(), d)
	if err != nil {
		return err
	}
	if brought || !d.NewFileEnds(s.now()) {
		return redirect(w, "/devices/"+string(d.ID))
	}
	if barred, err := s.barred(w, r, d.ID); barred {
		return err
	}
	return s.render(w, r, http.StatusOK, page.NewFile{
		Layout: s.layout(r), Device: s.card(d), Fetched: d.Certificate.Delivered, Token: newFormToken(),
	})
}

// endsOf reads the certificate that a new file may end, as [page.NewFile] names it.
func endsOf(f form) (ca.Serial, error) {
	if f["ends"] == "" {
		return ca.Serial{}, nil
	}
	serial, err := ca.ParseSerial(f["ends"])
	if err != nil {
		return serial, fmt.Errorf("%w: malformed serial", errForm)
	}
	return serial, nil
}
