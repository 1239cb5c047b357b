package notify_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"net/mail"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"certportal/internal/audit"
	"certportal/internal/notify"
	"certportal/internal/portal"
	"certportal/internal/test/smtpserver"
	"certportal/internal/test/testkit"
	"certportal/templates"
)

// written sends one message of each kind to a person with a language.
func written(t *testing.T, lang string) map[notify.Kind]smtpserver.Message {
	t.Helper()
	d := open(t, func(c *notify.Config, _ *notify.ServerConfig) { c.Language = lang })
	facts := notify.Params{
		Name: "Anna Schmidt", Devices: []string{"Anna's iPhone"}, Device: "d1", At: testkit.Noon, Until: testkit.Noon.Add(30 * day), Days: 30,
		Cause: portal.Lost, Change: "upn", By: "helpdesk", More: 3,
		People: []notify.Mismatch{{UPN: "bob@corp.example", Change: "disabled"}, {UPN: "eve@corp.example", Change: "later"}},
	}
	var msgs []notify.Message
	for _, kind := range kinds() {
		msgs = append(msgs, notify.Message{
			ID: string(kind), Key: string(kind), Kind: kind, Person: anna, To: string(kind) + "@corp.example",
			Language: lang, Params: facts, Made: testkit.Noon,
		})
	}
	if err := d.db.Enqueue(t.Context(), msgs); err != nil {
		t.Fatal(err)
	}
	mails := d.send()
	all := make(map[notify.Kind]smtpserver.Message)
	for _, kind := range kinds() {
		all[kind] = only(t, mails, string(kind)+"@corp.example")
	}
	return all
}

func kinds() []notify.Kind {
	return []notify.Kind{
		notify.Issued, notify.Renewed, notify.Revoked, notify.Invited, notify.Ending, notify.Changed,
		notify.Privileged, notify.Reassigned, notify.Recalled,
		notify.Differing, notify.Stopped, notify.Halted, notify.Tampered, notify.Overused, notify.Test,
	}
}

// Each kind in each language has a subject and a greeting in that language, a time with
// zone, what to do, one link without a token, and the same content in text and HTML.
func TestLettersInEveryLanguage(t *testing.T) {
	t.Parallel()
	words := map[string]struct{ issued, moment, notyou, renew, footer string }{
		"en":      {"New certificate for Anna's iPhone", "22 November 2026, 12:00 UTC", "Call the helpdesk at once: +49 30 1234-0 (8 to 17)", "Renew now", "Corp Certificates sent this mail automatically."},
		"de":      {"Neues Zertifikat für Anna's iPhone", "22. November 2026, 12:00 Uhr UTC", "Rufen Sie sofort den Helpdesk an: +49 30 1234-0 (8 to 17)", "Jetzt erneuern", "Diese Mail kommt automatisch von Corp Zertifikate."},
		"zh-Hans": {"Anna's iPhone 有了新证书", "2026年11月22日 12:00（UTC）", "请立即致电服务台：+49 30 1234-0 (8 to 17)", "立即续期", "此邮件由Corp证书门户自动发送"},
	}
	for lang, want := range words {
		t.Run(lang, func(t *testing.T) {
			all := written(t, lang)
			issued := all[notify.Issued]
			testkit.Equal(t, "subject", issued.Subject, want.issued)
			testkit.Contains(t, "when", issued.Text, want.moment)
			testkit.Contains(t, "what to do", issued.Text, want.notyou)
			testkit.Contains(t, "renewing", all[notify.Ending].Text, want.renew)
			for kind, l := range all {
				testkit.Equal(t, string(kind)+": language", l.Header.Get("Content-Language"), lang)
				testkit.Contains(t, string(kind)+": footer", l.Text, want.footer)
				checkLetter(t, kind, l)
			}
			testkit.Contains(t, "link of a code", all[notify.Invited].Text, "https://portal.corp.example/pickup\n")
			testkit.Contains(t, "link of a device", all[notify.Ending].Text, "https://portal.corp.example/devices/d1\n")
			testkit.Contains(t, "how long servers may not know", all[notify.Revoked].Text, "72")
			testkit.Contains(t, "people", all[notify.Differing].Text, "bob@corp.example (")
		})
	}
}

