package notify_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/notify"
	"certportal/internal/portal"
	"certportal/internal/succession"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// revokeAuthority revokes the CA of all certificates so far; then issuing-2 issues.
func (d *harness) revokeAuthority(next bool) {
	d.t.Helper()
	ctx, now := d.t.Context(), d.clock.Now()
	for name, state := range map[string]succession.State{"issuing": succession.Active, "issuing-2": succession.Pending} {
		r := succession.Record{Name: name, Fingerprint: sha256.Sum256([]byte(name)), State: state, NotAfter: now.Add(5 * year), Added: now}
		if state == succession.Active {
			r.Activated = now
		}
		testkit.NoError(d.t, d.db.AddAuthority(ctx, r, fixture.NewEntry(now, audit.CAAdded, "")))
	}
	r := succession.Revocation{Name: "issuing", Serial: testkit.Must(ca.NewSerial(nil))(d.t), NotAfter: now.Add(5 * year), Reason: 1, At: now}
	testkit.NoError(d.t, d.db.RevokeAuthority(ctx, r, r.Entry("operator")))
	if next {
		d.activate()
	}
}

func (d *harness) activate() {
	d.t.Helper()
	now := d.clock.Now()
	testkit.NoError(d.t, d.db.ActivateAuthority(d.t.Context(), "issuing-2", now, fixture.NewEntry(now, audit.CAActivated, "")))
}

// recalled runs the campaign at a notifier and returns who got mail.
func (d *harness) recalled(by *notify.Notifier) []string {
	d.t.Helper()
	before := len(d.server.Mails())
	testkit.NoError(d.t, by.Recall(d.t.Context()))
	var to []string
	for _, m := range d.send()[before:] {
		to = append(to, strings.Join(m.To, ","))
	}
	slices.Sort(to)
	return to
}

// People are asked in waves of a bounded rate, each once, also by several replicas and after
// a restart; those who are disabled or have no address get none.
func TestCampaignAsksEachPersonOnce(t *testing.T) {
	t.Parallel()
	d := open(t, func(c *notify.Config, _ *notify.ServerConfig) { c.RecallsPerHour = 24 }) // two at a time
	var want []string
	for n := range 9 {
		id := portal.PersonID(fmt.Sprint("p", n))
		p := named(id, "Person")
		switch n {
		case 3:
			p.Disabled = true
		case 4:
			p.Mail = ""
		default:
			want = append(want, p.Mail)
		}
		d.people.put(p)
		d.issue(id, "iPhone", year)
	}
	d.issue("p0", "iPad", year)
	d.skip()
	d.revokeAuthority(false)
	testkit.Equal(t, "before another CA issues", fmt.Sprint(d.recalled(d.Notifier)), "[]")
	d.activate()
	var got []string
	for hour := 0; hour < 2; hour++ {
		inHour := 0
		for range 60 {
			replica := d.replica(func(c *notify.Config, _ *notify.ServerConfig) { c.RecallsPerHour = 24 }) // as after a restart
			for _, by := range []*notify.Notifier{d.Notifier, replica} {
				to := d.recalled(by)
				if inHour += len(to); len(to) > 2 {
					t.Errorf("%d people in a wave", len(to))
				}
				got = append(got, to...)
			}
			d.clock.Advance(time.Minute)
		}
		if inHour > 24 {
			t.Errorf("%d people in an hour", inHour)
		}
	}
	testkit.Equal(t, "asked", fmt.Sprint(got), fmt.Sprint(want))
}

// The mail is in the language of the person, names all devices, and leads to the page where
// one renews.
func TestCampaignMail(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	d.issue(anna, "iPhone", year)
	d.issue(anna, "iPad", year)
	d.issueOn("bobs-pixel", true, "bob", "Pixel", year)
	d.skip()
	testkit.NoError(t, d.db.SetLanguage(t.Context(), anna, "de"))
	d.revokeAuthority(true)
	testkit.NoError(t, d.Recall(t.Context()))
	for _, m := range d.send() {
		text := m.Read(t)
		var want []string
		if strings.Contains(fmt.Sprint(m.To), "anna") {
			want = []string{"Ersetzen Sie jetzt", "iPhone", "iPad", "https://portal.corp.example/\n"}
		} else {
			want = []string{"Sign in at the portal", "Pixel", "https://portal.corp.example/devices/bobs-pixel"}
		}
		for _, part := range want {
			if !strings.Contains(text.Subject+"\n"+text.Text, part) {
				t.Errorf("to %v: no %q in %s\n%s", m.To, part, text.Subject, text.Text)
			}
		}
	}
	testkit.Equal(t, "mails", len(d.server.Mails()), 2)
}

// Where the CA's key does not open no person is asked, and a directory that is down loses
// no person.
func TestCampaignWaits(t *testing.T) {
	t.Parallel()
	issues := false
	d := open(t, func(c *notify.Config, _ *notify.ServerConfig) { c.Issues = func() bool { return issues } })
	d.issue(anna, "iPhone", year)
	d.skip()
	d.revokeAuthority(true)
	testkit.Equal(t, "sealed", fmt.Sprint(d.recalled(d.Notifier)), "[]")
	issues = true
	known := d.people.people
	d.people.down()
	if err := d.Recall(t.Context()); err == nil {
		t.Error("no error while the directory is down")
	}
	d.people.mu.Lock()
	d.people.people = known
	d.people.mu.Unlock()
	testkit.Equal(t, "afterwards", fmt.Sprint(d.recalled(d.Notifier)), "[anna@corp.example]")
}
