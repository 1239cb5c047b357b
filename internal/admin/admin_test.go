package admin_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/authz"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
	"certportal/store/seed"
)

// harness is a service over a database with sample data.
type harness struct {
	*admin.Service
	db    *store.DB
	now   time.Time
	lists int // requested CRL updates
}

func newHarness(t *testing.T, certificates, secondPerson int) *harness {
	t.Helper()
	db := fixture.Store(t)
	body := func(int) (seed.Template, error) { return seed.Template{DER: []byte("x")}, nil }
	if err := seed.Fill(t.Context(), db, seed.Config{Certificates: certificates, Now: testkit.Noon, Template: body}); err != nil {
		t.Fatal(err)
	}
	d := &harness{db: db, now: testkit.Noon}
	d.Service = testkit.Must(admin.New(admin.Config{
		Store: db, SecondPerson: secondPerson, Now: func() time.Time { return d.now }, Revoked: func() { d.lists++ },
	}))(t)
	return d
}

func actor(id string, roles ...portal.Role) portal.Actor {
	p := portal.Person{ID: portal.PersonID(id), Name: strings.ToUpper(id), Roles: roles}
	return portal.Actor{Person: p.ID, Record: &p, Address: "192.0.2.7", Request: "r1"}
}

func ada() portal.Actor { return actor("ada", portal.Admin) }
func eve() portal.Actor { return actor("eve", portal.Admin) }

func lost() admin.Grounds { return admin.Grounds{Cause: portal.Lost, Comment: "left in a taxi"} }

func (d *harness) find(t *testing.T, f admin.Filter) []admin.Certificate {
	t.Helper()
	found, err := d.Certificates(t.Context(), ada(), f, admin.Cursor{})
	if err != nil {
		t.Fatal(err)
	}
	return found.Rows
}

func wantRefusal(t *testing.T, doing string, err error, reason portal.Reason) {
	t.Helper()
	var refusal *portal.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != reason {
		t.Errorf("%s: got error %v, want refusal %s", doing, err, reason)
	}
}

func wantDenied(t *testing.T, doing string, err error, why authz.Reason) {
	t.Helper()
	if got := authz.ReasonOf(err); got != why {
		t.Errorf("%s: got %q (%v), want %q", doing, got, err, why)
	}
}

func TestRevokeCertificate(t *testing.T) {
	d := newHarness(t, 60, 0)
	c := d.find(t, admin.Filter{State: admin.Working})[0]
	ended, _, err := d.RevokeCertificate(t.Context(), ada(), c.Serial, lost())
	if err != nil || len(ended) != 1 || d.lists != 1 {
		t.Fatalf("got %v, error %v, %d lists", ended, err, d.lists)
	}
	detail, err := d.Certificate(t.Context(), ada(), c.Serial)
	if err != nil || detail.State != admin.Revoked || detail.Cause != portal.Lost || detail.Reason != 1 {
		t.Errorf("certificate after: %+v, error %v", detail.Certificate, err)
	}
	last := fixture.EntriesOf(t, d.db, audit.CertificateRevoked)
	e := last[len(last)-1]
	if e.Actor != "ada" || e.Role != "admin" || e.Person != string(c.Person) || e.Detail["comment"] != "left in a taxi" || e.Detail["cause"] != "lost" {
		t.Errorf("entry: %+v", e)
	}
	again, _, err := d.RevokeCertificate(t.Context(), eve(), c.Serial, lost())
	if err != nil || len(again) != 0 {
		t.Errorf("the second administrator: got %v, error %v", again, err)
	}
}

func TestGrounds(t *testing.T) {
	cases := []struct {
		name string
		g    admin.Grounds
		want portal.Reason
	}{
		{"no cause", admin.Grounds{Comment: "x"}, portal.CauseBad},
		{"a cause of the portal's own", admin.Grounds{Cause: portal.Abandoned, Comment: "x"}, portal.CauseBad},
		{"no comment", admin.Grounds{Cause: portal.Lost, Comment: " \t\n"}, portal.CommentEmpty},
		{"long comment", admin.Grounds{Cause: portal.Lost, Comment: strings.Repeat("ü", 201)}, portal.CommentLong},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.g.Check()
			wantRefusal(t, "checking", err, c.want)
		})
	}
	g, err := admin.Grounds{Cause: portal.Lost, Comment: " a\r\nb\x00 " + strings.Repeat("ü", 196)}.Check()
	if err != nil || !strings.HasPrefix(g.Comment, "a b ü") {
		t.Errorf("cleaned: got %q, error %v", g.Comment, err)
	}
}