// checkLetter checks what all messages have in common.
func checkLetter(t *testing.T, kind notify.Kind, l smtpserver.Message) {
	t.Helper()
	what := string(kind) + ": "
	testkit.Equal(t, what+"from", l.From.String(), (&mail.Address{Name: "Corp Certificates", Address: "portal@corp.example"}).String())
	testkit.Equal(t, what+"answers", l.Header.Get("Auto-Submitted"), "auto-generated")
	testkit.Equal(t, what+"answers of Exchange", l.Header.Get("X-Auto-Response-Suppress"), "All")
	testkit.Equal(t, what+"program", l.Header.Get("X-Mailer")+l.Header.Get("User-Agent"), "")
	if _, err := mail.ParseDate(l.Header.Get("Date")); err != nil {
		t.Errorf("%sdate: %v", what, err)
	}
	if !regexp.MustCompile(`^<[^<>\s]+@corp\.example>$`).MatchString(l.Header.Get("Message-Id")) {
		t.Errorf("%sMessage-ID %q", what, l.Header.Get("Message-Id"))
	}
	links := 1
	if kind == notify.Test {
		links = 0
	}
	testkit.Equal(t, what+"links in the text", strings.Count(l.Text, "://"), links)
	page := inspect(t, l.HTML)
	testkit.Equal(t, what+"links", len(page.links), links)
	for _, link := range page.links {
		if !strings.HasPrefix(link, "https://portal.corp.example/") || strings.ContainsAny(link, "?#") {
			t.Errorf("%slink %s", what, link)
		}
		testkit.Contains(t, what+"link in the text", l.Text, link+"\n")
	}
	testkit.Equal(t, what+"headings", fmt.Sprint(page.headings), fmt.Sprint([]string{l.Subject}))
	for _, line := range strings.Split(l.Text, "\n") {
		if strings.HasPrefix(line, "https://") || line == "-- " || line == "" {
			continue
		}
		// A detail is "What: which" in text and two elements in HTML.
		for _, piece := range strings.SplitN(strings.TrimSuffix(line, ":"), ": ", 2) {
			testkit.Contains(t, what+"HTML", page.text, strings.TrimSpace(piece))
		}
	}
	if strings.Contains(l.Text+l.Subject, "{{") || strings.Contains(l.Text, "**") {
		t.Errorf("%smarkup in %q", what, l.Text)
	}
}

// inspected is the content of a message's HTML.
type inspected struct {
	links, headings, elements []string
	attributes                []string
	text                      string
}

func inspect(t *testing.T, source string) inspected {
	t.Helper()
	root, err := html.Parse(strings.NewReader(source))
	if err != nil {
		t.Fatal(err)
	}
	var page inspected
	for n := range root.Descendants() {
		switch n.Type {
		case html.TextNode:
			if n.Parent.Data != "style" {
				page.text += n.Data + " "
			}
			if n.Parent.Data == "h1" {
				page.headings = append(page.headings, n.Data)
			}
		case html.ElementNode:
			page.elements = append(page.elements, n.Data)
			for _, a := range n.Attr {
				page.attributes = append(page.attributes, a.Key)
				if a.Key == "href" || a.Key == "src" {
					page.links = append(page.links, a.Val)
				}
			}
		}
	}
	return page
}

