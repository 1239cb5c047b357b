package web_test

import (
	"strings"
	"testing"

	"certportal/internal/portal"
	"certportal/web"
)

// TestMailboxOfALostPhone: after a block the helpdesk sees what can be done about the mail
// that is on the phone; before it, and where there is no mailbox, nothing.
func TestMailboxOfALostPhone(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"mail.example.com", ""} {
		p := newPortal(t, func(c *web.Config) {
			if host != "" {
				c.Exchange = &web.Exchange{Host: host}
			}
		})
		p.add("ada", "Ada Admin", "Ada", portal.Admin)
		anna := p.signedIn("anna", android)
		device := strings.TrimPrefix(anna.enrol("Pixel", "android"), "/devices/")
		ada := p.signedIn("ada", linux)
		const lines = "Get-MobileDevice -Mailbox 'anna@example.com'"
		if got := ada.get(annaPage).text(); strings.Contains(got, lines) {
			t.Errorf("before the block: %s", got)
		}
		if got := ada.post(annaPage+"/devices/"+device+"/block", "reason", "lost", "checked", "in-person", "note", ""); got.status != 303 {
			t.Fatalf("blocking: got %d: %s", got.status, got.text())
		}
		got := ada.get(annaPage + "?lang=en").text()
		for _, want := range []string{lines, "-ActiveSyncBlockedDeviceIDs @{Add = 'DEVICE-ID'}", "Clear-MobileDevice -AccountOnly", "@{Remove = 'DEVICE-ID'}"} {
			if strings.Contains(got, want) != (host != "") {
				t.Errorf("host %q: %q is shown: %t", host, want, host == "")
			}
		}
	}
}
