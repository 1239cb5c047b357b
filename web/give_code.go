package web

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"certportal/internal/authz"
	"certportal/internal/helpdesk"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/web/page"
)

// codeShown is how long its maker may see a pickup code.
const codeShown = 10 * time.Minute

// fieldErrorsOf returns the errors of form fields, if err is a refusal of one or several
// joined; else nothing.
func fieldErrorsOf(err error) []page.FieldError {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		var list []page.FieldError
		for _, one := range all.Unwrap() {
			mistakes := fieldErrorsOf(one)
			if mistakes == nil {
				return nil // not a mistake of the form
			}
			list = append(list, mistakes...)
		}
		return list
	}
	mistake, ok := mistakeOf(err)
	if !ok {
		return nil
	}
	return []page.FieldError{mistake}
}

// codePage is the form for the person in the address. Staff who may not give them a
// code get the error before they fill it in.
func (s helpdeskPages) codePage(r *http.Request) (page.GiveCode, portal.PersonID, error) {
	d, err := s.personDetails(r)
	if err != nil {
		return page.GiveCode{}, "", err
	}
	if d.InviteDenied != "" {
		return page.GiveCode{}, "", &authz.Error{Act: authz.Invite, Reason: d.InviteDenied}
	}
	p := page.GiveCode{
		Layout: s.staffLayout(r), Path: personPath(d.Person.ID) + "/code", Back: personPath(d.Person.ID),
		Person: nameOf(d.Person), Callable: d.Person.Phone != "", Second: s.helpdesk.SecondApprover(), Life: s.helpdesk.CodeLife(),
		Replace: d.Invitation.ID != "" && d.Invitation.At(s.now()) != signin.InvitationExpired,
	}
	p.State, p.Detail = accountState(d.Refusal)
	for _, device := range s.inUse(d.Devices) {
		p.Devices = append(p.Devices, s.card(device))
	}
	return p, d.Person.ID, nil
}

// showGiveCode is GET /helpdesk/people/{person}/code.
func (s helpdeskPages) showGiveCode(w http.ResponseWriter, r *http.Request) error {
	if err := s.hideCode(w, r); err != nil {
		return err
	}
	p, _, err := s.codePage(r)
	if err != nil {
		return err
	}
	f, ok, err := s.typedAgain(w, r)
	if err != nil {
		return err
	}
	if p.Resumed = ok; ok {
		p.Checked, p.Note, p.Purpose, p.Device = f["checked"], f["note"], f["purpose"], f["device"]
	}
	return s.render(w, r, http.StatusOK, p)
}

// submitGiveCode is POST /helpdesk/people/{person}/code. The code is kept in the
// encrypted session of its maker, and nowhere else.
func (s helpdeskPages) submitGiveCode(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(r, "checked", "note", "purpose", "device")
	if err != nil {
		return err
	}
	person, err := personOf(r)
	if err != nil {
		return err
	}
	order := helpdesk.InviteRequest{
		Person: person, Check: signin.Check(f["checked"]), Note: f["note"],
		Purpose: signin.Purpose(f["purpose"]), Device: portal.DeviceID(f["device"]),
	}
	if order.Purpose == signin.ForNew {
		order.Device = "" // chosen before the purpose was changed
	}
	i, code, err := s.helpdesk.Invite(r.Context(), actorOf(r), order)
	if mistakes := fieldErrorsOf(err); len(mistakes) > 0 {
		p, _, err := s.codePage(r)
		if err != nil {
			return err
		}
		p.Checked, p.Note, p.Purpose, p.Device = f["checked"], f["note"], f["purpose"], f["device"]
		p.Errors = mistakes
		return s.render(w, r, http.StatusUnprocessableEntity, p)
	}
	if err != nil {
		return err
	}
	if code != "" {
		if err := s.keepCode(w, r, i.ID, code); err != nil {
			return err
		}
	}
	return redirect(w, givenPath(i))
}

func givenPath(i signin.Invitation) string {
	return personPath(i.Person) + "/code/" + url.PathEscape(string(i.ID))
}

// keepCode saves a code in the session of its maker, in place of an earlier one.
func (s helpdeskPages) keepCode(w http.ResponseWriter, r *http.Request, id signin.InvitationID, code signin.PickupCode) error {
	return s.changeSession(w, r, map[string]string{
		"given": string(id), "given-code": string(code), "given-at": strconv.FormatInt(s.now().Unix(), 10),
	})
}

// hideCode removes the code from the session when its maker leaves the page.
func (s helpdeskPages) hideCode(w http.ResponseWriter, r *http.Request) error {
	if given, _, _ := s.given(r); given == "" {
		return nil
	}
	return s.changeSession(w, r, map[string]string{"given": "", "given-code": "", "given-at": ""})
}

// given is the last code that the session made.
func (s helpdeskPages) given(r *http.Request) (id signin.InvitationID, code signin.PickupCode, made time.Time) {
	session, err := s.sessions.Get(r, sessionCookie)
	if err != nil {
		return "", "", time.Time{}
	}
	text := func(key string) string {
		value, _ := session.Values[key].(string)
		return value
	}
	seconds, _ := strconv.ParseInt(text("given-at"), 10, 64)
	return signin.InvitationID(text("given")), signin.PickupCode(text("given-code")), time.Unix(seconds, 0)
}

