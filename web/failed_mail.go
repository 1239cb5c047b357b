package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"

	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/notify"
	"certportal/internal/portal"
	"certportal/web/page"
)

const mailPath = "/admin/mail"

// mailRecords are the messages that could not be delivered.
type mailRecords interface {
	// FailedMessages lists messages that were given up, the newest first, at most limit.
	FailedMessages(ctx context.Context, limit int) ([]notify.FailedMessage, error)

	// ResendMessage opens one of them as if it were new; to the address, or to the one
	// before when that is empty. It returns portal.ErrNotFound when that cannot be, and
	// notify.ErrStale when what it says is not true any more.
	ResendMessage(ctx context.Context, id, to string, at time.Time, entry audit.Entry) error
}

// showFailedMail is GET /admin/mail.
func (s adminPages) showFailedMail(w http.ResponseWriter, r *http.Request) error {
	return s.renderFailedMail(w, r, http.StatusOK, "", "")
}

// renderFailedMail lists the messages, and says why one was not sent again, if so.
func (s adminPages) renderFailedMail(w http.ResponseWriter, r *http.Request, status int, refused string, about portal.PersonID) error {
	failed, err := s.store.FailedMessages(r.Context(), admin.PageSize+1)
	if err != nil {
		return &portal.Outage{Part: portal.PartStore, Err: err}
	}
	p := page.AdminMail{
		Layout: s.staffLayout(r), More: len(failed) > admin.PageSize, MayResend: may(r, authz.RunChecks), Refused: refused,
	}
	failed = failed[:min(len(failed), admin.PageSize)]
	ids := []portal.PersonID{about}
	for _, m := range failed {
		ids = append(ids, m.Person)
	}
	names, err := s.personNames(r.Context(), ids)
	if err != nil {
		return err
	}
	p.Subject = cmp.Or(names[about], string(about))
	for _, m := range failed {
		row := page.AdminMailRow{
			ID: m.ID, Kind: string(m.Kind), Name: names[m.Person], To: m.To, Made: m.Made, Closed: m.Closed, Tries: m.Tries,
			Reason: m.Reason, Resendable: m.Resendable,
		}
		p.Rows = append(p.Rows, row)
	}
	return s.render(w, r, status, p)
}

// submitResend is POST /admin/mail/{message}: sends a message again, to the address that
// the person has now. It refuses one that is not true any more, and one to a person who
// has no address now.
func (s adminPages) submitResend(w http.ResponseWriter, r *http.Request) error {
	if _, err := readForm(r); err != nil {
		return err
	}
	id, by := chi.URLParam(r, "message"), actorOf(r)
	failed, err := s.store.FailedMessages(r.Context(), admin.PageSize)
	if err != nil {
		return &portal.Outage{Part: portal.PartStore, Err: err}
	}
	at := slices.IndexFunc(failed, func(m notify.FailedMessage) bool { return m.ID == id })
	if at < 0 {
		return fmt.Errorf("finding message: %w", portal.ErrNotFound)
	}
	m := failed[at]
	to, err := s.addressNow(r.Context(), m.Person)
	if err != nil {
		return err
	}
	if m.Person != "" && to == "" {
		return s.renderFailedMail(w, r, http.StatusConflict, page.MailNoAddress, m.Person)
	}
	e := by.Entry(s.now(), audit.MailResent)
	e.Person, e.Object = string(m.Person), m.ID
	err = s.store.ResendMessage(r.Context(), id, to, s.now(), e)
	switch {
	case errors.Is(err, notify.ErrStale):
		return s.renderFailedMail(w, r, http.StatusConflict, page.MailStale, m.Person)
	case err != nil && !errors.Is(err, portal.ErrNotFound):
		return &portal.Outage{Part: portal.PartStore, Err: err}
	}
	return redirect(w, mailPath)
}

// addressNow is the mail address of a person as the directory has it; empty for a message
// to operators, and for a person without one.
func (s adminPages) addressNow(ctx context.Context, id portal.PersonID) (string, error) {
	if id == "" {
		return "", nil
	}
	person, err := s.registrar.Person(ctx, id)
	if errors.Is(err, portal.ErrNotFound) {
		return "", nil
	}
	return person.Mail, err
}
