package helpdesk_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/helpdesk"
	"certportal/internal/portal"
	"certportal/internal/signin"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

func TestInvite(t *testing.T) {
	h := newHelpdesk(t)
	i, code, err := h.service.Invite(t.Context(), as(h.hugo), helpdesk.InviteRequest{
		Person: h.anna.ID, Check: signin.CheckOther, Note: "  badge\n and  birthday ", Purpose: signin.ForNew,
	})
	if err != nil {
		t.Fatal(err)
	}
	if again, ok := signin.ParsePickupCode(code.Grouped()); !ok || again != code || len(code.Grouped()) != 14 {
		t.Errorf("code %q is read as %q", code.Grouped(), again)
	}
	if i.State != signin.InvitationOpen || i.Expires != h.Clock.Now().Add(24*time.Hour) || i.Note != "badge and birthday" || i.Alone {
		t.Errorf("got %+v", i)
	}
	hash := testkit.Must(h.SignIn.HashPickupCode(t.Context(), code))(t)
	if kept := testkit.Must(h.DB.InvitationByCode(t.Context(), hash))(t); kept != i {
		t.Errorf("kept %+v, want %+v", kept, i)
	}
	made := fixture.EntriesOf(t, h.DB, audit.InvitationMade)
	if len(made) != 1 || made[0].Actor != string(h.hugo.ID) || made[0].Role != "helpdesk" || made[0].Person != string(h.anna.ID) ||
		made[0].Address != "192.0.2.4" || made[0].Request != "REQ" || made[0].Object != string(i.ID) {
		t.Errorf("ledger: got %+v", made)
	}
	want := map[string]string{
		"upn": "anna@corp.example", "checked": "other", "note": "badge and birthday", "purpose": "new", "state": "open",
		"expires": "2026-11-23T12:00:00Z",
	}
	if !maps.Equal(made[0].Detail, want) {
		t.Errorf("detail: got %v, want %v", made[0].Detail, want)
	}
	if strings.Contains(fmt.Sprint(made), string(code)) {
		t.Error("the ledger holds the code")
	}
}

func TestInviteForms(t *testing.T) {
	h := newHelpdesk(t)
	device := h.device(h.anna, "iPhone")
	tests := []struct {
		name   string
		change func(*helpdesk.InviteRequest)
		reason portal.Reason
		field  string
	}{
		{"no check", func(r *helpdesk.InviteRequest) { r.Check = "" }, portal.CheckMissing, "checked"},
		{"made-up check", func(r *helpdesk.InviteRequest) { r.Check = "trust-me" }, portal.CheckMissing, "checked"},
		{"other without words", func(r *helpdesk.InviteRequest) { r.Check, r.Note = signin.CheckOther, " \t" }, portal.CheckNote, "note"},
		{"long note", func(r *helpdesk.InviteRequest) { r.Note = strings.Repeat("ü", signin.MaxCheckNote+1) }, portal.CheckLong, "note"},
		{"no purpose", func(r *helpdesk.InviteRequest) { r.Purpose = "" }, portal.PurposeBad, "purpose"},
		{"lost without a device", func(r *helpdesk.InviteRequest) { r.Purpose = signin.ForLost }, portal.PurposeBad, "purpose"},
		{"new with a device", func(r *helpdesk.InviteRequest) { r.Device = device }, portal.PurposeBad, "purpose"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := order(h.anna)
			tt.change(&r)
			_, _, err := h.service.Invite(t.Context(), as(h.hugo), r)
			wantRefusal(t, err, tt.reason)
			var refusal *portal.Refusal
			if errors.As(err, &refusal) && refusal.Field != tt.field {
				t.Errorf("got field %q, want %q", refusal.Field, tt.field)
			}
		})
	}
	for name, change := range map[string]func(*helpdesk.InviteRequest){
		"unknown person": func(r *helpdesk.InviteRequest) { r.Person = "id-of-nobody" },
		"unknown device": func(r *helpdesk.InviteRequest) { r.Purpose, r.Device = signin.ForLost, "none" },
		"device of somebody else": func(r *helpdesk.InviteRequest) {
			r.Purpose, r.Device = signin.ForBroken, h.device(h.ada, "Mac")
		},
	} {
		r := order(h.anna)
		change(&r)
		if _, _, err := h.service.Invite(t.Context(), as(h.hugo), r); !errors.Is(err, portal.ErrNotFound) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if n := len(fixture.EntriesOf(t, h.DB, audit.InvitationMade)); n != 0 {
		t.Errorf("%d invitations made", n)
	}
}