// Acts of auditors, helpdesk and employees are refused and recorded, and change nothing
// (attack A10).
func TestA10_OnlyAdministratorsAct(t *testing.T) {
	d := newHarness(t, 60, 0)
	c := d.find(t, admin.Filter{State: admin.Working})[0]
	acts := map[string]func(portal.Actor) error{
		"revoke certificate": func(a portal.Actor) error {
			_, _, err := d.RevokeCertificate(t.Context(), a, c.Serial, lost())
			return err
		},
		"revoke device": func(a portal.Actor) error { _, _, err := d.RevokeDevice(t.Context(), a, c.Device, lost()); return err },
		"revoke person": func(a portal.Actor) error { _, _, err := d.RevokePerson(t.Context(), a, c.Person, lost()); return err },
		"order": func(a portal.Actor) error {
			_, err := d.CreateBulk(t.Context(), a, admin.Filter{State: admin.Working})
			return err
		},
		"halt":    func(a portal.Actor) error { _, err := d.Halt(t.Context(), a, map[string]string{"": "x"}); return err },
		"resume":  func(a portal.Actor) error { _, err := d.Resume(t.Context(), a); return err },
		"publish": func(a portal.Actor) error { _, err := d.PublishNow(t.Context(), a, "issuing"); return err },
		"test":    func(a portal.Actor) error { return d.TestIssue(t.Context(), a) },
		"check":   func(a portal.Actor) error { return d.RunChecks(t.Context(), a, admin.AddressGroup) },
	}
	reads := map[string]func(portal.Actor) error{
		"search": func(a portal.Actor) error {
			_, err := d.Certificates(t.Context(), a, admin.Filter{}, admin.Cursor{})
			return err
		},
		"devices": func(a portal.Actor) error {
			_, err := d.Devices(t.Context(), a, admin.Filter{}, admin.Cursor{})
			return err
		},
		"detail":   func(a portal.Actor) error { _, err := d.Certificate(t.Context(), a, c.Serial); return err },
		"overview": func(a portal.Actor) error { _, err := d.Overview(t.Context(), a); return err },
		"authority": func(a portal.Actor) error {
			_, err := d.Authority(t.Context(), a)
			if errors.Is(err, portal.ErrNotFound) {
				return nil // there is none in this test
			}
			return err
		},
		"orders": func(a portal.Actor) error { _, err := d.Bulks(t.Context(), a, 0, 10); return err },
		"export": func(a portal.Actor) error { return d.NoteExport(t.Context(), a, "certificates", admin.Filter{}) },
	}
	auditor, helpdesk, employee := actor("aud", portal.Auditor), actor("help", portal.Helpdesk), actor("emp")
	refused := 0
	for name, act := range acts {
		for _, a := range []portal.Actor{auditor, helpdesk, employee, {}} {
			if err := act(a); authz.ReasonOf(err) == "" {
				t.Errorf("%s by %q: got error %v, want a refusal", name, a.Person, err)
			}
			refused++
		}
	}
	for name, read := range reads {
		if err := read(auditor); err != nil {
			t.Errorf("%s by the auditor: %v", name, err)
		}
		for _, a := range []portal.Actor{helpdesk, employee, {}} {
			if err := read(a); authz.ReasonOf(err) == "" {
				t.Errorf("%s by %q: got error %v, want a refusal", name, a.Person, err)
			}
			refused++
		}
	}
	denied := fixture.EntriesOf(t, d.db, audit.AccessRefused)
	if len(denied) < refused {
		t.Errorf("refusals in the ledger: got %d, want %d", len(denied), refused)
	}
	if after := d.find(t, admin.Filter{Serial: c.Serial.String()}); after[0].State != admin.Working {
		t.Errorf("the certificate is %s", after[0].State)
	}
}