// hostile are names as attackers choose them.
func hostile() []string {
	payloads := []string{
		"\r\nBcc: eve@evil.example", "\nSubject: other", "a\r\n\r\n<html>", "\r\n.\r\nMAIL FROM:<eve@evil.example>", "a\x00b",
		"=?utf-8?Q?=0D=0ABcc:_eve=40evil.example?=", "=?utf-8?B?DQpCY2M6IGV2ZUBldmlsLmV4YW1wbGU=?=", "\u2028Bcc: x", "\u0085Bcc: x", "\vBcc: x",
		"<script>alert(1)</script>", "<img src=x onerror=alert(1)>", `"><svg onload=alert(1)>`, "</title><script>x</script>", "</style><script>x</script>",
		"<a href=https://evil.example>click</a>", "javascript:alert(1)", "<!--", "-->", "<![CDATA[x]]>", "]]>", "&lt;b&gt;", "&#60;b&#62;", "<b", "'", `"`, "`",
		"{{.Name}}", "{{template \"x\"}}", "{{ 1 }}", "{{`", "%s%n%d", "${7*7}", "#{7*7}", "**bold**", "__x__", "[x](https://evil.example)",
		"\u202egnp.exe", "\u2066x\u2069", "\u200b", "\ufeff", "\ue000" + "0" + "\ue001", "\U000e0041", "e\u0301", "אבג", "李雷",
		"👩‍💻", strings.Repeat("long ", 100), strings.Repeat("x", 5000), strings.Repeat("\u0301", 500), "\xff\xfe", "\xed\xa0\x80",
		"-- ", ".", "..", "\t", " ", "=1+1", "@SUM(A1)", "'); DROP TABLE letters; --", "../../etc/passwd", "undisclosed-recipients:;",
		"\x1b]0;x\x07", "\x08\x08\x08", "a\rb",
	}
	return payloads
}

// A18: no name of people and directories breaks headers, lines or HTML of a message, as
// mail programs parse it.
func TestA18_HostileNamesStayText(t *testing.T) {
	t.Parallel()
	payloads := hostile()
	if len(payloads) < 60 {
		t.Fatalf("%d payloads", len(payloads))
	}
	d := open(t, func(c *notify.Config, _ *notify.ServerConfig) { c.Org = "Corp" })
	var msgs []notify.Message
	for n, payload := range payloads {
		for _, kind := range []notify.Kind{notify.Issued, notify.Ending, notify.Differing} {
			msgs = append(msgs, notify.Message{
				ID: fmt.Sprint(kind, n), Key: fmt.Sprint(kind, n), Kind: kind, To: fmt.Sprintf("%s%d@corp.example", kind, n), Language: "en", Made: testkit.Noon,
				Params: notify.Params{
					Name: payload, Devices: []string{payload}, Device: portal.DeviceID(payload), At: testkit.Noon, Days: 3,
					People: []notify.Mismatch{{UPN: payload, Change: payload}},
				},
			})
		}
	}
	if err := d.db.Enqueue(t.Context(), msgs); err != nil {
		t.Fatal(err)
	}
	tame := map[string]inspected{}
	mails := d.send()
	testkit.Equal(t, "mails", len(mails), len(msgs))
	for _, m := range mails {
		l := m.Read(t)
		kind := regexp.MustCompile(`^[a-z]+`).FindString(m.To[0])
		page := inspect(t, l.HTML)
		first, known := tame[kind]
		if !known {
			tame[kind] = page
			first = page
		}
		testkit.Equal(t, m.To[0]+": elements", fmt.Sprint(page.elements), fmt.Sprint(first.elements))
		testkit.Equal(t, m.To[0]+": attributes", fmt.Sprint(page.attributes), fmt.Sprint(first.attributes))
		testkit.Equal(t, m.To[0]+": recipients", fmt.Sprint(m.To, len(l.To), l.Header["Bcc"], l.Header["Cc"]), fmt.Sprint(m.To, 1, []string(nil), []string(nil)))
		testkit.Equal(t, m.To[0]+": headers", len(l.Header), 10)
		if len(page.links) != 1 || !strings.HasPrefix(page.links[0]+"/", "https://portal.corp.example/") {
			t.Errorf("%s: links %q", m.To[0], page.links)
		}
		if strings.ContainsAny(l.Subject, "\r\n\x00\u2028\u202e") {
			t.Errorf("%s: subject %q", m.To[0], l.Subject)
		}
		for _, line := range strings.Split(string(m.Raw), "\r\n") {
			if len(line) > 998 || strings.ContainsAny(line, "\r\n\x00") {
				t.Errorf("%s: line %.80q", m.To[0], line)
			}
		}
	}
}

