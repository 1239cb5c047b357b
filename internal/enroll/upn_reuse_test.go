package enroll_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"testing"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// rename gives Anna another UPN, and her old one in other case to a new account.
func (p *testPortal) rename() portal.Person {
	p.T.Helper()
	err := p.DB.ChangeAccount(p.T.Context(), p.anna.ID, func(a *portal.Account) error {
		a.Login, a.UPN = "anna.smith", "anna.smith@corp.example"
		return nil
	}, audit.Entry{At: p.Clock.Now(), Action: "account.changed", Actor: "test"})
	testkit.NoError(p.T, err)
	next := fixture.NewPerson("anna2", fixture.SIDPrefix+"1102")
	next.Login, next.UPN = "anna", "Anna@corp.example"
	return p.AddPerson(next)
}

func TestA5_ANewOwnerOfTheUPNEndsTheOldCertificates(t *testing.T) {
	p := newPortal(t)
	phone := p.enroll("phone", "first")
	next := p.rename()
	tablet := p.enroll("tablet", "second") // under her new name
	p.wantStatus("a plain rename", phone, portal.Issued)
	nudges := p.Revoked.Load()

	theirs := p.MustEnroll(next, "phone", "third")
	c := p.device(phone.Device).Certificate
	testkit.Equal(t, "the old certificate", string(c.Status)+" "+string(c.Cause), "revoked reused")
	p.wantStatus("under her new name", tablet, portal.Issued)
	d := testkit.Must(p.Device(t.Context(), next.ID, theirs.Device))(t)
	testkit.Equal(t, "the new owner's", d.Certificate.Status, portal.Issued)
	testkit.Equal(t, "nudges", p.Revoked.Load(), nudges+1)
	testkit.Equal(t, "told", fixture.Last(t, p.Entries(), audit.UPNReused).Person, string(next.ID))
}

func TestA5_TheOldFileIsClosedAndTheDeletedAccountRevoked(t *testing.T) {
	p := newPortal(t)
	phone := p.enroll("phone", "first")
	testkit.NoError(t, p.People.Remove(t.Context(), "anna", audit.Entry{At: p.Clock.Now(), Actor: "test"}))
	again := fixture.NewPerson("anna", fixture.SIDPrefix+"1102")
	again.ID = "id-of-new-anna"
	next := p.AddPerson(again)
	p.MustEnroll(next, "phone", "second")
	p.wantStatus("of the deleted account", phone, portal.Revoked)
	_, err := p.OpenFile(t.Context(), p.token(phone))
	var gone *portal.Gone
	if !errors.As(err, &gone) {
		t.Errorf("old file: %v, want gone", err)
	}
}

// oracle is a directory that changes its mind: the answers to come, by person.
type oracle struct {
	portal.Directory
	answers map[portal.PersonID][]portal.Person
	err     error // instead of the answer for a person without any
}

func (o *oracle) Person(ctx context.Context, id portal.PersonID) (portal.Person, error) {
	if next := o.answers[id]; len(next) > 0 {
		o.answers[id] = next[1:]
		return next[0], nil
	}
	if o.err != nil {
		return portal.Person{}, o.err
	}
	return o.Directory.Person(ctx, id)
}

// Whose the UPN is, the directory says at the moment of revoking; in doubt the new
// certificate is refused, and nothing is revoked.
func TestA5_WithoutCertaintyTheNewCertificateIsRefused(t *testing.T) {
	cases := []struct {
		name    string
		prepare func(o *oracle, p *testPortal, next portal.Person)
		refused bool // or an outage
	}{
		{"both have it", func(o *oracle, p *testPortal, _ portal.Person) {
			o.answers[p.anna.ID] = []portal.Person{p.anna}
		}, true},
		{"the person lost it in between", func(o *oracle, p *testPortal, next portal.Person) {
			renamed := next
			renamed.UPN = "other@corp.example"
			o.answers[next.ID] = []portal.Person{next, renamed}
		}, true},
		{"the person's SID changed in between", func(o *oracle, p *testPortal, next portal.Person) {
			moved := next
			moved.SID = fixture.SIDPrefix + "1103"
			o.answers[next.ID] = []portal.Person{next, moved}
		}, true},
		{"the person was disabled in between", func(o *oracle, p *testPortal, next portal.Person) {
			disabled := next
			disabled.Disabled = true
			o.answers[next.ID] = []portal.Person{next, disabled}
		}, true},
		{"the other's entry cannot be read", func(o *oracle, p *testPortal, next portal.Person) {
			o.answers[next.ID] = []portal.Person{next, next}
			o.err = &portal.UnreadableError{People: []portal.Unreadable{{Person: p.anna, Err: io.ErrUnexpectedEOF}}}
		}, true},
		{"the other cannot be read", func(o *oracle, p *testPortal, next portal.Person) {
			o.answers[next.ID] = []portal.Person{next, next}
			o.err = io.ErrUnexpectedEOF
		}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := newPortal(t)
			phone := p.enroll("phone", "first")
			next := p.rename()
			o := &oracle{Directory: p.People, answers: map[portal.PersonID][]portal.Person{}}
			c.prepare(o, p, next)
			r := p.NewRegistrar(func(c *enroll.Config) { c.Directory = o })
			// With a key of its own, the request asks once before it reserves.
			_, err := r.EnrollKey(t.Context(), p.Request(next, "phone", "second"), testkit.ECKey(t).Public())
			var refusal *portal.Refusal
			var outage *portal.Outage
			if errors.As(err, &refusal) != c.refused || errors.As(err, &outage) == c.refused {
				t.Errorf("got %v", err)
			}
			if c.refused && refusal.Reason == portal.EntryUnread {
				t.Errorf("the person is refused for the entry of another: %v", err)
			}
			p.wantStatus("the old certificate", phone, portal.Issued)
			testkit.Equal(t, "devices of the new person", len(testkit.Must(p.Devices(t.Context(), next.ID))(t)), 0)
		})
	}
}

// A device that renews by SCEP takes the same way.
func TestA5_ARenewalByTheDeviceIsNoWayAround(t *testing.T) {
	p := keyPortal(t)
	c := p.challenge("Phone", "form")
	first := testkit.Must(p.Redeem(t.Context(), portal.Actor{}, c.Secret, testkit.ECKey(t).Public()))(t)
	next := p.rename()
	// The new owner's certificate, from before they got the UPN.
	earlier := next
	earlier.UPN = "anna2@corp.example"
	o := &oracle{Directory: p.People, answers: map[portal.PersonID][]portal.Person{next.ID: {earlier}}}
	r := p.NewRegistrar(func(c *enroll.Config) { c.Directory = o })
	theirs := testkit.Must(r.EnrollKey(t.Context(), p.Request(next, "phone", "theirs"), testkit.ECKey(t).Public()))(t)
	p.wantStatus("Anna's", enroll.Enrolment{Device: c.Device.ID, Serial: testkit.Must(ca.SerialOf(first.SerialNumber))(t)}, portal.Issued)

	p.Clock.Advance(310 * day)
	holder := testkit.Must(p.DB.Held(t.Context(), theirs.Serial))(t).Certificate
	testkit.Must(p.Renew(t.Context(), portal.Actor{}, testkit.Must(x509.ParseCertificate(holder.DER))(t), testkit.ECKey(t).Public()))(t)
	testkit.Equal(t, "Anna's", string(p.device(c.Device.ID).Certificate.Cause), string(portal.Reused))
}
