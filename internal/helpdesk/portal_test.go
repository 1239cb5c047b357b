package helpdesk_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"certportal/internal/authz"
	"certportal/internal/directory"
	"certportal/internal/enroll"
	"certportal/internal/helpdesk"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// testHelpdesk is a helpdesk over the parts of a portal.
type testHelpdesk struct {
	*fixture.Portal
	people  *faultyDirectory
	config  helpdesk.Config
	service *helpdesk.Service
	mailed  mailbox

	anna, hugo, hedi, ada, adam, wei portal.Person // employee, two helpdesk members, two administrators, auditor
}

// faultyDirectory is the built-in directory with an error or a change that the
// test sets.
type faultyDirectory struct {
	*directory.Builtin
	err    error
	change func(*portal.Person)
	hidden portal.PersonID // the entry of this person cannot be read
}

// hide takes the hidden person out of a result.
func (d *faultyDirectory) hide(people []portal.Person, err error) ([]portal.Person, error) {
	var bad portal.UnreadableError
	people = slices.DeleteFunc(people, func(p portal.Person) bool {
		if p.ID == d.hidden {
			bad.People = append(bad.People, portal.Unreadable{Person: portal.Person{ID: p.ID, Name: p.Name}, Err: errors.New("no right")})
		}
		return p.ID == d.hidden
	})
	if err == nil && len(bad.People) > 0 {
		err = &bad
	}
	return people, err
}

func (d *faultyDirectory) People(ctx context.Context, ids []portal.PersonID) ([]portal.Person, error) {
	return d.hide(d.Builtin.People(ctx, ids))
}

func (d *faultyDirectory) Search(ctx context.Context, query string, limit int) ([]portal.Person, bool, error) {
	people, more, err := d.Builtin.Search(ctx, query, limit)
	people, err = d.hide(people, err)
	return people, more, err
}

func (d *faultyDirectory) Person(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	if d.err != nil {
		return portal.Person{}, d.err
	}
	p, err := d.Builtin.Person(ctx, id)
	if id == d.hidden {
		_, err = d.hide([]portal.Person{p}, err)
		return portal.Person{}, err
	}
	if d.change != nil {
		d.change(&p)
	}
	return p, err
}

func newHelpdesk(t *testing.T, change ...func(*helpdesk.Config)) *testHelpdesk {
	t.Helper()
	h := &testHelpdesk{people: &faultyDirectory{}}
	h.Portal = fixture.NewPortal(t, func(c *enroll.Config) {
		h.people.Builtin = c.Directory.(*directory.Builtin)
		c.Directory = h.people
	})
	h.SignIn = h.NewSignIn(func(c *signin.Config) { c.CodeAlone = true })
	h.anna = h.add("anna", "Anna Schmidt")
	h.hugo, h.hedi = h.add("hugo", "Hugo Weber", portal.Helpdesk), h.add("hedi", "Hedi Help", portal.Helpdesk)
	h.ada, h.adam = h.add("ada", "Ada King", portal.Admin), h.add("adam", "Adam Root", portal.Admin)
	h.wei = h.add("wei", "李伟", portal.Auditor)
	h.config = helpdesk.Config{
		Directory: h.people, Store: h.DB, Registrar: h.Registrar, SignIn: h.SignIn,
		Mail: &h.mailed, Now: h.Clock.Now, Log: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&h.config)
	}
	h.service = testkit.Must(helpdesk.New(h.config))(t)
	return h
}

// mailbox keeps the last code that was mailed.
type mailbox struct {
	code    signin.PickupCode
	to      portal.PersonID
	waiting bool
}

func (m *mailbox) Reaches(to portal.Person) bool { return to.Mail != "" }

func (m *mailbox) SendCode(_ context.Context, to portal.Person, code string, _ time.Time, waiting bool) error {
	m.code, _ = signin.ParsePickupCode(code)
	m.to, m.waiting = to.ID, waiting
	return nil
}

func (h *testHelpdesk) add(login, name string, roles ...portal.Role) portal.Person {
	h.T.Helper()
	p := fixture.NewPerson(login, "", roles...)
	p.Name = name
	return h.AddPerson(p)
}

func as(p portal.Person) portal.Actor {
	return portal.Actor{Person: p.ID, Record: &p, Address: "192.0.2.4", Request: "REQ"}
}

func order(p portal.Person) helpdesk.InviteRequest {
	return helpdesk.InviteRequest{Person: p.ID, Check: signin.CheckInPerson, Purpose: signin.ForNew}
}

// device enrols a person's device.
func (h *testHelpdesk) device(p portal.Person, name string) portal.DeviceID {
	h.T.Helper()
	return testkit.Must(h.Enroll(h.T.Context(), enroll.Request{
		By: portal.Actor{Person: p.ID, Role: portal.Employee}, Name: name, Platform: portal.IOS, Idempotent: name,
	}))(h.T).Device
}

func wantDenied(t *testing.T, err error, why authz.Reason) {
	t.Helper()
	if got := authz.ReasonOf(err); got != why {
		t.Errorf("got %v, want a denial: %s", err, why)
	}
}

func wantRefusal(t *testing.T, err error, reason portal.Reason) {
	t.Helper()
	var refusal *portal.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != reason {
		t.Errorf("got %v, want refusal %s", err, reason)
	}
}
