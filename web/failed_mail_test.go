package web_test

import (
	"strings"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/notify"
	"certportal/internal/portal"
	"certportal/internal/test/testkit"
)

// TestFailedMailIsSentAgain: an administrator sees what failed and why, and sends it again
// to the address that the directory has now; an auditor only sees it.
func TestFailedMailIsSentAgain(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	p.signedIn("anna", iPhone).enrol("Phone", "ios")
	message := notify.Message{ID: "m1", Key: "about m1", Kind: notify.Issued, Person: "id-of-anna", To: "old@example.com", Language: "en", Made: p.clock.Now()}
	testkit.NoError(t, p.db.Enqueue(t.Context(), []notify.Message{message}))
	e := audit.Entry{At: p.clock.Now(), Action: audit.MailFailed, Actor: "system", Role: "system", Person: "id-of-anna", Object: "m1"}
	testkit.NoError(t, p.db.GiveUpMessage(t.Context(), message, p.clock.Now(), "550 <b>no</b> such user", e))
	aud := p.signedIn("aud", linux)
	got := aud.get("/admin/mail")
	for _, words := range []string{"New certificate", "Anna Muster", "old@example.com", "550 <b>no</b> such user"} {
		if !strings.Contains(got.text(), words) {
			t.Errorf("the page lacks %q: %s", words, got.text())
		}
	}
	if strings.Contains(string(got.body), `action="/admin/mail/m1"`) {
		t.Error("an auditor can send mail again")
	}
	if got := aud.post("/admin/mail/m1"); got.status != 403 {
		t.Errorf("an auditor: got %d", got.status)
	}
	ada := p.signedIn("ada", linux)
	if got := ada.post("/admin/mail/other"); got.status != 404 {
		t.Errorf("no message: got %d", got.status)
	}
	for range 2 { // the second changes nothing
		ada.post("/admin/mail/m1")
	}
	due := testkit.Must(p.db.ClaimMessages(t.Context(), p.clock.Now(), p.clock.Now(), 10))(t)
	if len(due) != 1 || due[0].To != "anna@example.com" || due[0].Kind != notify.Issued {
		t.Errorf("due: got %+v", due)
	}
	if got := ada.get("/admin/mail").text(); !strings.Contains(got, "No message failed.") {
		t.Errorf("afterwards: %s", got)
	}
	if n := p.entries(audit.MailResent); n != 1 {
		t.Errorf("got %d audit entries, want 1", n)
	}
}

// TestFailedMailIsRefusedInWords: a message that is not true any more, and one to a person
// who has no address now, are not sent, and the page says so in each language.
func TestFailedMailIsRefusedInWords(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	failed := func(m notify.Message) {
		t.Helper()
		m.Person, m.To, m.Language, m.Made = "id-of-anna", "old@example.com", "en", p.clock.Now()
		testkit.NoError(t, p.db.Enqueue(t.Context(), []notify.Message{m}))
		e := audit.Entry{At: p.clock.Now(), Action: audit.MailFailed, Actor: "system", Role: "system", Person: "id-of-anna", Object: m.ID}
		testkit.NoError(t, p.db.GiveUpMessage(t.Context(), m, p.clock.Now(), "550 no such user", e))
	}
	failed(notify.Message{ID: "ending", Key: "ends:14:00", Kind: notify.Ending, Params: notify.Params{Until: p.clock.Now().AddDate(0, 0, 14), Days: 14}})
	failed(notify.Message{ID: "lost", Key: "about lost", Kind: notify.Revoked})
	ada := p.signedIn("ada", linux)
	refused := func(id string, words map[string]string) {
		t.Helper()
		for lang, want := range words {
			ada.get("/admin/mail?lang=" + lang)
			got := ada.post("/admin/mail/" + id)
			if n := got.id("refused"); got.status != 409 || n == nil || !strings.Contains(nodeText(n), want) {
				t.Errorf("%s in %s: got %d: %s", id, lang, got.status, got.text())
			}
		}
	}
	refused("ending", map[string]string{"de": "stimmt nicht mehr", "zh-Hans": "不再属实", "en": "not true any more"})
	p.directory.set(nil, func(who *portal.Person) {
		if who.ID == "id-of-anna" {
			who.Mail = ""
		}
	})
	refused("lost", map[string]string{"de": "keine Mailadresse", "zh-Hans": "没有", "en": "has no mail address"})
	p.directory.set(nil, nil)
	if due := testkit.Must(p.db.ClaimMessages(t.Context(), p.clock.Now(), p.clock.Now(), 10))(t); len(due) != 0 {
		t.Errorf("due: got %+v", due)
	}
	if n := p.entries(audit.MailResent); n != 0 {
		t.Errorf("got %d audit entries", n)
	}
	if got := ada.post("/admin/mail/lost"); got.status != 303 {
		t.Errorf("with an address: got %d", got.status)
	}
}
