package directory_test

import (
	"log/slog"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/helpdesk"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/testkit"
)

// invite has a staff member request a pickup code for a person.
func (fx *fixture) invite(t *testing.T, staff portal.Person, target portal.PersonID) error {
	t.Helper()
	counter := testkit.Must(helpdesk.New(helpdesk.Config{
		Directory: fx.people, Store: fx.db, Registrar: fx.Registrar, SignIn: fx.signIn,
		Now: fx.now, Log: slog.New(slog.DiscardHandler),
	}))(t)
	_, code, err := counter.Invite(t.Context(), portal.Actor{Person: staff.ID, Record: &staff, Address: "192.0.2.4"}, helpdesk.InviteRequest{
		Person: target, Check: signin.CheckInPerson, Purpose: signin.ForNew,
	})
	if (code == "") != (err != nil) {
		t.Errorf("got code %q with error %v", code, err)
	}
	return err
}

// wantCode requests a code, which must be issued.
func (fx *fixture) wantCode(t *testing.T, staff portal.Person, target portal.PersonID) {
	t.Helper()
	if err := fx.invite(t, staff, target); err != nil {
		t.Errorf("a code for an ordinary person: %v", err)
	}
}

// wantNoCode requests a code, which must be refused without an invitation and with one
// audit entry.
func (fx *fixture) wantNoCode(t *testing.T, staff portal.Person, target portal.PersonID) {
	t.Helper()
	made, refused := fx.count(audit.InvitationMade), fx.count(audit.InvitationRefused)
	err := fx.invite(t, staff, target)
	if why := authz.ReasonOf(err); why != authz.ReasonProtected {
		t.Errorf("a code: got %v, want a denial: %s", err, authz.ReasonProtected)
	}
	if got := fx.count(audit.InvitationMade) - made; got != 0 {
		t.Errorf("%d invitations, want 0", got)
	}
	if got := fx.count(audit.InvitationRefused) - refused; got != 1 {
		t.Errorf("%d entries of the refusal, want 1", got)
	}
}
