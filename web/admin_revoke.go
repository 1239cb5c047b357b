package web

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/go-chi/chi/v5"

	"certportal/internal/admin"
	"certportal/internal/portal"
	"certportal/web/page"
)

// groundsForm reads why something is revoked.
func groundsForm(r *http.Request, further ...string) (admin.Grounds, form, error) {
	f, err := readForm(r, append([]string{"cause", "comment"}, further...)...)
	return admin.Grounds{Cause: portal.Cause(f["cause"]), Comment: f["comment"]}, f, err
}

// mistakeOf returns the error of a form field, if err is a refusal of one.
func mistakeOf(err error) (page.FieldError, bool) {
	var refusal *portal.Refusal
	if !errors.As(err, &refusal) || refusal.Field == "" {
		return page.FieldError{}, false
	}
	return page.FieldError{
		Field: refusal.Field, Key: "refusal." + string(refusal.Reason), Value: refusal.Value, Limit: refusal.Limit,
	}, true
}

// causeKeys lists the causes that the forms offer.
func causeKeys() []string {
	var keys []string
	for _, c := range admin.Causes() {
		keys = append(keys, string(c))
	}
	return keys
}

// confirmPage is the page that confirms a revocation.
func (s adminPages) confirmPage(r *http.Request, what string) (page.AdminRevoke, error) {
	p := page.AdminRevoke{Layout: s.staffLayout(r), What: what, Action: r.URL.EscapedPath(), Causes: causeKeys()}
	var err error
	p.Limit, p.Recent, err = s.leftAlone(r)
	return p, err
}

// leftAlone is how many certificates the administrator may still end without a second
// one, and how many they ended within the last hour.
func (s adminPages) leftAlone(r *http.Request) (left, recent int, err error) {
	recent, err = s.admin.EndedAlone(r.Context(), actorOf(r))
	return max(0, s.admin.SecondPerson()-recent), recent, err
}

// showConfirm shows the confirm page, with what was typed before a sign-in.
func (s adminPages) showConfirm(w http.ResponseWriter, r *http.Request, p page.AdminRevoke, err error) error {
	if err != nil {
		return err
	}
	f, ok, err := s.typedAgain(w, r)
	if err != nil {
		return err
	}
	if p.Resumed = ok; ok {
		p.Cause, p.Comment = f["cause"], f["comment"]
	}
	return s.render(w, r, http.StatusOK, p)
}

// redisplay shows the confirm page with the field error; it returns other errors.
func (s adminPages) redisplay(w http.ResponseWriter, r *http.Request, p page.AdminRevoke, g admin.Grounds, err error) error {
	mistake, ok := mistakeOf(err)
	if !ok {
		return err
	}
	p.Cause, p.Comment, p.Errors = string(g.Cause), g.Comment, []page.FieldError{mistake}
	return s.render(w, r, http.StatusUnprocessableEntity, p)
}

// revoked answers a revocation. Where a second administrator must approve, it redirects
// to the bulk revocation that waits for them.
func (s adminPages) revoked(w http.ResponseWriter, r *http.Request, p page.AdminRevoke, g admin.Grounds, order *admin.BulkRevocation, err error) error {
	switch {
	case err != nil:
		return s.redisplay(w, r, p, g, err)
	case order != nil:
		return redirect(w, "/admin/orders/"+order.ID)
	}
	return redirect(w, p.Back)
}

// confirmCertificatePage confirms revoking the certificate in the address.
func (s adminPages) confirmCertificatePage(r *http.Request) (page.AdminRevoke, admin.CertificateDetail, error) {
	serial, err := serialOf(r)
	if err != nil {
		return page.AdminRevoke{}, admin.CertificateDetail{}, err
	}
	d, err := s.admin.Certificate(r.Context(), actorOf(r), serial)
	if err == nil && d.Person == "" {
		err = portal.ErrNotFound
	}
	if err != nil {
		return page.AdminRevoke{}, d, err
	}
	p, err := s.confirmPage(r, "certificate")
	p.UPN, p.Serial, p.Back = d.UPN, serial.String(), "/admin/certificates/"+serial.String()
	if endable(d.Certificate) {
		p.Count = 1
	}
	return p, d, err
}