func TestOrderWaitsForSecondAdministrator(t *testing.T) {
	d := newHarness(t, 400, 20)
	ctx := t.Context()
	f := admin.Filter{State: admin.Working}
	o, err := d.CreateBulk(ctx, ada(), f)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.RunBulks(ctx); err != nil {
		t.Fatal(err)
	}
	o, err = d.Bulk(ctx, ada(), o.ID)
	if err != nil || o.State != admin.Draft || o.Items < 100 {
		t.Fatalf("draft: %+v, error %v", o, err)
	}
	_, err = d.ConfirmBulk(ctx, ada(), o.ID, o.Items-1, lost())
	wantRefusal(t, "a wrong number", err, portal.CountWrong)
	_, err = d.ConfirmBulk(ctx, eve(), o.ID, o.Items, lost())
	if !errors.Is(err, portal.ErrNotFound) {
		t.Errorf("confirmed by another: got error %v", err)
	}
	_, err = d.ApproveBulk(ctx, eve(), o.ID)
	if !errors.Is(err, portal.ErrConflict) {
		t.Errorf("approved before it was confirmed: got error %v", err)
	}
	o, err = d.ConfirmBulk(ctx, ada(), o.ID, o.Items, lost())
	if err != nil || o.State != admin.Waiting {
		t.Fatalf("confirmed: %s, error %v", o.State, err)
	}
	if err := d.RunBulks(ctx); err != nil {
		t.Fatal(err)
	}
	if left := len(d.find(t, f)); left != admin.PageSize {
		t.Fatalf("certificates ended before anybody agreed: %d left on the first page", left)
	}
	_, err = d.ApproveBulk(ctx, ada(), o.ID)
	wantDenied(t, "approved by its maker", err, authz.ReasonSame)
	_, err = d.ApproveBulk(ctx, actor("aud", portal.Auditor), o.ID)
	wantDenied(t, "approved by the auditor", err, authz.ReasonRole)
	if o, err = d.ApproveBulk(ctx, eve(), o.ID); err != nil || o.State != admin.Running {
		t.Fatalf("approved: %s, error %v", o.State, err)
	}
	if err := d.RunBulks(ctx); err != nil {
		t.Fatal(err)
	}
	o, err = d.Bulk(ctx, ada(), o.ID)
	if err != nil || o.State != admin.Done || o.Revoked != o.Items || o.Approver != "eve" {
		t.Errorf("done: %+v, error %v", o, err)
	}
	if left := d.find(t, f); len(left) != 0 {
		t.Errorf("working certificates left: %d", len(left))
	}
	if d.lists == 0 {
		t.Error("no revocation list was asked for")
	}
}

// TestA11_UnprovenOrderIsDropped: a bulk revocation that this portal did not record
// revokes nothing and ends, and does not keep others from running.
func TestA11_UnprovenOrderIsDropped(t *testing.T) {
	d := newHarness(t, 400, 1000)
	ctx := t.Context()
	start := func() admin.BulkRevocation {
		t.Helper()
		o := testkit.Must(d.CreateBulk(ctx, ada(), admin.Filter{State: admin.Working}))(t)
		testkit.NoError(t, d.RunBulks(ctx))
		o = testkit.Must(d.Bulk(ctx, ada(), o.ID))(t)
		return testkit.Must(d.ConfirmBulk(ctx, ada(), o.ID, o.Items, lost()))(t)
	}
	d.db.UseSecret(portal.Secret{9})
	planted := start()
	d.db.UseSecret(fixture.Secret())
	testkit.NoError(t, d.RunBulks(ctx))
	got := testkit.Must(d.Bulk(ctx, ada(), planted.ID))(t)
	if planted.State != admin.Running || got.State != admin.Dropped || got.Revoked != 0 {
		t.Errorf("planted as %s: is %s, revoked %d", planted.State, got.State, got.Revoked)
	}
	dropped := fixture.EntriesOf(t, d.db, audit.BulkDropped)
	if len(dropped) != 1 || dropped[0].Actor != "system" || dropped[0].Object != planted.ID || dropped[0].Detail["reason"] != "unproven" {
		t.Errorf("audit log: %+v", dropped)
	}
	own := start()
	testkit.NoError(t, d.RunBulks(ctx))
	if got := testkit.Must(d.Bulk(ctx, ada(), own.ID))(t); got.State != admin.Done || got.Revoked != own.Items {
		t.Errorf("own: is %s, revoked %d of %d", got.State, got.Revoked, own.Items)
	}
}

