package helpdesk_test

import (
	"errors"
	"fmt"
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

func TestFind(t *testing.T) {
	h := newHelpdesk(t)
	h.device(h.anna, "Phone of the reception")
	serial := testkit.Must(h.Registrar.Devices(t.Context(), h.anna.ID))(t)[0].Certificate.Serial.String()
	tests := []struct {
		name, query, want string
	}{
		{"name", "Anna", "[Anna Schmidt]"},
		{"login", "hugo", "[Hugo Weber]"},
		{"mail", "wei@corp", "[李伟]"},
		{"han", "李伟", "[李伟]"},
		{"device", "phone of", "[Anna Schmidt: Phone of the reception]"},
		{"serial", serial, "[Anna Schmidt: Phone of the reception]"},
		{"short", "a", "[]"},
		{"blanks", "   a  ", "[]"},
		{"long", strings.Repeat("anna ", 50), "[]"},
		{"nobody", "zz", "[]"},
		{"filter", "*)(objectClass=*", "[]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found, more, err := h.service.Find(t.Context(), as(h.hugo), tt.query)
			if err != nil || more {
				t.Fatalf("got more %v, %v", more, err)
			}
			names := []string{}
			for _, m := range found {
				name := m.Person.Name
				if m.Device != "" {
					name += ": " + m.Device
				}
				names = append(names, name)
			}
			if got := fmt.Sprint(names); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	for n := range helpdesk.MaxFound + 1 {
		h.add(fmt.Sprint("zoe", n), fmt.Sprint("Zoe ", n))
	}
	found, more, err := h.service.Find(t.Context(), as(h.wei), "zoe")
	if err != nil || !more || len(found) != helpdesk.MaxFound {
		t.Errorf("got %d, more %v, %v", len(found), more, err)
	}
	_, _, err = h.service.Find(t.Context(), as(h.anna), "anna")
	wantDenied(t, err, authz.ReasonRole)
}

func TestPersonDetails(t *testing.T) {
	h := newHelpdesk(t)
	h.device(h.anna, "iPhone")
	i, _, err := h.service.Invite(t.Context(), as(h.hugo), order(h.anna))
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.SignIn.OpenInvitation(t.Context(), "AAAABBBBCCCC", portal.Actor{Person: h.anna.ID, Role: portal.Employee})
	var wrong *signin.WrongCode
	if !errors.As(err, &wrong) {
		t.Fatalf("got %v", err)
	}
	d := testkit.Must(h.service.PersonDetails(t.Context(), as(h.hugo), h.anna.ID))(t)
	if d.Person.Name != "Anna Schmidt" || d.Refusal != nil || len(d.Devices) != 1 || d.Invitation.ID != i.ID || d.InviteDenied != "" || d.BlockDenied != "" {
		t.Errorf("got %+v", d)
	}
	if len(d.Events) != 5 || d.Events[0].Action != audit.InvitationRefused || d.Names[string(h.hugo.ID)] != "Hugo Weber" {
		t.Errorf("events: got %v, names %v", d.Events, d.Names)
	}
	if len(d.Failed) != 1 || d.Failed[0].Detail["reason"] != "unknown" {
		t.Errorf("failed: got %v", d.Failed)
	}
	if e := fixture.EntriesOf(t, h.DB, audit.PersonRead); len(e) != 1 || e[0].Actor != string(h.hugo.ID) || e[0].Person != string(h.anna.ID) {
		t.Errorf("ledger: got %v", e)
	}
	h.people.change = func(p *portal.Person) { p.MayEnroll = false }
	d = testkit.Must(h.service.PersonDetails(t.Context(), as(h.wei), h.anna.ID))(t)
	if d.Refusal == nil || d.Refusal.Reason != portal.NotAllowed || d.InviteDenied != authz.ReasonRole || d.BlockDenied != authz.ReasonRole {
		t.Errorf("auditor: got %+v", d)
	}
	_, err = h.service.PersonDetails(t.Context(), as(h.anna), h.hugo.ID)
	wantDenied(t, err, authz.ReasonRole)
	if _, err = h.service.PersonDetails(t.Context(), as(h.hugo), "id-of-nobody"); !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("nobody: got %v", err)
	}
}

// Wrong passwords make no audit entry; the pause they cause is shown.
func TestPersonDetailsShowPause(t *testing.T) {
	h := newHelpdesk(t)
	if d := testkit.Must(h.service.PersonDetails(t.Context(), as(h.hugo), h.anna.ID))(t); !d.Paused.IsZero() {
		t.Errorf("paused until %s before any try", d.Paused)
	}
	key := testkit.Must(h.SignIn.AccountKey(t.Context(), " ANNA@corp.example"))(t)
	for range signin.DefaultTries + 1 {
		limit := signin.Limit{Tries: signin.DefaultTries, Window: signin.DefaultWindow, Rolling: true}
		testkit.Must(h.DB.Try(t.Context(), key, limit, h.Clock.Now()))(t)
	}
	d := testkit.Must(h.service.PersonDetails(t.Context(), as(h.hugo), h.anna.ID))(t)
	if want := h.Clock.Now().Add(signin.DefaultWindow); !d.Paused.Equal(want) || len(d.Failed) != 0 {
		t.Errorf("paused until %s, want %s; failed %v", d.Paused, want, d.Failed)
	}
	h.Clock.Advance(signin.DefaultWindow)
	if d := testkit.Must(h.service.PersonDetails(t.Context(), as(h.hugo), h.anna.ID))(t); !d.Paused.IsZero() {
		t.Errorf("paused until %s after the pause", d.Paused)
	}
}

func TestBlock(t *testing.T) {
	h := newHelpdesk(t)
	device := h.device(h.anna, "iPhone")
	b := helpdesk.BlockRequest{Person: h.anna.ID, Device: device, Cause: portal.Returned, Check: signin.CheckOther, Note: "gave it to me"}
	for name, change := range map[string]func(*helpdesk.BlockRequest){
		"cause of the portal's": func(b *helpdesk.BlockRequest) { b.Cause = portal.Left },
		"no check":              func(b *helpdesk.BlockRequest) { b.Check = "" },
		"no note":               func(b *helpdesk.BlockRequest) { b.Note = "" },
	} {
		wrong := b
		change(&wrong)
		var refusal *portal.Refusal
		if _, err := h.service.Block(t.Context(), as(h.hugo), wrong); !errors.As(err, &refusal) || refusal.Field == "" {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, id := range map[string]portal.DeviceID{"none": "", "unknown": "x", "somebody else's": h.device(h.ada, "Mac")} {
		wrong := b
		wrong.Device = id
		if _, err := h.service.Block(t.Context(), as(h.hugo), wrong); !errors.Is(err, portal.ErrNotFound) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if e := fixture.EntriesOf(t, h.DB, audit.CertificateRevoked); len(e) != 0 || h.Revoked.Load() != 0 {
		t.Fatalf("blocked by mistake: %v", e)
	}
	if _, err := h.service.Block(t.Context(), as(h.hugo), b); err != nil {
		t.Fatal(err)
	}
	d := testkit.Must(h.Registrar.Device(t.Context(), h.anna.ID, device))(t)
	if d.Certificate.Cause != portal.Returned || d.Blocked.IsZero() || h.Revoked.Load() != 1 {
		t.Errorf("got %+v", d)
	}
	e := fixture.EntriesOf(t, h.DB, audit.CertificateRevoked)
	if len(e) != 1 || e[0].Role != "helpdesk" || e[0].Detail["note"] != "gave it to me" || e[0].Person != string(h.anna.ID) {
		t.Errorf("ledger: got %+v", e)
	}
}

// TestA3_Block: helpdesk blocks no device of people with more rights.
func TestA3_Block(t *testing.T) {
	h := newHelpdesk(t)
	device := h.device(h.ada, "Mac")
	b := helpdesk.BlockRequest{Person: h.ada.ID, Device: device, Cause: portal.Lost, Check: signin.CheckInPerson}
	_, err := h.service.Block(t.Context(), as(h.hugo), b)
	wantDenied(t, err, authz.ReasonStaff)
	_, err = h.service.Block(t.Context(), as(h.wei), b)
	wantDenied(t, err, authz.ReasonRole)
	if len(fixture.EntriesOf(t, h.DB, audit.AccessRefused)) != 2 || len(fixture.EntriesOf(t, h.DB, audit.CertificateRevoked)) != 0 {
		t.Error("a denial is not in the ledger, or something was blocked")
	}
	if _, err := h.service.Block(t.Context(), as(h.adam), b); err != nil {
		t.Errorf("administrator: %v", err)
	}
}

func TestNew(t *testing.T) {
	h := newHelpdesk(t)
	for name, change := range map[string]func(*helpdesk.Config){
		"directory":         func(c *helpdesk.Config) { c.Directory = nil },
		"records":           func(c *helpdesk.Config) { c.Store = nil },
		"negative life":     func(c *helpdesk.Config) { c.CodeLife = -1 },
		"negative per hour": func(c *helpdesk.Config) { c.PerHour = -1 },
	} {
		c := h.config
		change(&c)
		if _, err := helpdesk.New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestA4_BlockPause: a stolen helpdesk account cannot block all devices, which takes
// two administrators.
func TestA4_BlockPause(t *testing.T) {
	h := newHelpdesk(t, func(c *helpdesk.Config) { c.PerHour = 1 })
	block := func(name string, actor portal.Person) error {
		t.Helper()
		_, err := h.service.Block(t.Context(), as(actor), helpdesk.BlockRequest{
			Person: h.anna.ID, Device: h.device(h.anna, name), Cause: portal.Lost, Check: signin.CheckCallback,
		})
		return err
	}
	for n := range 3 {
		if err := block(fmt.Sprint("Phone ", n), h.hugo); err != nil {
			t.Fatal(err)
		}
	}
	wantRefusal(t, block("Phone 3", h.hugo), portal.PausedInvites)
	if e := fixture.EntriesOf(t, h.DB, audit.InvitationPaused); len(e) != 1 || e[0].Detail["act"] != "device.block" {
		t.Errorf("ledger: got %v", e)
	}
	if err := block("Phone 4", h.hedi); err != nil {
		t.Errorf("somebody else: %v", err)
	}
}

// TestA11_BlockingOneByOne: an administrator who blocks at the helpdesk what they may not
// end alone is refused, and nothing ends.
func TestA11_BlockingOneByOne(t *testing.T) {
	h := newHelpdesk(t, func(c *helpdesk.Config) { c.SecondPerson = 2 })
	block := func(by portal.Person, name string) error {
		_, err := h.service.Block(t.Context(), as(by), helpdesk.BlockRequest{
			Person: h.anna.ID, Device: h.device(h.anna, name), Cause: portal.Lost, Check: signin.CheckInPerson,
		})
		return err
	}
	for _, name := range []string{"first", "second"} {
		if err := block(h.ada, name); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	var refusal *portal.Refusal
	if err := block(h.ada, "third"); !errors.As(err, &refusal) || refusal.Reason != portal.SecondPerson {
		t.Errorf("one more: got %v, want a refusal", err)
	}
	if got := fixture.Count(h.Entries(), audit.CertificateRevoked); got != 2 {
		t.Errorf("%d certificates ended, want 2", got)
	}
	if err := block(h.adam, "fourth"); err != nil {
		t.Errorf("another administrator: %v", err)
	}
	h.Clock.Advance(time.Hour + time.Second)
	if err := block(h.ada, "fifth"); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}
