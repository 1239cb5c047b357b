package web_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"certportal/internal/audit"
	"certportal/internal/helpdesk"
	"certportal/internal/portal"
	"certportal/web"
)

// TestA4_MailedCodeIsShownToNoStaff: with codes that stand for a password, or that a
// second person approves, everything that staff are ever sent holds no code; neither do
// the audit log, the database and the log.
func TestA4_MailedCodeIsShownToNoStaff(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*helpdesk.Config){
		"code_alone":      func(c *helpdesk.Config) { c.CodeAlone = true },
		"second_approver": func(c *helpdesk.Config) { c.SecondApprover = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newCodePortal(t, change)
			p.add("ada", "Ada Admin", "Ada", portal.Admin)
			staff := map[string]*browser{"hedi": p.signedIn("hedi", linux), "ada": p.signedIn("ada", linux)}
			sent := &recorder{next: staff["hedi"].client.Transport}
			for _, b := range staff {
				b.client.Transport = sent
			}
			for _, checked := range []string{"in-person", "video"} {
				code, path := staff["hedi"].mailCode(p, "anna", checked)
				shown := staff["hedi"].get(path)
				if shown.status != http.StatusOK || !strings.Contains(shown.text(), "Sent to a…@example.com") || shown.id("pickup-code") != nil {
					t.Errorf("got %d: %s", shown.status, shown.text())
				}
				if got := staff["hedi"].get(path + "/slip"); got.status != http.StatusSeeOther || got.location() != path {
					t.Errorf("slip: got %d to %q", got.status, got.location())
				}
				staff["ada"].post("/helpdesk/approvals/" + path[strings.LastIndexByte(path, '/')+1:])
				for _, b := range staff {
					for _, page := range []string{
						"/helpdesk", annaPage, annaPage + "/code", path, path + "/slip", "/helpdesk/approvals", "/admin", "/admin/audit",
						"/admin/export", "/", "/pickup",
					} {
						b.get(page)
						b.get(page, "Accept", "application/json")
					}
					for _, what := range []string{"certificates", "devices", "audit"} {
						b.post("/admin/export/" + what)
					}
				}
				p.searchFor(t, sent.sent.Bytes(), code)
				if got := p.signedIn("anna", android).post("/pickup", "code", code); got.status != http.StatusSeeOther {
					t.Errorf("its person: got %d: %s", got.status, got.text())
				}
			}
		})
	}
}

// searchFor searches all that staff were sent and all that was written for a code.
func (p *testPortal) searchFor(t *testing.T, sent []byte, code string) {
	t.Helper()
	all := map[string][]byte{"what staff were sent": sent, "the log": []byte(p.log.String())}
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(p.file + suffix)
		if err != nil && suffix == "" {
			t.Fatal(err)
		}
		all["the database"+suffix] = data
	}
	if len(sent) < 10_000 {
		t.Errorf("staff were sent %d bytes only", len(sent))
	}
	for where, data := range all {
		if bytes.Contains(data, []byte(code)) || bytes.Contains(data, []byte(joined(code))) {
			t.Errorf("%s holds the code", where)
		}
	}
}

// TestA4_NoCodeWithoutItsMail: a code that cannot reach its person is refused with a
// sentence; it is not shown instead.
func TestA4_NoCodeWithoutItsMail(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, want string
		change     func(p *testPortal)
	}{
		{"no address", "none can be used for this person", func(p *testPortal) {
			p.directory.set(nil, func(person *portal.Person) { person.Mail = "" })
		}},
		{"no mail server", "none can be used for this person", func(p *testPortal) {
			p.reopen(func(c *web.Config) {
				c.Helpdesk = p.newHelpdesk(c.SignIn, func(h *helpdesk.Config) { h.CodeAlone, h.Mail = true, nil })
			})
		}},
		{"the mail server fails", "did not take the mail", func(p *testPortal) { p.codes.fails = errors.New("451 try later") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newMailPortal(t)
			hedi := p.signedIn("hedi", linux)
			tt.change(p)
			got := hedi.post(annaPage+"/code", "checked", "in-person", "note", "", "purpose", "new", "device", "")
			if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.text(), tt.want) || shownCode.MatchString(got.text()) {
				t.Errorf("got %d: %s", got.status, got.text())
			}
			if n := p.entries(audit.InvitationRefused); n != 1 {
				t.Errorf("%d refusals in the audit log, want 1", n)
			}
		})
	}
}