// People who may not enrol get no code.
func TestInviteNeedsToBeOfUse(t *testing.T) {
	tests := []struct {
		name   string
		change func(*portal.Person)
		reason portal.Reason
	}{
		{"disabled", func(p *portal.Person) { p.Disabled = true }, portal.Disabled},
		{"locked", func(p *portal.Person) { p.Locked = true }, portal.Locked},
		{"not in the group", func(p *portal.Person) { p.MayEnroll = false }, portal.NotAllowed},
		{"conflict", func(p *portal.Person) { p.Conflict = portal.UPNTaken }, portal.Conflicting},
		{"no UPN", func(p *portal.Person) { p.UPN = "" }, portal.NoUPN},
	}
	h := newHelpdesk(t)
	for n, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h.people.change = tt.change
			_, _, err := h.service.Invite(t.Context(), as(h.hugo), order(h.anna))
			wantRefusal(t, err, tt.reason)
			refused := fixture.EntriesOf(t, h.DB, audit.InvitationRefused)
			if len(refused) != n+1 || refused[n].Detail["reason"] != string(tt.reason) {
				t.Errorf("ledger: got %v", refused)
			}
		})
	}
}

// A code for a lost device blocks the device first.
func TestInviteForALostDevice(t *testing.T) {
	h := newHelpdesk(t)
	device := h.device(h.anna, "iPhone")
	i, _, err := h.service.Invite(t.Context(), as(h.hugo), helpdesk.InviteRequest{
		Person: h.anna.ID, Check: signin.CheckCallback, Purpose: signin.ForLost, Device: device,
	})
	if err != nil || i.Device != device {
		t.Fatalf("got %+v, %v", i, err)
	}
	d := testkit.Must(h.Registrar.Device(t.Context(), h.anna.ID, device))(t)
	if d.Certificate.Status != portal.Revoked || d.Certificate.Cause != portal.Lost || h.Revoked.Load() != 1 {
		t.Errorf("got %s, %s, %d lists", d.Certificate.Status, d.Certificate.Cause, h.Revoked.Load())
	}
	e := fixture.EntriesOf(t, h.DB, audit.CertificateRevoked)
	if len(e) != 1 || e[0].Actor != string(h.hugo.ID) || e[0].Person != string(h.anna.ID) ||
		e[0].Detail["cause"] != "lost" || e[0].Detail["checked"] != "called-back" || e[0].Detail["by"] != "helpdesk" || e[0].Detail["name"] != "iPhone" {
		t.Errorf("ledger: got %+v", e)
	}
}

