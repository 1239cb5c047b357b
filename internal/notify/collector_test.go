package notify_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/notify"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

const year = 365 * 24 * time.Hour

// Each kind of event makes exactly the messages it should.
func TestWhatMakesLetters(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		do   func(d *harness)
		want string // subjects by address, in order
	}{
		{"issued", func(d *harness) { d.issue(anna, "Anna's iPhone", year) },
			"anna: New certificate for Anna's iPhone"},
		{"sign-in", func(d *harness) { d.note(d.entry(audit.SignedIn, anna)) }, ""},
		{"code", func(d *harness) {
			d.note(d.entry(audit.InvitationMade, anna, "expires", testkit.Noon.Add(24*time.Hour).Format(time.RFC3339)))
		}, "anna: A pickup code was made for you"},
		{"code that waits", func(d *harness) { d.note(d.entry(audit.InvitationMade, anna, "state", "waiting")) }, ""},
		{"code approved", func(d *harness) { d.note(d.entry(audit.InvitationApproved, anna)) }, "anna: A pickup code was made for you"},
		{"removed by oneself", ended(portal.Removed, portal.Employee, "anna"), "anna: A device of yours is blocked"},
		{"lost, by helpdesk", ended(portal.Lost, portal.Helpdesk, "holly"), "anna: A device of yours is blocked"},
		{"a cause of a later version", ended("eaten", portal.Admin, "ada"), "anna: A device of yours is blocked"},
		{"never fetched", ended(portal.Undelivered, "system", "system"), ""},
		{"crashed", ended(portal.Abandoned, "system", "system"), ""},
		{"replaced", ended(portal.Replaced, portal.Employee, "anna"), ""},
		{"left", ended(portal.Left, "system", "system"), ""},
		{"left, says an administrator", ended(portal.Left, portal.Admin, "adam"), "anna: A device of yours is blocked"},
		{"replaced, says an administrator", ended(portal.Replaced, portal.Admin, "adam"), "anna: A device of yours is blocked"},
		{"name changed", func(d *harness) { d.marked("upn") },
			"anna: Your devices need a new certificate; root: 1 account differs from its certificates"},
		{"became protected", func(d *harness) { d.marked("protected") },
			"anna: Certificates on your devices will be blocked; root: 1 account differs from its certificates"},
		{"became protected, and keeps them", func(d *harness) {
			d.note(d.entry(audit.MismatchFound, anna, "change", "protected", "upn", "anna@corp.example", "keeps", "alarm"))
		}, "root: 1 account differs from its certificates"},
		{"protected, ended", ended(portal.Privileged, "system", "system"), "anna: A device of yours is blocked"},
		{"another account has the name", ended(portal.Reused, "system", "system"), "anna: A device of yours is blocked"},
		{"the name was another account's", func(d *harness) {
			d.note(d.entry(audit.UPNReused, anna, "change", "reused", "upn", "anna@corp.example"))
		}, "anna: Your account name belonged to another account; root: 1 account differs from its certificates"},
		{"the name is that of no person", func(d *harness) {
			d.note(audit.Entry{At: d.clock.Now(), Action: audit.UPNReused, Actor: "system", Detail: map[string]string{"change": "reused", "upn": "x@corp.example"}})
		}, "root: 1 account differs from its certificates"},
		{"account switched off", func(d *harness) { d.marked("disabled") }, "root: 1 account differs from its certificates"},
		{"watch stopped", func(d *harness) {
			d.note(audit.Entry{At: d.clock.Now(), Action: audit.WatchStopped, Actor: "system", Detail: map[string]string{"reason": "too-many"}})
		}, "root: The watch over the directory has stopped"},
		{"issuing stopped", func(d *harness) { d.note(audit.Entry{At: d.clock.Now(), Action: audit.IssuingHalted, Actor: "ada"}) },
			"root: Nobody gets a certificate at the moment"},
		{"audit log changed", func(d *harness) { d.note(audit.Entry{At: d.clock.Now(), Action: audit.LogBroken, Actor: "system"}) },
			"root: The audit log was changed"},
		{"too many codes", func(d *harness) {
			d.note(audit.Entry{At: d.clock.Now(), Action: audit.InvitationPaused, Actor: "holly"})
		},
			"root: Somebody on the staff did too much at once"},
		{"and goes on", func(d *harness) {
			for range 5 {
				d.note(audit.Entry{At: d.clock.Now(), Action: audit.InvitationPaused, Actor: "holly"})
				d.write()
				d.clock.Advance(time.Minute)
			}
		}, "root: Somebody on the staff did too much at once"},
		{"nobody's certificate", func(d *harness) {
			d.note(audit.Entry{At: d.clock.Now(), Action: audit.CertificateIssued, Object: "ab"})
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := open(t, func(c *notify.Config, _ *notify.ServerConfig) { c.Operators = []string{"root@corp.example"} })
			tt.do(d)
			d.write()
			var got []string
			for _, m := range d.send() {
				to, _, _ := strings.Cut(m.To[0], "@")
				got = append(got, to+": "+m.Read(t).Subject)
			}
			// The sender's order within one time is random.
			if len(got) == 2 && got[0] > got[1] {
				got[0], got[1] = got[1], got[0]
			}
			testkit.Equal(t, "letters", strings.Join(got, "; "), tt.want)
		})
	}
}

