package web_test

import (
	"strings"
	"testing"
	"time"

	"certportal/internal/audit"
	"certportal/internal/test/testkit"
	"certportal/web"
	"certportal/web/page"
)

// Days that people choose in filters begin when they do on the pages, wherever the
// server runs.
func TestDaysAreThoseOfThePages(t *testing.T) {
	t.Parallel()
	p := newStaffPortal(t, 0)
	p.reopen(func(c *web.Config) {
		c.Renderer = testkit.Must(page.New(page.Config{Org: "Example", Location: time.FixedZone("NZDT", 13*60*60)}))(t)
	})
	p.signedIn("anna", iPhone).enrol("Phone", "ios")
	note(t, p, audit.Entry{At: p.clock.Now(), Action: audit.PickupRead, Actor: "id-of-ben", Person: "id-of-ben", Object: "d1"})
	utc := p.clock.Now() // noon in UTC is one o'clock of the next day there
	today, yesterday := utc.AddDate(0, 0, 1).Format(time.DateOnly), utc.Format(time.DateOnly)
	ada := p.signedIn("ada", linux)
	for query, want := range map[string]bool{"from=" + today: true, "to=" + yesterday: false, "to=" + today: true} {
		if got := len(ada.get("/admin/audit?person=id-of-ben&"+query).seqs()) == 1; got != want {
			t.Errorf("audit log %s: found %t, want %t", query, got, want)
		}
		if got := strings.Contains(ada.get("/admin/certificates?"+query).text(), "Phone"); got != want {
			t.Errorf("certificates %s: found %t, want %t", query, got, want)
		}
	}
	if got := ada.get("/admin").text(); !strings.Contains(got, "01:00 NZDT") {
		t.Errorf("the overview does not name the zone: %s", got)
	}
}