// Too many codes by one staff member pause that member only.
func TestInvitePause(t *testing.T) {
	h := newHelpdesk(t, func(c *helpdesk.Config) { c.PerHour = 3 })
	for range 3 {
		if _, _, err := h.service.Invite(t.Context(), as(h.hugo), order(h.anna)); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := h.service.Invite(t.Context(), as(h.hugo), order(h.anna))
	wantRefusal(t, err, portal.PausedInvites)
	if e := fixture.EntriesOf(t, h.DB, audit.InvitationPaused); len(e) != 1 || e[0].Actor != string(h.hugo.ID) {
		t.Errorf("ledger: got %v", e)
	}
	if _, _, err := h.service.Invite(t.Context(), as(h.hedi), order(h.anna)); err != nil {
		t.Errorf("somebody else: %v", err)
	}
	h.Clock.Advance(time.Hour)
	if _, _, err := h.service.Invite(t.Context(), as(h.hugo), order(h.anna)); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}

// TestA4_Invite: no code for oneself, and none by those who may not.
func TestA4_Invite(t *testing.T) {
	h := newHelpdesk(t)
	tests := []struct {
		name          string
		actor, target portal.Person
		why           authz.Reason
	}{
		{"helpdesk for oneself", h.hugo, h.hugo, authz.ReasonSelf},
		{"administrator for oneself", h.ada, h.ada, authz.ReasonSelf},
		{"helpdesk for helpdesk", h.hugo, h.hedi, authz.ReasonStaff},
		{"helpdesk for an auditor", h.hugo, h.wei, authz.ReasonStaff},
		{"helpdesk for an administrator", h.hugo, h.ada, authz.ReasonStaff},
		{"auditor", h.wei, h.anna, authz.ReasonRole},
		{"employee", h.anna, h.hugo, authz.ReasonRole},
	}
	for n, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, code, err := h.service.Invite(t.Context(), as(tt.actor), order(tt.target))
			wantDenied(t, err, tt.why)
			refused := fixture.EntriesOf(t, h.DB, audit.InvitationRefused)
			if code != "" || len(refused) != n+1 || refused[n].Detail["reason"] != string(tt.why) ||
				refused[n].Actor != string(tt.actor.ID) || refused[n].Person != string(tt.target.ID) {
				t.Errorf("code %q, ledger %+v", code, refused)
			}
		})
	}
	for _, target := range []portal.Person{h.hugo, h.adam, h.wei} {
		if _, _, err := h.service.Invite(t.Context(), as(h.ada), order(target)); err != nil {
			t.Errorf("administrator for %s: %v", target.Login, err)
		}
	}
}

// TestA4_SecondApprover: the code is invalid until another staff member approves it.
func TestA4_SecondApprover(t *testing.T) {
	h := newHelpdesk(t, func(c *helpdesk.Config) { c.SecondApprover = true })
	i, shown, err := h.service.Invite(t.Context(), as(h.hugo), order(h.anna))
	if err != nil || i.State != signin.InvitationWaiting {
		t.Fatalf("got %s, %v", i.State, err)
	}
	code := h.mailed.code
	if shown != "" || code == "" || h.mailed.to != h.anna.ID || !h.mailed.waiting {
		t.Errorf("its maker sees %q; mailed %+v", shown, h.mailed)
	}
	person := portal.Actor{Person: h.anna.ID, Role: portal.Employee, Address: "192.0.2.9"}
	var gone *signin.CodeGone
	if _, err := h.SignIn.OpenInvitation(t.Context(), code, person); !errors.As(err, &gone) || gone.State != signin.InvitationWaiting {
		t.Errorf("before: got %v", err)
	}
	waiting := testkit.Must(h.service.Waiting(t.Context(), as(h.hugo)))(t)
	if len(waiting) != 1 || !waiting[0].Mine || waiting[0].Person != "Anna Schmidt" || waiting[0].MadeBy != "Hugo Weber" {
		t.Errorf("waiting: got %+v", waiting)
	}
	_, err = h.service.Approve(t.Context(), as(h.hugo), i.ID)
	wantDenied(t, err, authz.ReasonSame)
	for _, who := range []portal.Person{h.anna, h.wei} {
		_, err = h.service.Approve(t.Context(), as(who), i.ID)
		wantDenied(t, err, authz.ReasonRole)
		_, err = h.service.Waiting(t.Context(), as(who))
		wantDenied(t, err, authz.ReasonRole)
	}
	if _, err := h.service.Approve(t.Context(), as(h.hedi), i.ID); err != nil {
		t.Fatal(err)
	}
	if opened, err := h.SignIn.OpenInvitation(t.Context(), code, person); err != nil || opened.Approver != h.hedi.ID {
		t.Errorf("after: got %+v, %v", opened, err)
	}
	if _, err := h.service.Approve(t.Context(), as(h.ada), i.ID); !errors.Is(err, portal.ErrConflict) {
		t.Errorf("twice: got %v", err)
	}
	if e := fixture.EntriesOf(t, h.DB, audit.InvitationApproved); len(e) != 1 || e[0].Actor != string(h.hedi.ID) || e[0].Detail["by"] != string(h.hugo.ID) || e[0].Detail["code"] != signin.CodeMailed ||
		e[0].Detail["expires"] != "2026-11-23T12:00:00Z" {
		t.Errorf("ledger: got %+v", e)
	}
	if e := fixture.EntriesOf(t, h.DB, audit.AccessRefused); len(e) != 5 {
		t.Errorf("got %d denials in the ledger, want 5", len(e))
	}
}

