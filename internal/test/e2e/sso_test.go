package e2e

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"certportal/internal/test/oidcserver"
	"certportal/internal/test/samba"
)

// startWithSSO runs the portal beside a domain controller and the provider.
func startWithSSO(t *testing.T, dc *samba.DC, idp *oidcserver.Provider, env ...string) *demo {
	t.Helper()
	dir := t.TempDir()
	secret, roots := filepath.Join(dir, "secret"), filepath.Join(dir, "idp.pem")
	write(t, secret, oidcserver.ClientSecret)
	write(t, roots, string(idp.PEM()))
	private(t, secret)
	d := startWithAD(t, dc, append(env, "CERTPORTAL_OPENID_ISSUER="+idp.Issuer(),
		"CERTPORTAL_OPENID_CLIENT_ID="+oidcserver.ClientID, "CERTPORTAL_OPENID_CLIENT_SECRET_FILE="+secret,
		"CERTPORTAL_OPENID_CA_FILE="+roots, "CERTPORTAL_OPENID_NAME=Corp sign-in")...)
	idp.Register(d.https + "/login/callback")
	return d
}

// TestSingleSignOn signs in at the provider in a browser without JavaScript. The token
// names a person by SID; the names in the certificate come from the directory.
func TestSingleSignOn(t *testing.T) {
	need(t, "chromium", "openssl")
	dc, idp := samba.Start(t), oidcserver.New(t, oidcserver.Config{})
	anna := dc.AddUser(t, samba.User{Login: "anna", Name: "Anna Schmidt"})
	leaver := dc.AddUser(t, samba.User{Login: "leaver", Disabled: true})
	d := startWithSSO(t, dc, idp, "CERTPORTAL_OPENID_SID_CLAIM=onprem_sid")

	idp.SignIn(map[string]any{"onprem_sid": anna.SID, "name": "Domain Administrator", "email": "administrator@" + samba.Domain})
	b := openTab(t, look{agent: androidUA})
	b.open(d.https + "/new")
	b.press("#sso")
	if got, want := b.path(), "/new"; got != want {
		t.Fatalf("back at %s, want %s:\n%s", got, want, b.text("main"))
	}
	b.press(`main form .btn`)
	password := strings.Join(strings.Fields(b.text("#install-password")), "")
	file, _ := b.download("#download")
	checkIdentity(t, openFile(t, file, password), "anna@"+samba.Domain, anna.SID)

	for name, claims := range map[string]map[string]any{
		"Your work account is switched off": {"onprem_sid": leaver.SID},
		"We do not know this account":       {"onprem_sid": dc.SID + "-99999", "upn": "anna@" + samba.Domain},
	} {
		idp.SignIn(claims)
		other := openTab(t, look{agent: androidUA})
		other.open(d.https + "/login")
		other.press("#sso")
		if got := other.text("h1"); got != name {
			t.Errorf("%v: %q, want %q", claims, got, name)
		}
	}
}

// directoryScreens lists what people see of a directory, with the person the
// provider vouches for on the way there.
func directoryScreens(idp *oidcserver.Provider) []screen {
	as := func(login string) { idp.SignIn(map[string]any{"upn": login}) }
	enter := func(login string) func(*tab, *demo) {
		return func(b *tab, d *demo) {
			as(login)
			b.open(d.https + "/login")
			b.press("#sso")
		}
	}
	leave := func(b *tab) { b.press(`form[action="/logout"] button`) }
	ask := func(login string) func(*tab, *demo) {
		return func(b *tab, d *demo) {
			enter(login)(b, d)
			b.open(d.https + "/new")
		}
	}
	return []screen{
		{"sso-login", at("/login")},
		{"sso-wrong", func(b *tab, d *demo) {
			b.open(d.https + "/login")
			b.do(chromedp.Click("summary"))
			b.fill(`input[name="username"]`, "nobody")
			b.fill(`input[name="password"]`, "wrong")
			b.press("main form .btn")
		}},
		{"unknown-person", enter("nobody@" + samba.Domain)},
		{"disabled", enter("leaver@" + samba.Domain)},
		{"protected", ask("boss@" + samba.Domain)},
		{"conflict", func(b *tab, d *demo) { leave(b); ask("bob@elsewhere.example")(b, d) }},
		{"not-allowed", func(b *tab, d *demo) { leave(b); ask("carl@"+samba.Domain)(b, d) }},
		{"changed-home", func(b *tab, d *demo) { leave(b); enter("anna@"+samba.Domain)(b, d) }},
		{"changed-device", func(b *tab, d *demo) { b.press(`main [data-device] a.more`) }},
	}
}

// TestPagesOfADirectory holds the pages that only a directory brings about
// against the same bars as TestPages.
func TestPagesOfADirectory(t *testing.T) {
	slow(t)
	browserTool(t, "axe-core", "axe.min.js")
	dc, idp := samba.Start(t), oidcserver.New(t, oidcserver.Config{})
	anna := dc.AddUser(t, samba.User{Login: "anna", UPN: "before@" + samba.Domain})
	dc.AddUser(t, samba.User{Login: "carl"}) // in no group
	boss := dc.AddUser(t, samba.User{Login: "boss"})
	dc.AddMember(t, dc.BySID(t, dc.SID+"-512").DN, boss.DN)
	bob := dc.AddUser(t, samba.User{Login: "bob", UPN: "bob@elsewhere.example"})
	dc.AddUser(t, samba.User{Login: "leaver", Disabled: true})
	phones := dc.AddGroup(t, "GG-Diensthandy-Zertifikatsberechtigte")
	for _, member := range []string{anna.DN, boss.DN, bob.DN} {
		dc.AddMember(t, phones.DN, member)
	}
	d := startWithSSO(t, dc, idp, "CERTPORTAL_DIRECTORY_GROUPS_ENROLL="+phones.SID,
		"CERTPORTAL_DIRECTORY_GROUPS_ENROLL_NAME=GG-Diensthandy-Zertifikatsberechtigte",
		"CERTPORTAL_DIRECTORY_WATCH_EVERY=1s")
	c := d.visitor()
	d.signIn(c, person{Username: "anna", Password: samba.Password})
	device := d.enrolBy(c, "Diensthandy")
	dc.Modify(t, anna.DN, map[string][]string{"userPrincipalName": {"anna@" + samba.Domain}})
	d.awaitOnPage(t, c, strings.TrimSuffix(device, "/install"), `class="box warn`)

	for _, language := range []string{"en", "de", "zh-CN"} {
		openTab(t, look{language: language, scripts: true}).walk(d, language, directoryScreens(idp))
	}
}

// awaitOnPage waits until a page shows something.
func (d *demo) awaitOnPage(t *testing.T, c *http.Client, path, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for {
		_, page, err := d.get(ctx, c, path)
		if err != nil {
			t.Fatalf("%v\n%s", err, d.stderr())
		}
		if strings.Contains(page, want) {
			return
		}
		<-look.C
	}
}
