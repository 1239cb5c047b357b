package web

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"

	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/exchange"
	"certportal/internal/helpdesk"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/web/page"
)

const (
	helpdeskPath  = "/helpdesk"
	approvalsPath = helpdeskPath + "/approvals"

	// maxPersonID bounds a person's id in an address, in bytes.
	maxPersonID = 256
)

// personPath is the page of a person. Ids come from the directory, and may hold any
// character.
func personPath(id portal.PersonID) string {
	return helpdeskPath + "/people/" + url.PathEscape(string(id))
}

// personOf reads the person's id in the address.
func personOf(r *http.Request) (portal.PersonID, error) {
	id, err := url.PathUnescape(chi.URLParam(r, "person"))
	if err != nil || id == "" || len(id) > maxPersonID || !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl) {
		return "", fmt.Errorf("reading person in the address: %w", portal.ErrNotFound)
	}
	return portal.PersonID(id), nil
}

// showFindPeople is GET /helpdesk.
func (s helpdeskPages) showFindPeople(w http.ResponseWriter, r *http.Request) error {
	if err := s.hideCode(w, r); err != nil {
		return err
	}
	query := strings.TrimSpace(r.URL.Query().Get("q"))
	p := page.FindPeople{Layout: s.staffLayout(r), Query: query, Limit: helpdesk.MaxFound}
	if n := utf8.RuneCountInString(query); n < helpdesk.MinQuery || len(query) > helpdesk.MaxQuery || !utf8.ValidString(query) {
		p.Query = strings.ToValidUTF8(query, "")
		return s.render(w, r, http.StatusOK, p)
	}
	// The page holds no secret that its compressed size could leak: the query may be
	// repeated in the language links.
	p.Path = helpdeskPath + "?q=" + url.QueryEscape(query)
	p.Asked = true
	found, more, err := s.helpdesk.Find(r.Context(), actorOf(r), query)
	if err != nil {
		return err
	}
	p.More = more
	if len(found) == 1 && !more && found[0].Person.ID != "" {
		return redirect(w, personPath(found[0].Person.ID))
	}
	for _, m := range found {
		row := page.PersonRow{
			Name: m.Person.Name, Login: m.Person.Login, Mail: m.Person.Mail,
			Department: m.Person.Department, Device: m.Device, Disabled: m.Person.Disabled, Unread: m.Unread,
		}
		if m.Person.ID != "" { // else not even the ID can be read
			row.Path = personPath(m.Person.ID)
		}
		p.Found = append(p.Found, row)
	}
	return s.render(w, r, http.StatusOK, p)
}

// personDetails reads the person in the address.
func (s helpdeskPages) personDetails(r *http.Request, also ...audit.Action) (helpdesk.PersonDetails, error) {
	id, err := personOf(r)
	if err != nil {
		return helpdesk.PersonDetails{}, err
	}
	return s.helpdesk.PersonDetails(r.Context(), actorOf(r), id, also...)
}

// showPersonDetails is GET /helpdesk/people/{person}.
func (s helpdeskPages) showPersonDetails(w http.ResponseWriter, r *http.Request) error {
	if err := s.hideCode(w, r); err != nil {
		return err
	}
	var also []audit.Action
	all := r.URL.Query().Get("events") == "all"
	if all {
		also = []audit.Action{audit.PersonRead}
	}
	d, err := s.personDetails(r, also...)
	if err != nil {
		return err
	}
	p := page.PersonDetails{
		Layout: s.staffLayout(r), Path: personPath(d.Person.ID), Person: personFacts(d.Person),
		NoCode: string(d.InviteDenied), NoBlock: string(d.BlockDenied), Invited: s.invitedLine(d.Invitation), Paused: d.Paused,
		Events: eventRows(d, d.Events), Failed: eventRows(d, d.Failed), AllEvents: all,
	}
	p.State, p.Detail = accountState(d.Refusal)
	for _, device := range d.Devices {
		row := page.HelpdeskDevice{DeviceCard: s.card(device)}
		end := device.Certificate.NotAfter
		over := !end.IsZero() && !s.now().Before(end)
		blockable := device.Certificate.Status != portal.Revoked && device.Removed.IsZero() && !over
		if d.BlockDenied == "" && blockable {
			row.Block = blockPath(d.Person.ID, device.ID)
		}
		row.Mailbox = s.mailboxCommands(d, device)
		use, err := s.registrar.Use(r.Context(), device.Certificate.Serial)
		if err != nil {
			return err
		}
		row.Use, row.Fault = useRow(use, device.Certificate.Delivered), string(s.registrar.FaultOf(device, use, d.Refusal))
		p.Devices = append(p.Devices, row)
	}
	if id := portal.DeviceID(r.URL.Query().Get("blocked")); id != "" {
		for _, device := range d.Devices {
			if device.ID == id && device.Certificate.Status == portal.Revoked {
				p.Notice, p.Subject = "desk.block.done", device.Name
			}
		}
	}
	return s.render(w, r, http.StatusOK, p)
}

// mailboxCommands is what can be done about the mail on a device that was blocked.
func (s helpdeskPages) mailboxCommands(d helpdesk.PersonDetails, device portal.Device) []page.MailboxCommand {
	if s.exchange == nil || d.BlockDenied != "" || device.Certificate.Status != portal.Revoked || device.Certificate.UPN == "" {
		return nil
	}
	var all []page.MailboxCommand
	for _, c := range exchange.Mailbox(device.Certificate.UPN) {
		all = append(all, page.MailboxCommand(c))
	}
	return all
}

