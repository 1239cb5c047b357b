package app

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/directory"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/internal/succession"
	"certportal/internal/test/smtpserver"
	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// mailing are settings with a mail server, which asks as few people at once as there can be.
func mailing(t *testing.T, server *smtpserver.Server) map[string]string {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "password")
	testkit.NoError(t, os.WriteFile(secret, []byte(smtpserver.Password), 0o600))
	environ := fixture.FastCA()
	for name, value := range map[string]string{
		"HOST": server.Host(), "PORT": strconv.Itoa(server.Port()), "CA_FILE": server.CAFile(), "USER": smtpserver.User, "PASSWORD_FILE": secret,
		"FROM": "portal@corp.example", "RECALLS_PER_HOUR": "12",
	} {
		environ["CERTPORTAL_MAIL_"+name] = value
	}
	return environ
}

// phone issues a certificate for a device: a new one, or the next of a known one.
func (p *App) phone(t *testing.T, person portal.PersonID, device portal.DeviceID) (portal.DeviceID, error) {
	t.Helper()
	done, err := p.Registrar.EnrollKey(t.Context(), enroll.Request{
		By: portal.Actor{Person: person}, Name: "phone", Platform: portal.Android, Device: device, Renew: device != "", Idempotent: string(person + "x" + portal.PersonID(device)),
	}, testkit.ECKey(t).Public())
	return done.Device, err
}

// asked lists who got mail about the campaign, after the next wave.
func asked(t *testing.T, p *App, server *smtpserver.Server) string {
	t.Helper()
	testkit.NoError(t, p.mail.Recall(t.Context()))
	testkit.NoError(t, p.mail.Deliver(t.Context()))
	text := ""
	for _, m := range server.Mails() {
		if strings.HasPrefix(m.Read(t).Subject, "Replace") {
			text += strings.Split(m.To[0], "@")[0] + " "
		}
	}
	return text
}

// letTimePass makes the next wave due, as five minutes would.
func letTimePass(t *testing.T, data string) {
	t.Helper()
	db := testkit.Must(sql.Open("sqlite", "file:"+filepath.Join(data, "portal.db")+"?_pragma=busy_timeout(10000)"))(t)
	testkit.Must(db.Exec("UPDATE campaigns SET next_at = 0"))(t)
	testkit.NoError(t, db.Close())
}

// TestA13_CampaignAfterARevokedCA: a CA is revoked under a portal that runs; people are
// asked to renew once the next CA issues, in waves, no person twice, also after a restart.
func TestA13_CampaignAfterARevokedCA(t *testing.T) {
	server := smtpserver.Start(t, smtpserver.Config{Ways: []string{"PLAIN"}, MustLogin: true})
	environ, data := mailing(t, server), t.TempDir()
	p := testkit.Must(openWith(t, data, environ))(t)
	var people []portal.PersonID
	devices := map[portal.PersonID]portal.DeviceID{}
	for n := range 3 {
		login := fmt.Sprint("person", n)
		a := testkit.Must(p.Builtin.Add(t.Context(), directory.NewAccount{
			Login: login, UPN: login + "@corp.example", Mail: login + "@corp.example", Password: "correct horse",
		}, audit.Entry{At: p.Now(), Actor: "test"}))(t)
		people, devices[a.ID] = append(people, a.ID), testkit.Must(p.phone(t, a.ID, ""))(t)
	}
	of, _ := p.CA.Line.Named("issuing")
	again, err := p.CA.Revoke(t.Context(), p.DB, of, 1, p.Now())
	if err != nil || again {
		t.Fatal(again, err)
	}
	testkit.NoError(t, p.lists.Refresh(t.Context()))
	list, _ := p.lists.CRL("root")
	published := testkit.Must(ca.ReadCRL(list.DER, p.CA.Folder.Root()))(t)
	if entry := testkit.Must(published.Find(of.Certificate.SerialNumber))(t); entry == nil || entry.Reason != 1 {
		t.Errorf("list of the root: %+v", entry)
	}
	testkit.Equal(t, "asked while nothing issues", asked(t, p, server), "")
	testkit.NoError(t, p.Close())

	p = testkit.Must(openWith(t, data, environ))(t) // starts without a CA that issues
	keys := ""
	for _, a := range p.doctor.Alerts(t.Context()) {
		keys += a.Key + " "
	}
	testkit.Contains(t, "alerts", keys, "ca-revoked ")
	if strings.Contains(keys, "sealed") {
		t.Errorf("alerts: %s", keys)
	}
	if status := p.doctor.Status(); !status.Stopped || status.Sealed {
		t.Errorf("status: stopped %t, sealed %t", status.Stopped, status.Sealed)
	}
	name, _ := next(t, p, p.Now())
	testkit.NoError(t, p.CA.Line.Refresh(t.Context()))
	activate(t, p, name)
	testkit.NoError(t, p.CA.Line.Refresh(t.Context()))
	testkit.NoError(t, p.adoptAuthorities(t.Context()))
	if of, _ := p.CA.Line.Of(p.tls.leaf()); of.Name != name {
		t.Errorf("the portal's own TLS certificate is from %q, want %s", of.Name, name)
	}
	first := asked(t, p, server)
	testkit.Equal(t, "first wave", len(strings.Fields(first)), 1)
	testkit.Equal(t, "at once again", asked(t, p, server), first)
	testkit.NoError(t, p.Close())

	p = testkit.Must(openWith(t, data, environ))(t)
	testkit.Equal(t, "after a restart", asked(t, p, server), first)
	last := people[0]
	for _, person := range people {
		last = max(last, person) // asked in this order
	}
	testkit.Must(p.phone(t, last, devices[last]))(t)
	for range 3 {
		letTimePass(t, data)
		asked(t, p, server)
	}
	testkit.Equal(t, "asked in the end", len(strings.Fields(asked(t, p, server))), 2) // but for the one who renewed
	progress := testkit.Must(p.DB.Campaigns(t.Context(), p.Now(), p.Now()))(t)[0]
	testkit.Equal(t, "progress", fmt.Sprint(progress.Devices, progress.Left, progress.Mailed, progress.ToGo), "3 2 2 0")
	for _, person := range people {
		if person != last {
			testkit.Must(p.phone(t, person, devices[person]))(t)
		}
	}
	testkit.Equal(t, "campaigns that ended", testkit.Must(p.DB.EndCampaigns(t.Context(), p.Now()))(t), 1)
	testkit.Equal(t, "state of the first", testkit.Must(p.DB.Authorities(t.Context()))(t)[0].State, succession.Revoked)
}
