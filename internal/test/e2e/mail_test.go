package e2e

import (
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"certportal/internal/test/smtpserver"
)

// TestMail plays the letters of one person with the real program and a real mail
// server: a certificate made, the device lost, the mail server down while the
// next one is made, the program killed and started again.
func TestMail(t *testing.T) {
	server := smtpserver.Start(t, smtpserver.Config{Ways: []string{"PLAIN"}, MustLogin: true})
	secret := filepath.Join(t.TempDir(), "mail-password")
	if err := os.WriteFile(secret, []byte(smtpserver.Password), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{
		"CERTPORTAL_CA_ROOT_KEY=ec-p256", "CERTPORTAL_CA_ISSUING_KEY=ec-p256", "CERTPORTAL_CERTIFICATES_KEY=ec-p256",
		"CERTPORTAL_MAIL_HOST=" + server.Host(), "CERTPORTAL_MAIL_PORT=" + strconv.Itoa(server.Port()),
		"CERTPORTAL_MAIL_CA_FILE=" + server.CAFile(), "CERTPORTAL_MAIL_USER=" + smtpserver.User,
		"CERTPORTAL_MAIL_PASSWORD_FILE=" + secret, "CERTPORTAL_MAIL_FROM=portal@corp.example",
	}
	d := startDemo(t, env...)
	c := d.visitor()
	if _, _, err := d.get(t.Context(), c, "/login?lang=de"); err != nil {
		t.Fatal(err)
	}
	d.signIn(c, d.person("employee"))
	enrol := func(name string) (device string) {
		t.Helper()
		resp, err := d.post(t.Context(), c, "/new", url.Values{"name": {name}, "platform": {"android"}, "request": {"mail-test-token-of-" + name}})
		if err != nil || resp.StatusCode != 303 {
			t.Fatalf("enrolling %s: %v, %v", name, resp, err)
		}
		return strings.Split(resp.Header.Get("Location"), "/")[2]
	}

	device := enrol("Telefon")
	issued := server.Await(t, 1)[0].Read(t)
	wantLetter(t, issued, "Neues Zertifikat für Telefon", "Waren Sie das nicht", d.https+"/devices/"+device+"\n")

	resp, err := d.post(t.Context(), c, "/devices/"+device+"/lost", url.Values{"reason": {"lost"}})
	if err != nil || resp.StatusCode != 303 {
		t.Fatalf("losing the device: %v, %v", resp, err)
	}
	wantLetter(t, server.Await(t, 2)[1].Read(t), "Ein Gerät von Ihnen ist gesperrt", "Grund: Verloren oder gestohlen", "Veranlasst von: Ihnen selbst")

	// A mail server that is down delays no certificate, and a killed program loses no mail.
	server.Down()
	second := enrol("Zweites")
	d.stop(syscall.SIGKILL)
	server.Up(t)
	d.args = []string{"demo", "--listen", strings.TrimPrefix(d.https, "https://"), "--listen-http", strings.TrimPrefix(d.http, "http://"), "--data", d.dir}
	d.start(env...)
	wantLetter(t, server.Await(t, 3)[2].Read(t), "Neues Zertifikat für Zweites", d.https+"/devices/"+second+"\n")
	for _, m := range server.Mails() {
		if !m.Secure || m.User != smtpserver.User {
			t.Errorf("a letter came in the clear or from a stranger: %v, %q", m.Secure, m.User)
		}
	}
}

// wantLetter compares the subject, and looks for the rest in the text.
func wantLetter(t *testing.T, l smtpserver.Message, subject string, texts ...string) {
	t.Helper()
	if l.Subject != subject {
		t.Errorf("subject: got %q, want %q", l.Subject, subject)
	}
	for _, text := range texts {
		if !strings.Contains(l.Text, text) {
			t.Errorf("the letter does not say %q:\n%s", text, l.Text)
		}
	}
}