// ended issues a certificate, collects its message, and revokes it.
func ended(cause portal.Cause, role portal.Role, actor string) func(*harness) {
	return func(d *harness) {
		serial := d.issue(anna, "iPhone", year)
		d.skip()
		d.revoke(cause, role, actor, serial)
	}
}

// skip moves the collector's cursor past what happened.
func (d *harness) skip() {
	d.t.Helper()
	for {
		from, found, err := d.db.MailEvents(d.t.Context(), 1000)
		if err != nil {
			d.t.Fatal(err)
		}
		if len(found) == 0 {
			return
		}
		if err := d.db.EnqueueFrom(d.t.Context(), from, found[len(found)-1].Seq, nil); err != nil {
			d.t.Fatal(err)
		}
	}
}

// marked issues a certificate that then differs from the directory.
func (d *harness) marked(change string) {
	serial := d.issue(anna, "iPhone", year)
	d.skip()
	e := d.entry(audit.MismatchFound, anna, "change", change, "upn", "anna@corp.example")
	e.Actor, e.Role, e.Object = "system", "system", serial.String()
	d.note(e)
}

func TestOneActIsOneLetter(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	var serials []ca.Serial
	for _, device := range []string{"iPhone", "iPad", "Laptop"} {
		serials = append(serials, d.issue(anna, device, year))
	}
	d.skip()
	d.revoke(portal.Lost, portal.Admin, "ada", serials...)
	d.write()
	l := only(t, d.send(), "anna@corp.example")
	testkit.Equal(t, "subject", l.Subject, "3 devices of yours are blocked")
	for _, want := range []string{"iPhone", "iPad", "Laptop", "Lost or stolen", "An administrator"} {
		testkit.Contains(t, "text", l.Text, want)
	}
	testkit.Contains(t, "link to all", l.Text, "https://portal.corp.example/\n")
}

func TestWhoGetsNoLetter(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		person portal.Person
	}{
		{"switched off", portal.Person{ID: anna, Mail: "anna@corp.example", Disabled: true}},
		{"run out", portal.Person{ID: anna, Mail: "anna@corp.example", Expired: true}},
		{"without address", portal.Person{ID: anna}},
		{"a line in the address", portal.Person{ID: anna, Mail: "anna@corp.example\r\nBcc: eve@evil.example"}},
		{"two addresses", portal.Person{ID: anna, Mail: "anna@corp.example,eve@evil.example"}},
		{"unknown", portal.Person{ID: "somebody else", Mail: "other@corp.example"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := open(t, nil)
			d.people.people = map[portal.PersonID]portal.Person{tt.person.ID: tt.person}
			d.issue(anna, "iPhone", year)
			d.write()
			testkit.Equal(t, "mails", len(d.send()), 0)
			testkit.Equal(t, "waiting", d.state().Waiting, 0)
			testkit.Equal(t, "behind", d.state().Behind, 0)
		})
	}
}

func TestASharedAddressIsFineForLetters(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	p := named(anna, "Anna Schmidt")
	p.Mail, p.MailShared = "office@corp.example", true
	d.people.put(p)
	d.issue(anna, "iPhone", year)
	d.write()
	only(t, d.send(), "office@corp.example")
}

// Without the directory no message is written and none is lost.
func TestF_DirectoryDownDelaysLetters(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	d.issue(anna, "iPhone", year)
	d.people.down()
	for range 3 {
		if _, err := d.Collect(t.Context()); err == nil {
			t.Fatal("the clerk wrote without the directory")
		}
	}
	testkit.Equal(t, "behind", d.state().Behind, 2)
	testkit.Equal(t, "times it was logged", d.log.Count("level=ERROR"), 1)
	d.people.put(named(anna, "Anna Schmidt"))
	d.write()
	testkit.Equal(t, "times its return was logged", d.log.Count("mail works again"), 1)
	only(t, d.send(), "anna@corp.example")
}

// Events from a long time without mail get no message.
func TestOldNewsIsNoNews(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	d.issue(anna, "old", year)
	d.clock.Advance(notify.GiveUpAfter + time.Hour)
	d.issue(anna, "new", year)
	d.write()
	testkit.Equal(t, "subject", only(t, d.send(), "anna@corp.example").Subject, "New certificate for new")
	testkit.Equal(t, "times it was logged", d.log.Count("happened too long ago"), 1)
}

// Two replicas with one audit log write each message once.
func TestReplicasWriteEachLetterOnce(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	other := d.replica(nil)
	const many = 30
	for n := range many {
		d.issue(anna, fmt.Sprint("device ", n), year)
	}
	done := make(chan error, 2)
	for _, o := range []*notify.Notifier{d.Notifier, other} {
		go func() {
			for {
				more, err := o.Collect(t.Context())
				if err != nil || !more {
					done <- err
					return
				}
			}
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	testkit.Equal(t, "waiting", d.state().Waiting, many)
	go func() { done <- other.Deliver(t.Context()) }()
	d.send()
	if err := <-done; err != nil {
		t.Error(err)
	}
	mails := d.server.Mails()
	ids := map[string]bool{}
	for _, m := range mails {
		ids[m.Read(t).Header.Get("Message-Id")] = true
	}
	testkit.Equal(t, "mails", len(mails), many)
	testkit.Equal(t, "different ones", len(ids), many)
}