// TestA4_CodeAloneIsMailed: no staff ever hold a code that replaces a password, or any
// other where such codes exist.
func TestA4_CodeAloneIsMailed(t *testing.T) {
	h := newHelpdesk(t, func(c *helpdesk.Config) { c.CodeAlone = true })
	for _, check := range []signin.Check{signin.CheckInPerson, signin.CheckVideo} {
		o := order(h.anna)
		o.Check, h.mailed = check, mailbox{}
		i, shown, err := h.service.Invite(t.Context(), as(h.hugo), o)
		if err != nil || shown != "" || i.Alone != (check == signin.CheckInPerson) {
			t.Errorf("%s: got %q, alone %v, %v", check, shown, i.Alone, err)
		}
		if h.mailed.to != h.anna.ID || h.mailed.code == "" || h.mailed.waiting {
			t.Errorf("%s: mailed %+v", check, h.mailed)
		}
	}
	h.people.change = func(p *portal.Person) { p.Mail = "" }
	var refusal *portal.Refusal
	if _, _, err := h.service.Invite(t.Context(), as(h.hugo), order(h.anna)); !errors.As(err, &refusal) || refusal.Reason != portal.CodeNoMail {
		t.Errorf("without an address: got %v", err)
	}
	if n := len(fixture.EntriesOf(t, h.DB, audit.InvitationMade)); n != 2 {
		t.Errorf("%d codes made, want 2", n)
	}
}

// A code is not approved when its maker could not make it any more.
func TestA11_ApproveAfterItsMakerLeft(t *testing.T) {
	h := newHelpdesk(t, func(c *helpdesk.Config) { c.SecondApprover = true })
	i, _, err := h.service.Invite(t.Context(), as(h.hugo), order(h.anna))
	if err != nil {
		t.Fatal(err)
	}
	h.people.change = func(p *portal.Person) { p.Disabled = p.ID == h.hugo.ID }
	if _, err := h.service.Approve(t.Context(), as(h.hedi), i.ID); !errors.Is(err, portal.ErrConflict) {
		t.Errorf("got %v", err)
	}
	h.people.change = func(p *portal.Person) { p.Protected = p.ID == h.anna.ID }
	_, err = h.service.Approve(t.Context(), as(h.hedi), i.ID)
	wantDenied(t, err, authz.ReasonProtected)
}

// TestA3_DirectoryFails: without an answer nothing is allowed.
func TestA3_DirectoryFails(t *testing.T) {
	h := newHelpdesk(t)
	device := h.device(h.anna, "iPhone")
	h.people.err = errors.New("no server answers")
	var outage *portal.Outage
	_, _, err := h.service.Invite(t.Context(), as(h.hugo), order(h.anna))
	if !errors.As(err, &outage) || outage.Part != portal.PartDirectory {
		t.Errorf("code: got %v", err)
	}
	_, err = h.service.Block(t.Context(), as(h.hugo), helpdesk.BlockRequest{Person: h.anna.ID, Device: device, Cause: portal.Lost, Check: signin.CheckVideo})
	if !errors.As(err, &outage) {
		t.Errorf("block: got %v", err)
	}
	if _, err = h.service.PersonDetails(t.Context(), as(h.hugo), h.anna.ID); !errors.As(err, &outage) {
		t.Errorf("details: got %v", err)
	}
	all := slices.Concat(fixture.EntriesOf(t, h.DB, audit.InvitationMade), fixture.EntriesOf(t, h.DB, audit.CertificateRevoked), fixture.EntriesOf(t, h.DB, audit.PersonRead))
	if len(all) != 0 {
		t.Errorf("done without the directory: %v", all)
	}
}
