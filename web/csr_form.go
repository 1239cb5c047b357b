package web

import (
	"crypto/x509"
	"errors"
	"net/http"
	"strconv"

	"certportal/ca"
	"certportal/internal/deliver"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/web/page"
)

// keyPath accepts a certificate request (PKCS#10) for a key that the person made.
const keyPath = "/new/key"

// typeLeaf is the media type of an end-entity certificate in DER (RFC 2585 section
// 4.1). The type of the anchors would make browsers and phones treat it as a CA
// certificate.
const typeLeaf = "application/pkix-cert"

// newCSRForm returns the form for a certificate request, with a token of its own: the
// two forms of the page request two certificates. iPhones and iPads get no such form.
func (s ownDevices) newCSRForm(p portal.Platform) *page.CSRForm {
	if p == "" || p == portal.IOS || s.registrar.IssuesElsewhere() {
		return nil
	}
	return &page.CSRForm{Token: newFormToken()}
}

// showCSRForm is GET /new/key: the page of /new with the form for a request open.
func (s ownDevices) showCSRForm(w http.ResponseWriter, r *http.Request) error {
	return s.renderNewForm(w, r, nil, true)
}

// submitCSR is POST /new/key. Only the key of the request is used (attack A1).
func (s ownDevices) submitCSR(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(r, "name", "platform", "csr", "request")
	if err != nil {
		return err
	}
	token, err := formToken(f)
	if err != nil {
		return err
	}
	leave, device, err := s.lockPhone(r)
	if err != nil {
		return err
	}
	defer leave()
	if device != "" {
		return redirect(w, installPath(device))
	}
	done, err := s.registrar.EnrollRequest(r.Context(), enroll.Request{
		By: s.by(r), Name: f["name"], Platform: portal.Platform(f["platform"]),
		Idempotent: s.person(r).attempt(token), PickupKey: s.pickupKey(r), Invitation: s.person(r).invitation,
	}, f["csr"])
	if err == nil {
		err = s.rememberDevice(w, r, done.Device)
	}
	if err == nil {
		recognise(w, r, done.Device, portal.Platform(f["platform"]))
		return redirect(w, installPath(done.Device))
	}
	return s.redisplayCSR(w, r, f, token, err)
}

// redisplayCSR shows the form again with its values, but never a private key.
func (s ownDevices) redisplayCSR(w http.ResponseWriter, r *http.Request, f form, token string, err error) error {
	p := page.NewDevice{
		Layout: s.layout(r), Platform: f["platform"], Token: newFormToken(),
		CSR: &page.CSRForm{Open: true, Name: f["name"], Request: f["csr"], Token: token},
	}
	var denial *portal.Denial
	if !errors.As(err, &denial) {
		retry := &page.Retry{Action: keyPath, Fields: []page.Hidden{
			{Name: "name", Value: f["name"]}, {Name: "platform", Value: f["platform"]},
			{Name: "csr", Value: f["csr"]}, {Name: "request", Value: token},
		}}
		return s.redisplayNew(w, r, p, &retryable{err, retry})
	}
	field := page.FieldError{Field: "csr", Key: csrErrorKey(denial.Why)}
	switch denial.Why {
	case enroll.RequestSecret:
		p.CSR.Request = ""
	case enroll.RequestPlatform:
		field.Field, p.CSR = "platform", nil
	}
	p.Suggested = s.renderer.SuggestName(languageOf(r), s.person(r).given, p.Platform)
	p.Errors = []page.FieldError{field}
	return s.render(w, r, http.StatusUnprocessableEntity, p)
}

// csrErrorKey picks the sentence for a refused request. Reasons without a sentence of
// their own occur when two requests race.
func csrErrorKey(why string) string {
	switch why {
	case enroll.RequestEmpty, enroll.RequestLong, enroll.RequestForm, enroll.RequestSecret, enroll.RequestAlgorithm,
		enroll.RequestProof, enroll.RequestPlatform, portal.KeyRefused, portal.KeyReused:
		return "bring.denied." + why
	}
	return "bring.denied.other"
}

// renderOwnKeyDevice shows the page of a device whose person has the key: the
// certificate to download, while it is valid.
func (s ownDevices) renderOwnKeyDevice(w http.ResponseWriter, r *http.Request, d portal.Device) error {
	p := page.CSRDevice{Layout: s.layout(r), Device: s.card(d), Limited: s.person(r).limited()}
	if d.Working(s.now()) {
		folder := "/devices/" + string(d.ID) + "/"
		p.PEM, p.DER = folder+"certificate.pem", folder+"certificate.cer"
		p.SavedAs = deliver.FullName(s.org, d.Name, 0, "pem")
	}
	return s.render(w, r, http.StatusOK, p)
}

// serveOwnDER is GET /devices/{id}/certificate.cer.
func (s ownDevices) serveOwnDER(w http.ResponseWriter, r *http.Request) error {
	d, err := s.ownKeyDevice(r)
	if err != nil {
		return err
	}
	leaf, err := s.registrar.HandOut(r.Context(), d.Certificate)
	if err != nil {
		return err
	}
	return s.sendCertificate(w, d, "cer", typeLeaf, leaf.Raw)
}

// serveOwnPEM is GET /devices/{id}/certificate.pem: the certificate and its chain
// below the root.
func (s ownDevices) serveOwnPEM(w http.ResponseWriter, r *http.Request) error {
	d, err := s.ownKeyDevice(r)
	if err != nil {
		return err
	}
	leaf, err := s.registrar.HandOut(r.Context(), d.Certificate)
	if err != nil {
		return err
	}
	chain := append([]*x509.Certificate{leaf}, s.registrar.Chain(leaf)...)
	return s.sendCertificate(w, d, "pem", deliver.TypePEM, ca.PEM(chain...))
}

// ownKeyDevice finds a device of the person whose certificate was issued for their own
// key. Other certificates are delivered with their keys only.
func (s ownDevices) ownKeyDevice(r *http.Request) (portal.Device, error) {
	d, err := s.keptDevice(r)
	if err != nil {
		return d, err
	}
	brought, err := s.registrar.HasOwnKey(r.Context(), d)
	if err == nil && (!brought || d.Certificate.Status != portal.Issued) {
		err = portal.ErrNotFound
	}
	return d, err
}

// sendCertificate sends a file that holds no secret. It is not cached: it says who
// uses which device.
func (s ownDevices) sendCertificate(w http.ResponseWriter, d portal.Device, ext, kind string, data []byte) error {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", deliver.ContentDisposition(s.org, d.Name, 0, ext))
	h.Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data) // the client has disconnected
	return nil
}