func personFacts(p portal.Person) page.PersonFacts {
	f := page.PersonFacts{
		Name: p.Name, Login: p.Login, UPN: p.UPN, Mail: p.Mail, Department: p.Department,
		Phone: p.Phone, Manager: p.Manager, EmployeeNumber: p.EmployeeNumber, Protected: p.Protected, MailLeftOut: p.MailLeftOut(),
	}
	if f.Mail == "" {
		f.Mail = p.MailUnusable
	}
	for _, role := range []portal.Role{portal.Helpdesk, portal.Auditor, portal.Admin} {
		if p.Has(role) {
			f.Roles = append(f.Roles, string(role))
		}
	}
	return f
}

// accountState is the state of an account in the terms of the pages, and the value in
// its sentence. Only administrators see the other account of a name conflict.
func accountState(refusal *portal.Refusal) (state, detail string) {
	switch {
	case refusal == nil:
		return page.AccountActive, ""
	case refusal.Reason == portal.NotAllowed, refusal.Reason == portal.SuffixForeign:
		return string(refusal.Reason), refusal.Value
	}
	return string(refusal.Reason), ""
}

func (s helpdeskPages) invitedLine(i signin.Invitation) *page.InvitedLine {
	if i.ID == "" {
		return nil
	}
	return &page.InvitedLine{State: string(i.At(s.now())), Expires: i.Expires}
}

// eventRows converts audit entries about the person.
func eventRows(d helpdesk.PersonDetails, entries []audit.Entry) []page.EventRow {
	var rows []page.EventRow
	for _, e := range entries {
		row := page.EventRow{
			At: e.At, What: string(e.Action), Why: e.Detail["reason"], System: e.Actor == "system",
			Subject: cmp.Or(e.Detail["name"], d.DeviceNames[e.Detail["device"]], d.DeviceNames[e.Object]),
		}
		if e.Action == audit.InvitationRefused && e.Detail["act"] == "" && row.Why != "" {
			row.Why = "code-" + row.Why
		}
		switch e.Actor {
		case string(d.Person.ID):
		case "":
			row.Anonymous = true
		default:
			row.Who = cmp.Or(d.Names[e.Actor], e.Actor)
		}
		rows = append(rows, row)
	}
	return rows
}

func blockPath(person portal.PersonID, device portal.DeviceID) string {
	return personPath(person) + "/devices/" + url.PathEscape(string(device)) + "/block"
}

// blockPage is the confirm page for the person and device in the address.
func (s helpdeskPages) blockPage(r *http.Request) (page.BlockDevice, portal.PersonID, portal.DeviceID, error) {
	id, ok := deviceID(r)
	if !ok {
		return page.BlockDevice{}, "", "", fmt.Errorf("reading device in the address: %w", portal.ErrNotFound)
	}
	d, err := s.personDetails(r)
	if err != nil {
		return page.BlockDevice{}, "", "", err
	}
	at := slices.IndexFunc(d.Devices, func(device portal.Device) bool { return device.ID == id })
	switch {
	case d.BlockDenied != "":
		return page.BlockDevice{}, "", "", &authz.Error{Act: authz.Block, Reason: d.BlockDenied}
	case at < 0:
		return page.BlockDevice{}, "", "", fmt.Errorf("finding device: %w", portal.ErrNotFound)
	}
	return page.BlockDevice{
		Layout: s.staffLayout(r), Path: blockPath(d.Person.ID, id), Back: personPath(d.Person.ID),
		Person: nameOf(d.Person), Callable: d.Person.Phone != "", Device: s.card(d.Devices[at]),
	}, d.Person.ID, id, nil
}

// nameOf is the name that pages show for a person.
func nameOf(p portal.Person) string {
	if p.Name == "" {
		return p.Login
	}
	return p.Name
}

// showBlockDevice is GET /helpdesk/people/{person}/devices/{id}/block.
func (s helpdeskPages) showBlockDevice(w http.ResponseWriter, r *http.Request) error {
	p, _, _, err := s.blockPage(r)
	if err != nil {
		return err
	}
	f, ok, err := s.typedAgain(w, r)
	if err != nil {
		return err
	}
	if p.Resumed = ok; ok {
		p.Reason, p.Checked, p.Note = f["reason"], f["checked"], f["note"]
	}
	return s.render(w, r, http.StatusOK, p)
}

// submitBlockDevice is POST /helpdesk/people/{person}/devices/{id}/block.
func (s helpdeskPages) submitBlockDevice(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(r, "reason", "checked", "note")
	if err != nil {
		return err
	}
	person, err := personOf(r)
	if err != nil {
		return err
	}
	id, ok := deviceID(r)
	if !ok {
		return fmt.Errorf("reading device in the address: %w", portal.ErrNotFound)
	}
	_, err = s.helpdesk.Block(r.Context(), actorOf(r), helpdesk.BlockRequest{
		Person: person, Device: id, Cause: portal.Cause(f["reason"]), Check: signin.Check(f["checked"]), Note: f["note"],
	})
	if err == nil {
		return redirect(w, personPath(person)+"?blocked="+url.QueryEscape(string(id)))
	}
	mistakes := fieldErrorsOf(err)
	if len(mistakes) == 0 {
		return err
	}
	p, _, _, err := s.blockPage(r)
	if err != nil {
		return err
	}
	p.Reason, p.Checked, p.Note, p.Errors = f["reason"], f["checked"], f["note"], mistakes
	return s.render(w, r, http.StatusUnprocessableEntity, p)
}