// showRevokeCertificate is GET /admin/certificates/{serial}/revoke.
func (s adminPages) showRevokeCertificate(w http.ResponseWriter, r *http.Request) error {
	p, _, err := s.confirmCertificatePage(r)
	return s.showConfirm(w, r, p, err)
}

// submitRevokeCertificate is its POST.
func (s adminPages) submitRevokeCertificate(w http.ResponseWriter, r *http.Request) error {
	g, _, err := groundsForm(r)
	if err != nil {
		return err
	}
	p, d, err := s.confirmCertificatePage(r)
	if err != nil {
		return err
	}
	_, order, err := s.admin.RevokeCertificate(r.Context(), actorOf(r), d.Serial, g)
	return s.revoked(w, r, p, g, order, err)
}

// confirmDevicePage confirms revoking the device in the address.
func (s adminPages) confirmDevicePage(r *http.Request) (page.AdminRevoke, admin.Device, error) {
	d, err := s.anyDevice(r)
	if err != nil {
		return page.AdminRevoke{}, d, err
	}
	p, err := s.confirmPage(r, "device")
	if err != nil {
		return p, d, err
	}
	p.Name, p.UPN, p.Back = d.Name, d.UPN, "/admin/devices/"+string(d.ID)
	_, p.Count, err = s.admin.Holdings(r.Context(), actorOf(r), admin.Filter{DeviceID: d.ID})
	return p, d, err
}

// showRevokeDevice is GET /admin/devices/{id}/revoke.
func (s adminPages) showRevokeDevice(w http.ResponseWriter, r *http.Request) error {
	p, _, err := s.confirmDevicePage(r)
	return s.showConfirm(w, r, p, err)
}

// submitRevokeDevice is its POST.
func (s adminPages) submitRevokeDevice(w http.ResponseWriter, r *http.Request) error {
	g, _, err := groundsForm(r)
	if err != nil {
		return err
	}
	p, d, err := s.confirmDevicePage(r)
	if err != nil {
		return err
	}
	_, order, err := s.admin.RevokeDevice(r.Context(), actorOf(r), d.ID, g)
	return s.revoked(w, r, p, g, order, err)
}

// confirmPersonPage confirms revoking all certificates of the person in the address.
func (s adminPages) confirmPersonPage(r *http.Request) (page.AdminRevoke, portal.PersonID, error) {
	id, err := url.PathUnescape(chi.URLParam(r, "person"))
	if err != nil {
		return page.AdminRevoke{}, "", portal.ErrNotFound
	}
	p, err := s.confirmPage(r, "person")
	if err != nil {
		return p, "", err
	}
	person := portal.PersonID(id)
	rows, live, err := s.admin.Holdings(r.Context(), actorOf(r), admin.Filter{PersonID: person})
	switch {
	case err != nil:
		return p, person, err
	case len(rows) == 0:
		return p, person, portal.ErrNotFound
	}
	p.UPN, p.Name, p.Count = rows[0].UPN, rows[0].PersonName, live
	p.Back = withQuery("/admin/certificates", admin.Filter{PersonID: person}.Query(s.zone))
	return p, person, nil
}

// showRevokePerson is GET /admin/people/{person}/revoke.
func (s adminPages) showRevokePerson(w http.ResponseWriter, r *http.Request) error {
	p, _, err := s.confirmPersonPage(r)
	return s.showConfirm(w, r, p, err)
}

// submitRevokePerson is its POST.
func (s adminPages) submitRevokePerson(w http.ResponseWriter, r *http.Request) error {
	g, _, err := groundsForm(r)
	if err != nil {
		return err
	}
	p, person, err := s.confirmPersonPage(r)
	if err != nil {
		return err
	}
	_, order, err := s.admin.RevokePerson(r.Context(), actorOf(r), person, g)
	return s.revoked(w, r, p, g, order, err)
}