func TestSmallOrderRunsAtOnce(t *testing.T) {
	d := newHarness(t, 60, 20)
	o, err := d.CreateBulk(t.Context(), ada(), admin.Filter{PersonID: "seed3", State: admin.Working})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.RunBulks(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o, err = d.Bulk(t.Context(), ada(), o.ID); err != nil || o.Items == 0 {
		t.Fatalf("draft: %+v, error %v", o, err)
	}
	if o, err = d.ConfirmBulk(t.Context(), ada(), o.ID, o.Items, lost()); err != nil || o.State != admin.Running {
		t.Errorf("confirmed: %s, error %v", o.State, err)
	}
	_, err = d.CreateBulk(t.Context(), ada(), admin.Filter{})
	wantRefusal(t, "an order over everything", err, portal.FilterEmpty)
}

func TestRevokePerson(t *testing.T) {
	d := newHarness(t, 60, 1)
	holder := portal.PersonID("")
	held := map[portal.PersonID]int{}
	for _, c := range d.find(t, admin.Filter{State: admin.Working}) {
		if held[c.Person]++; held[c.Person] == 2 {
			holder = c.Person
		}
	}
	ended, o, err := d.RevokePerson(t.Context(), ada(), holder, lost())
	if err != nil || len(ended) != 0 || o == nil || o.State != admin.Waiting || o.Items != held[holder] {
		t.Fatalf("more than one alone: got %v, %+v, error %v", ended, o, err)
	}
	ended, o, err = d.RevokePerson(t.Context(), portal.Operator(), holder, lost())
	if err != nil || len(ended) != held[holder] || o != nil {
		t.Errorf("by the operator: got %v, %+v, error %v", ended, o, err)
	}
}

func TestOrderLapses(t *testing.T) {
	d := newHarness(t, 60, 1)
	o, err := d.CreateBulk(t.Context(), ada(), admin.Filter{State: admin.Working})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.RunBulks(t.Context()); err != nil {
		t.Fatal(err)
	}
	o, _ = d.Bulk(t.Context(), ada(), o.ID)
	if o, err = d.ConfirmBulk(t.Context(), ada(), o.ID, o.Items, lost()); err != nil {
		t.Fatal(err)
	}
	d.now = testkit.Noon.Add(admin.BulkLife)
	if _, err := d.ApproveBulk(t.Context(), eve(), o.ID); !errors.Is(err, portal.ErrConflict) {
		t.Errorf("approved after a day: got error %v", err)
	}
	if err := d.RunBulks(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o, _ = d.Bulk(t.Context(), ada(), o.ID); o.State != admin.Lapsed {
		t.Errorf("after a day: got %s", o.State)
	}
	dropped, err := d.CreateBulk(t.Context(), ada(), admin.Filter{State: admin.Working})
	if err != nil {
		t.Fatal(err)
	}
	if dropped, err = d.DropBulk(t.Context(), eve(), dropped.ID); err != nil || dropped.State != admin.Dropped {
		t.Errorf("dropped: %s, error %v", dropped.State, err)
	}
}

func TestHalt(t *testing.T) {
	d := newHarness(t, 20, 0)
	_, err := d.Halt(t.Context(), ada(), map[string]string{"": "  ", "de": "Bis vier geschlossen"})
	wantRefusal(t, "no text for all", err, portal.CommentEmpty)
	_, err = d.Halt(t.Context(), ada(), map[string]string{"": "x", "de": strings.Repeat("x", admin.MaxComment+1)})
	wantRefusal(t, "long text", err, portal.CommentLong)
	h, err := d.Halt(t.Context(), ada(), map[string]string{"": "Closed until four", "de": " "})
	if err != nil || !h.On() {
		t.Fatalf("got %+v, error %v", h, err)
	}
	o, err := d.Overview(t.Context(), actor("aud", portal.Auditor))
	if err != nil || o.Halt.Reason != "Closed until four" || o.Stats.Working == 0 {
		t.Errorf("overview: %+v, error %v", o, err)
	}
	if changed, err := d.Resume(t.Context(), eve()); err != nil || !changed {
		t.Errorf("resumed: %v, error %v", changed, err)
	}
	if len(fixture.EntriesOf(t, d.db, audit.IssuingHalted)) != 1 || len(fixture.EntriesOf(t, d.db, audit.IssuingResumed)) != 1 {
		t.Error("the ledger does not tell of both")
	}
}

func TestExportIsWhole(t *testing.T) {
	d := newHarness(t, 2500, 0)
	rows := 0
	err := d.EachCertificate(t.Context(), ada(), admin.Filter{}, func(admin.Certificate) error { rows++; return nil })
	if err != nil || rows != 2500 {
		t.Errorf("got %d rows, error %v", rows, err)
	}
	enough := errors.New("enough")
	if err := d.EachDevice(t.Context(), ada(), admin.Filter{}, func(admin.Device) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("a reader who leaves: got error %v", err)
	}
}