// changeSession sets values of the session; an empty one is removed.
func (s *Server) changeSession(w http.ResponseWriter, r *http.Request, values map[string]string) error {
	session, err := s.sessions.Get(r, sessionCookie)
	if err == nil {
		for key, value := range values {
			session.Values[key] = value
			if value == "" {
				delete(session.Values, key)
			}
		}
		err = session.Save(r, w)
	}
	if err != nil {
		return &portal.Outage{Part: portal.PartStore, Err: fmt.Errorf("changing session: %w", err)}
	}
	return nil
}

// invitationGiven finds the invitation in the address, if it is for the person there
// and was made by the actor; and its code while it may be shown.
func (s helpdeskPages) invitationGiven(r *http.Request) (portal.Person, signin.Invitation, signin.PickupCode, error) {
	fail := func(err error) (portal.Person, signin.Invitation, signin.PickupCode, error) {
		return portal.Person{}, signin.Invitation{}, "", err
	}
	id, err := personOf(r)
	if err != nil {
		return fail(err)
	}
	i, err := s.helpdesk.OwnInvitation(r.Context(), actorOf(r), signin.InvitationID(chi.URLParam(r, "invitation")))
	if err == nil && i.Person != id {
		err = portal.ErrNotFound
	}
	if err != nil {
		return fail(err)
	}
	person, err := s.registrar.Person(r.Context(), id)
	if err != nil {
		return fail(err)
	}
	given, code, made := s.given(r)
	state := i.At(s.now())
	usable := state == signin.InvitationOpen || state == signin.InvitationWaiting
	if age := s.now().Sub(made); given != i.ID || age < 0 || age > codeShown || !usable {
		code = ""
	}
	return person, i, code, nil
}

// showCodeGiven is GET /helpdesk/people/{person}/code/{invitation}.
func (s helpdeskPages) showCodeGiven(w http.ResponseWriter, r *http.Request) error {
	person, i, code, err := s.invitationGiven(r)
	if err != nil {
		return err
	}
	p := page.CodeGiven{
		Layout: s.staffLayout(r), Person: nameOf(person), Back: personPath(person.ID), Again: personPath(person.ID) + "/code",
		Slip: givenPath(i) + "/slip", Expires: i.Expires, Waiting: i.State == signin.InvitationWaiting,
		Mailed: s.helpdesk.MailsCodes(), Address: s.public.Host + pickupPath,
	}
	if code != "" {
		p.Code = code.Grouped()
	}
	if s.mails || p.Mailed {
		p.Mail = maskMail(person.Mail)
	}
	if i.Purpose == signin.ForLost {
		if d, err := s.registrar.Device(r.Context(), person.ID, i.Device); err == nil {
			p.Device = d.Name
		}
	}
	return s.render(w, r, http.StatusOK, p)
}

// maskMail shortens an address so that only people who know it recognise it:
// "a…@example.com".
func maskMail(mail string) string {
	at := strings.LastIndexByte(mail, '@')
	if at <= 0 {
		return ""
	}
	_, size := utf8.DecodeRuneInString(mail)
	return mail[:size] + "…" + mail[at:]
}

// showSlip is GET /helpdesk/people/{person}/code/{invitation}/slip.
func (s helpdeskPages) showSlip(w http.ResponseWriter, r *http.Request) error {
	person, i, code, err := s.invitationGiven(r)
	if err != nil {
		return err
	}
	if code == "" {
		return redirect(w, givenPath(i))
	}
	p := page.Slip{
		Layout: s.staffLayout(r), Person: nameOf(person), Back: givenPath(i), Code: code.Grouped(),
		Address: s.public.Host + pickupPath, Expires: i.Expires, Maker: initials(actorOf(r).Staff().Name),
	}
	if p.QR, err = page.NewQR(s.origin() + pickupPath + "/" + string(code)); err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, p)
}

// initials are the first letters of a name.
func initials(name string) string {
	var b strings.Builder
	for _, word := range strings.Fields(name) {
		first, _ := utf8.DecodeRuneInString(word)
		b.WriteRune(first)
	}
	return b.String()
}

// showApprovals is GET /helpdesk/approvals.
func (s helpdeskPages) showApprovals(w http.ResponseWriter, r *http.Request) error {
	openChallengeOf, err := s.helpdesk.Waiting(r.Context(), actorOf(r))
	if err != nil {
		return err
	}
	p := page.Approvals{Layout: s.staffLayout(r)}
	for _, one := range openChallengeOf {
		i := one.Invitation
		p.Waiting = append(p.Waiting, page.WaitingCode{
			Path: approvalsPath + "/" + url.PathEscape(string(i.ID)), Person: one.Person, MadeBy: one.MadeBy, Made: i.Made,
			Checked: string(i.Check), Note: i.Note, Purpose: string(i.Purpose), Mine: one.Mine,
		})
	}
	return s.render(w, r, http.StatusOK, p)
}

// submitApproval is POST /helpdesk/approvals/{invitation}.
func (s helpdeskPages) submitApproval(w http.ResponseWriter, r *http.Request) error {
	if _, err := readForm(r); err != nil {
		return err
	}
	_, err := s.helpdesk.Approve(r.Context(), actorOf(r), signin.InvitationID(chi.URLParam(r, "invitation")))
	if err != nil {
		return err
	}
	return redirect(w, approvalsPath)
}
