package directory_test

import (
	"log/slog"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/helpdesk"
	"certportal/internal/portal"
	"certportal/internal/signin"
)

// invite has one of the staff ask for a pickup code for somebody.
func (o *office) invite(t *testing.T, staff portal.Person, target portal.PersonID) error {
	t.Helper()
	counter := must[*helpdesk.Service](t)(helpdesk.New(helpdesk.Config{
		Directory: o.people, Store: o.db, Registrar: o.Registrar, SignIn: o.signIn,
		Now: o.now, Log: slog.New(slog.DiscardHandler),
	}))
	_, code, err := counter.Invite(t.Context(), portal.Actor{Person: staff.ID, Record: &staff, Address: "192.0.2.4"}, helpdesk.InviteRequest{
		Person: target, Check: signin.CheckInPerson, Purpose: signin.ForNew,
	})
	if (code == "") != (err != nil) {
		t.Errorf("got code %q with error %v", code, err)
	}
	return err
}

// wantCode asks for a code that must be.
func (o *office) wantCode(t *testing.T, staff portal.Person, target portal.PersonID) {
	t.Helper()
	if err := o.invite(t, staff, target); err != nil {
		t.Errorf("a code for an ordinary person: %v", err)
	}
}

// wantNoCode asks for a code that must not be: refused, nothing made, one entry in
// the ledger.
func (o *office) wantNoCode(t *testing.T, staff portal.Person, target portal.PersonID) {
	t.Helper()
	made, refused := o.count(audit.InvitationMade), o.count(audit.InvitationRefused)
	err := o.invite(t, staff, target)
	if why := authz.ReasonOf(err); why != authz.ReasonProtected {
		t.Errorf("a code: got %v, want a denial: %s", err, authz.ReasonProtected)
	}
	if got := o.count(audit.InvitationMade) - made; got != 0 {
		t.Errorf("%d invitations, want 0", got)
	}
	if got := o.count(audit.InvitationRefused) - refused; got != 1 {
		t.Errorf("%d entries of the refusal, want 1", got)
	}
}
