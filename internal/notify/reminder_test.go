package notify_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"certportal/internal/notify"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

const day = 24 * time.Hour

// remind runs sweep and sender and returns the subjects of new mails.
func (d *harness) remind() []string {
	d.t.Helper()
	before := len(d.server.Mails())
	if err := d.Remind(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
	var subjects []string
	for _, m := range d.send()[before:] {
		subjects = append(subjects, m.Read(d.t).Subject)
	}
	slices.Sort(subjects)
	return subjects
}

// In a year a person gets four reminders on the right days, at any interval of the
// sweep.
func TestRemindersComeAt30And14And7And1(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	d.issue(anna, "iPhone", year)
	d.skip()
	var told []string
	for d.clock.Now().Before(testkit.Noon.Add(year + 2*day)) {
		for _, subject := range d.remind() {
			left := testkit.Noon.Add(year).Sub(d.clock.Now())
			told = append(told, fmt.Sprintf("%v before: %s", left, subject))
		}
		step := 5 * day
		if testkit.Noon.Add(year).Sub(d.clock.Now()) < 36*day {
			step = 6 * time.Hour
		}
		d.clock.Advance(step)
	}
	testkit.Equal(t, "reminders", fmt.Sprint(told), fmt.Sprint([]string{
		"720h0m0s before: iPhone: the certificate ends in 30 days",
		"336h0m0s before: iPhone: the certificate ends in 14 days",
		"168h0m0s before: iPhone: the certificate ends in 7 days",
		"24h0m0s before: iPhone: the certificate ends in 1 day",
	}))
	if n, err := d.db.PruneMessages(t.Context(), d.clock.Now().Add(-notify.KeepClosedFor)); err != nil || n == 0 {
		t.Errorf("forgot %d letters, %v", n, err)
	}
}

// TestF_UnreadableAccountDelaysNoReminders has one account of two that cannot be read.
func TestF_UnreadableAccountDelaysNoReminders(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	const ben portal.PersonID = "ben"
	d.people.put(portal.Person{ID: ben, Login: "ben", Name: "Ben", Mail: "ben@corp.example"})
	d.issue(anna, "iPhone", year)
	d.issue(ben, "Pixel", year)
	d.skip()
	d.people.hidden = map[portal.PersonID]bool{anna: true}
	d.clock.Advance(year - 20*day)
	testkit.Equal(t, "reminders", fmt.Sprint(d.remind()), "[Pixel: the certificate ends in 20 days]")
	d.people.hidden = nil
	d.clock.Advance(7 * day)
	testkit.Equal(t, "reminders after mending", fmt.Sprint(d.remind()), "[Pixel: the certificate ends in 13 days iPhone: the certificate ends in 13 days]")
}

func TestWhoIsReminded(t *testing.T) {
	t.Parallel()
	at := func(left time.Duration) func(*harness) {
		return func(d *harness) { d.issue(anna, "iPhone", year); d.clock.Advance(year - left) }
	}
	one := func(days string) []string { return []string{"iPhone: the certificate ends in " + days} }
	tests := []struct {
		name string
		do   func(*harness)
		want []string
	}{
		{"31 days before", at(31 * day), nil},
		{"30 days before", at(30 * day), one("30 days")},
		{"after a long rest, once", at(12*day + time.Hour), one("13 days")},
		{"on the last day", at(time.Hour), one("1 day")},
		{"after its end", at(-time.Hour), nil},
		{"short lives are no surprise", func(d *harness) { d.issue(anna, "iPhone", 10*day) }, nil},
		{"short lives end too", func(d *harness) { d.issue(anna, "iPhone", 10*day); d.clock.Advance(9*day + time.Hour) }, one("1 day")},
		{"revoked", func(d *harness) {
			serial := d.issue(anna, "iPhone", year)
			d.clock.Advance(year - 7*day)
			d.revoke(portal.Lost, portal.Employee, "anna", serial)
		}, nil},
		{"a newer one is there", func(d *harness) {
			d.issueOn("d1", true, anna, "iPhone", year)
			d.clock.Advance(year - 7*day)
			d.issueOn("d1", false, anna, "iPhone", year)
		}, nil},
		{"two devices", func(d *harness) {
			d.issue(anna, "iPad", year)
			d.issue("bob", "Pixel", year)
			d.clock.Advance(year - 7*day)
		}, []string{"Pixel: the certificate ends in 7 days", "iPad: the certificate ends in 7 days"}},
		{"who left", func(d *harness) {
			p := named(anna, "Anna")
			p.Disabled = true
			d.people.put(p)
			at(7 * day)(d)
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := open(t, nil)
			tt.do(d)
			d.skip()
			testkit.Equal(t, "reminders", fmt.Sprint(d.remind()), fmt.Sprint(tt.want))
			testkit.Equal(t, "the second time", fmt.Sprint(d.remind()), "[]")
		})
	}
}

// People who left are looked up once, not with every sweep.
func TestLeaversAreAskedForOnce(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	d.issue("gone", "iPhone", year)
	d.clock.Advance(year - 7*day)
	d.remind()
	asked := d.people.asked
	for range 5 {
		d.remind()
	}
	testkit.Equal(t, "times asked", d.people.asked, asked)
}

func TestReplicasRemindOnce(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	for n := range 250 {
		d.issue(portal.PersonID(fmt.Sprint("p", n)), "iPhone", year)
		d.people.put(named(portal.PersonID(fmt.Sprint("p", n)), "Somebody"))
	}
	d.skip()
	d.clock.Advance(year - 7*day)
	done := make(chan error, 2)
	for _, o := range []*notify.Notifier{d.Notifier, d.replica(nil)} {
		go func() { done <- o.Remind(t.Context()) }()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	testkit.Equal(t, "waiting", d.state().Waiting, 250)
}

// A sent message is emptied, and deleted after its time.
func TestSentLettersAreEmptied(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	d.issue(anna, "iPhone", year)
	d.write()
	d.send()
	msgs, err := d.db.ClaimMessages(t.Context(), d.clock.Now().Add(year), d.clock.Now().Add(year), 10)
	if err != nil || len(msgs) != 0 {
		t.Errorf("msgs left: %v, %v", msgs, err)
	}
	for _, wait := range []struct {
		pass time.Duration
		want int
	}{{notify.KeepClosedFor - time.Hour, 0}, {2 * time.Hour, 1}} {
		d.clock.Advance(wait.pass)
		n, err := d.db.PruneMessages(t.Context(), d.clock.Now().Add(-notify.KeepClosedFor))
		if err != nil || n != wait.want {
			t.Errorf("forgot %d, %v, want %d", n, err, wait.want)
		}
	}
}

// The outbox is bounded: beyond it, events wait in the audit log.
func TestTheOutboxIsBounded(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	msgs := make([]notify.Message, 10_000)
	for i := range msgs {
		id := fmt.Sprint("l", i)
		msgs[i] = notify.Message{ID: id, Key: id, Kind: notify.Issued, To: "anna@corp.example", Made: testkit.Noon}
	}
	if err := d.db.Enqueue(t.Context(), msgs); err != nil {
		t.Fatal(err)
	}
	d.issue(anna, "iPhone", year)
	d.write()
	testkit.Equal(t, "waiting", d.state().Waiting, 10_000)
	testkit.Equal(t, "behind", d.state().Behind, 2)
	sent, err := d.db.ClaimMessages(t.Context(), testkit.Noon, testkit.Noon.Add(time.Hour), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.db.MarkSent(t.Context(), sent[0], testkit.Noon); err != nil {
		t.Fatal(err)
	}
	d.write()
	testkit.Equal(t, "behind", d.state().Behind, 0)
}
