package web

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/text/cases"

	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/web/page"
)

// maxFormToken bounds the idempotency token of a form, in bytes.
const maxFormToken = 64

// newFormToken makes an idempotency token: sending one form twice is one request.
func newFormToken() string { return rand.Text() }

// formToken reads the token of a form. A form without one, such as that of a script,
// gets a new one.
func formToken(f form) (string, error) {
	token := f["request"]
	if token == "" {
		return newFormToken(), nil
	}
	foreign := func(c rune) bool {
		return (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
	}
	if len(token) > maxFormToken || strings.ContainsFunc(token, foreign) {
		return "", fmt.Errorf("%w: malformed token", errForm)
	}
	return token, nil
}

// showNew is GET /new.
func (s ownDevices) showNew(w http.ResponseWriter, r *http.Request) error {
	typed, again, err := s.typedAgain(w, r)
	if err != nil {
		return err
	}
	if again {
		return s.renderNewForm(w, r, typed, false)
	}
	known, err := s.meansKnown(r)
	if err != nil {
		return err
	}
	if known != nil {
		return s.render(w, r, http.StatusOK, page.KnownDevice{Layout: s.layout(r), Device: s.card(*known)})
	}
	return s.renderNewForm(w, r, nil, false)
}

// meansKnown is the device of this browser, where the person may mean that one and not a
// new one: they chose no platform, have no code for a new one, and may act on it.
func (s ownDevices) meansKnown(r *http.Request) (*portal.Device, error) {
	_, chosen := platformParam(r)
	who := s.person(r)
	if chosen || who.limited() || who.invitation != "" || len(knownDevices(r)) == 0 {
		return nil, nil
	}
	devices, err := s.registrar.Devices(r.Context(), who.person)
	if err != nil {
		return nil, err
	}
	d, ok := thisDevice(r, devices)
	if !ok || !d.Working(s.now()) && d.Renewable(s.now(), s.registrar.RenewWindow()) != nil {
		return nil, nil
	}
	return &d, nil
}

// renderNewForm redirects to the choice of the platform when neither the client nor
// ?p= gives one. It holds what was typed before the reader signed in again, nil for
// nothing. With bring, the form for a certificate request is open.
func (s ownDevices) renderNewForm(w http.ResponseWriter, r *http.Request, typed form, bring bool) error {
	platform, chosen := platformParam(r)
	if before, err := portal.ParsePlatform(typed["platform"]); err == nil {
		platform, chosen = before, true
	}
	if !chosen {
		guess, err := portal.ParsePlatform(clientOf(r).Platform)
		if err != nil {
			return redirect(w, "/new/platform")
		}
		platform = guess
	}
	who := s.person(r)
	devices, err := s.registrar.Devices(r.Context(), who.person)
	if err != nil {
		return err
	}
	suggested := s.renderer.SuggestName(languageOf(r), who.given, string(platform))
	p := page.NewDevice{
		Layout: s.layout(r), Suggested: freeName(suggested, s.inUse(devices)), Platform: string(platform),
		Token: newFormToken(), Guessed: !chosen, CSR: s.newCSRForm(platform), Name: typed["name"],
	}
	p.Resumed = typed != nil
	if p.CSR != nil {
		p.CSR.Open = bring
	}
	return s.render(w, r, http.StatusOK, p)
}

// showPlatforms is GET /new/platform.
func (s ownDevices) showPlatforms(w http.ResponseWriter, r *http.Request) error {
	client := clientOf(r)
	selected := client.Platform
	if p, ok := platformParam(r); ok {
		selected = string(p)
	}
	return s.render(w, r, http.StatusOK, page.ChoosePlatform{
		Layout: s.layout(r), Selected: selected, IPadMaybe: client.IPadMaybe,
	})
}

// submitNew is POST /new. The same token twice leads to the same device.
func (s ownDevices) submitNew(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(r, "name", "platform", "request")
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
	platform := portal.Platform(f["platform"])
	device, err = s.certify(r, enroll.Request{
		By: s.by(r), Name: f["name"], Platform: platform, Repeats: repeats(r, platform),
		Idempotent: s.person(r).attempt(token), PickupKey: s.pickupKey(r), WaitKey: s.waitKey(w, r), Invitation: s.person(r).invitation,
	}, platform)
	if err == nil {
		err = s.rememberDevice(w, r, device)
	}
	if err == nil {
		recognise(w, r, device, platform)
		return redirect(w, installPath(device))
	}
	retry := &page.Retry{Action: "/new", Fields: []page.Hidden{
		{Name: "name", Value: f["name"]}, {Name: "platform", Value: f["platform"]}, {Name: "request", Value: token},
	}}
	return s.redisplayNew(w, r, page.NewDevice{
		Layout: s.layout(r), Name: f["name"], Platform: f["platform"], Token: token, CSR: s.newCSRForm(platform),
	}, &retryable{err, retry})
}

// redisplayNew shows the form again with the field error, and the devices when the
// quota is reached; it returns other errors.
func (s ownDevices) redisplayNew(w http.ResponseWriter, r *http.Request, p page.NewDevice, err error) error {
	var refusal *portal.Refusal
	if !errors.As(err, &refusal) || (refusal.Field == "" && refusal.Reason != portal.QuotaReached &&
		refusal.Reason != portal.NameTaken) {
		return err
	}
	who := s.person(r)
	devices, listErr := s.registrar.Devices(r.Context(), who.person)
	if listErr != nil {
		return listErr
	}
	if refusal.Reason == portal.QuotaReached {
		return s.renderQuota(w, r, devices)
	}
	field := page.FieldError{
		Field: refusal.Field, Key: "refusal." + string(refusal.Reason),
		Value: refusal.Value, Limit: refusal.Limit,
	}
	csrOpen := p.CSR != nil && p.CSR.Open
	switch refusal.Reason {
	case portal.NameTaken:
		field.Field = "name"
		if !who.limited() && !csrOpen {
			p.DuplicateID = string(namesake(p.Name, s.inUse(devices)))
		}
	case portal.PlatformBad:
		// The invalid value cannot be shown: the guess replaces it.
		guess, _ := portal.ParsePlatform(clientOf(r).Platform)
		p.Platform = string(guess)
	}
	if csrOpen && field.Field == "name" {
		field.Field = "key-name" // the page has two fields for a name
	}
	p.Suggested = s.renderer.SuggestName(languageOf(r), who.given, p.Platform)
	p.Errors = []page.FieldError{field}
	return s.render(w, r, http.StatusUnprocessableEntity, p)
}

// renderQuota offers to remove a device that counts for the quota.
func (s ownDevices) renderQuota(w http.ResponseWriter, r *http.Request, devices []portal.Device) error {
	p := page.Quota{Layout: s.layout(r), Limit: s.registrar.Quota()}
	if s.person(r).limited() {
		devices = nil // it may remove none
	}
	for _, d := range s.inUse(devices) {
		p.Devices = append(p.Devices, s.card(d))
	}
	return s.render(w, r, http.StatusConflict, p)
}

// freeName adds a number to the suggested name when a device already has it.
func freeName(suggested string, devices []portal.Device) string {
	for n := 1; n <= len(devices)+1; n++ {
		name := suggested
		if n > 1 {
			name = fmt.Sprintf("%s %d", suggested, n)
		}
		if clean, err := portal.CleanDeviceName(name); err == nil && namesake(clean, devices) == "" {
			return clean
		}
	}
	return suggested
}

// namesake finds the device with the name, ignoring case.
func namesake(name string, devices []portal.Device) portal.DeviceID {
	clean, err := portal.CleanDeviceName(name)
	if err != nil {
		return ""
	}
	fold := cases.Fold()
	for _, d := range devices {
		if fold.String(d.Name) == fold.String(clean) {
			return d.ID
		}
	}
	return ""
}

// installPath is the page with the file of a device.
func installPath(id portal.DeviceID) string { return "/devices/" + string(id) + "/install" }
