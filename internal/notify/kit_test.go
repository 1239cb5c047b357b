package notify_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/notify"
	"certportal/internal/portal"
	"certportal/internal/test/smtpserver"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
	"certportal/store"
)

const anna portal.PersonID = "anna"

// roster is a directory with the people that a test adds; with nil it does not answer.
type roster struct {
	mu     sync.Mutex
	people map[portal.PersonID]portal.Person
	asked  int
	hidden map[portal.PersonID]bool // their entries cannot be read
}

var errDirectoryDown = errors.New("no answer from the directory")

func (r *roster) People(_ context.Context, ids []portal.PersonID) ([]portal.Person, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	if r.people == nil {
		return nil, errDirectoryDown
	}
	var found []portal.Person
	var bad portal.UnreadableError
	for _, id := range ids {
		p, ok := r.people[id]
		switch {
		case ok && r.hidden[id]:
			bad.People = append(bad.People, portal.Unreadable{Person: portal.Person{ID: id}, Err: errors.New("no right")})
		case ok:
			found = append(found, p)
		}
	}
	if len(bad.People) > 0 {
		return found, &bad
	}
	return found, nil
}

// put adds or changes people.
func (r *roster) put(people ...portal.Person) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.people == nil {
		r.people = make(map[portal.PersonID]portal.Person)
	}
	for _, p := range people {
		r.people[p.ID] = p
	}
}

func (r *roster) down() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.people = nil
}

func named(id portal.PersonID, name string) portal.Person {
	return portal.Person{ID: id, Name: name, UPN: string(id) + "@corp.example", Mail: string(id) + "@corp.example"}
}

// harness is a notifier over a database and a mail server, with a clock that the test
// moves.
type harness struct {
	*notify.Notifier
	t      testing.TB
	db     *store.DB
	people *roster
	server *smtpserver.Server
	clock  *testkit.Clock
	log    *testkit.Log
}

// open makes a harness; change, if not nil, alters its settings.
func open(t testing.TB, change func(*notify.Config, *notify.ServerConfig)) *harness {
	t.Helper()
	server := smtpserver.Start(t, smtpserver.Config{})
	d := &harness{
		t: t, db: fixture.Store(t), people: &roster{}, server: server, clock: testkit.NewClock(), log: testkit.NewLog(t),
	}
	d.people.put(named(anna, "Anna Schmidt"), named("bob", "Bob Brown"))
	d.Notifier = d.replica(change)
	return d
}

// replica makes one more notifier over the same database.
func (d *harness) replica(change func(*notify.Config, *notify.ServerConfig)) *notify.Notifier {
	d.t.Helper()
	s := notify.ServerConfig{
		Host: d.server.Host(), Port: d.server.Port(), Roots: d.server.Roots(), Timeout: 5 * time.Second,
		From: "Corp Certificates <portal@corp.example>", Hello: "portal.corp.example",
	}
	c := notify.Config{
		Store: d.db, Directory: d.people, Org: "Corp", HelpdeskPhone: "+49 30 1234-0", HelpdeskHours: "8 to 17",
		PublicURL: &url.URL{Scheme: "https", Host: "portal.corp.example"}, Location: time.UTC,
		Now: d.clock.Now, Log: d.log.Logger(),
	}
	if change != nil {
		change(&c, &s)
	}
	server, err := notify.NewServer(s)
	if err != nil {
		d.t.Fatal(err)
	}
	c.Server = server
	replica, err := notify.New(c)
	if err != nil {
		d.t.Fatal(err)
	}
	return replica
}

// write collects everything.
func (d *harness) write() {
	d.t.Helper()
	for {
		more, err := d.Collect(d.t.Context())
		if err != nil {
			d.t.Fatal(err)
		}
		if !more {
			return
		}
	}
}

// send sends what is due and returns all mails that the server accepted so far.
func (d *harness) send() []smtpserver.Mail {
	d.t.Helper()
	if err := d.Deliver(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
	return d.server.Mails()
}

func (d *harness) state() notify.State {
	d.t.Helper()
	state, err := d.State(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	return state
}

func (d *harness) note(e audit.Entry) {
	d.t.Helper()
	if err := d.db.Note(d.t.Context(), e); err != nil {
		d.t.Fatal(err)
	}
}

// entry returns an audit entry of a person at the current time.
func (d *harness) entry(action audit.Action, person portal.PersonID, detail ...string) audit.Entry {
	e := audit.Entry{
		At: d.clock.Now(), Action: action, Actor: string(person), Role: "employee", Person: string(person),
		Request: rand.Text(), Detail: map[string]string{},
	}
	for i := 0; i+1 < len(detail); i += 2 {
		e.Detail[detail[i]] = detail[i+1]
	}
	return e
}

// issue records a certificate with a lifetime on a new device.
func (d *harness) issue(person portal.PersonID, device string, life time.Duration) ca.Serial {
	d.t.Helper()
	return d.issueOn(portal.DeviceID(strings.ToLower(rand.Text())), true, person, device, life)
}

func (d *harness) issueOn(id portal.DeviceID, fresh bool, person portal.PersonID, device string, life time.Duration) ca.Serial {
	d.t.Helper()
	serial := fixture.NewSerial(d.t)
	now := d.clock.Now()
	certificate := fixture.SelfSigned(d.t, serial, now, now.Add(life))
	err := d.db.Reserve(d.t.Context(), enroll.Reservation{
		Serial: serial, Kind: portal.KindUser, Profile: "User", Subject: ca.Subject{UPN: string(person) + "@corp.example"},
		PublicKey: sha256.Sum256(certificate.RawSubjectPublicKeyInfo), NotBefore: now, NotAfter: now.Add(life), Requested: now,
		Person: person, NewDevice: fresh, Quota: 500, Idempotent: rand.Text(),
		Device: portal.Device{ID: id, Person: person, Name: device, Platform: portal.IOS, Created: now},
		Entry:  d.entry(audit.CertificateReserved, person),
	})
	if err != nil {
		d.t.Fatal(err)
	}
	err = d.db.Complete(d.t.Context(), enroll.Completion{
		Serial: serial, Certificate: certificate, At: now, Delivered: true, Entry: d.entry(audit.CertificateIssued, person),
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return serial
}

// revoke revokes certificates in one act of a role.
func (d *harness) revoke(cause portal.Cause, role portal.Role, actor string, serials ...ca.Serial) {
	d.t.Helper()
	_, err := d.db.Revoke(d.t.Context(), enroll.Revocation{
		Serials: serials, Cause: cause, At: d.clock.Now(),
		Entry: audit.Entry{At: d.clock.Now(), Actor: actor, Role: string(role), Request: rand.Text()},
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

// only returns the single mail to an address.
func only(t testing.TB, mails []smtpserver.Mail, to string) smtpserver.Message {
	t.Helper()
	var found []smtpserver.Mail
	for _, m := range mails {
		if fmt.Sprint(m.To) == "["+to+"]" {
			found = append(found, m)
		}
	}
	if len(found) != 1 {
		t.Fatalf("got %d mails to %s of %d in all, want one", len(found), to, len(mails))
	}
	return found[0].Read(t)
}