// TestA18_OperatorsSeeHiddenCharacters: in mail to operators a name shows them; in mail
// to people it has none.
func TestA18_OperatorsSeeHiddenCharacters(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	var msgs []notify.Message
	for _, kind := range []notify.Kind{notify.Differing, notify.Halted, notify.Issued} {
		msgs = append(msgs, notify.Message{
			ID: string(kind), Key: string(kind), Kind: kind, To: string(kind) + "@corp.example", Language: "en", Made: testkit.Noon,
			Params: notify.Params{
				Devices: []string{"anna\u202eפשה"}, Change: "anna\u202eפשה",
				People: []notify.Mismatch{{UPN: "anna\u202eפשה@corp.example"}},
			},
		})
	}
	testkit.NoError(t, d.db.Enqueue(t.Context(), msgs))
	for _, m := range d.send() {
		l, want := m.Read(t), `anna\u202eפשה`
		if m.To[0] == "issued@corp.example" {
			want = "annaפשה"
		}
		testkit.Contains(t, m.To[0]+", text", l.Text, want)
		testkit.Contains(t, m.To[0]+", HTML", l.HTML, want)
	}
}

// Messages use all their sentences and no others.
func TestEverySentenceOfLettersIsUsed(t *testing.T) {
	t.Parallel()
	data, err := fs.ReadFile(templates.Files, "locales/en.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	built := regexp.MustCompile(`^mail\.(` + strings.Join([]string{
		`(issued|renewed|revoked|invited|code|ending|changed|privileged|reassigned|recalled|differing|stopped|halted|tampered|overused|test)\.(subject|text)`, `code\.waiting`, `fact\.(code|device|person|more|cause|by|at|until)`,
		`by\.(self|helpdesk|admin|system)`, `cause\.(removed|lost|retired|returned|reused|privileged|authority|other)`, `change\.(gone|disabled|expired|protected|sid|upn|unread|reused|other)`,
		`link\.(device|renew|home|pickup|admin)`, `(notyou|help)(\.phone|\.mail)?`, `hello(\.unnamed)?`, `device\.unnamed|moment|more|footer|safe`,
	}, "|") + `)$`)
	n := 0
	for key := range all {
		if !strings.HasPrefix(key, "mail.") {
			continue
		}
		n++
		if !built.MatchString(key) {
			t.Errorf("sentence %s is in no letter", key)
		}
	}
	if n == 0 {
		t.Error("no sentences")
	}
}

// The language is the recipient's, else the configured one.
func TestTheReadersLanguage(t *testing.T) {
	t.Parallel()
	d := open(t, func(c *notify.Config, _ *notify.ServerConfig) { c.Language = "zh-Hans" })
	if err := d.db.SetLanguage(t.Context(), anna, "de"); err != nil {
		t.Fatal(err)
	}
	if err := d.db.SetLanguage(t.Context(), "carl", "tlh"); err != nil {
		t.Fatal(err)
	}
	d.people.put(named("carl", "Carl"))
	for _, id := range []portal.PersonID{anna, "bob", "carl"} {
		d.issue(id, "iPhone", year)
	}
	d.write()
	mails := d.send()
	testkit.Equal(t, "chosen", only(t, mails, "anna@corp.example").Subject, "Neues Zertifikat für iPhone")
	testkit.Equal(t, "unknown", only(t, mails, "bob@corp.example").Subject, "iPhone 有了新证书")
	testkit.Equal(t, "unheard of", only(t, mails, "carl@corp.example").Subject, "iPhone 有了新证书")
}

// A message about a code says where to enter it and until when, and never contains the
// code.
func TestALetterHoldsNoCode(t *testing.T) {
	t.Parallel()
	d := open(t, nil)
	e := d.entry(audit.InvitationMade, anna, "expires", testkit.Noon.Add(day).Format(time.RFC3339), "code", "7F3K9QXM2WTA", "by", "holly")
	e.Actor, e.Role = "holly", "helpdesk"
	d.note(e)
	d.write()
	l := only(t, d.send(), "anna@corp.example")
	testkit.Contains(t, "until", l.Text, "Valid until: 23 November 2026, 12:00 UTC")
	testkit.Contains(t, "by", l.Text, "Done by: The helpdesk")
	if strings.Contains(l.Text+l.HTML, "7F3K") {
		t.Error("the letter holds the code")
	}
}
