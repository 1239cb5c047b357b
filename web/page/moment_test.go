package page_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"certportal/internal/test/testkit"
	"certportal/web/page"
)

func TestDates(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	for lang, want := range map[string]string{
		page.English: "22 November 2027", page.German: "22. November 2027", page.Chinese: "2027年11月22日",
	} {
		p := page.Device{Layout: layout(lang), Device: page.DeviceCard{Name: "x", NotAfter: time.Date(2027, 11, 21, 23, 30, 0, 0, time.UTC)}}
		if got := text(parse(t, render(t, r, p))); !strings.Contains(got, want) {
			t.Errorf("%s: page does not say %q in the zone of the company", lang, want)
		}
	}
}

// Every time on every page is in a <time> with the moment for the script, and the words
// are those of that moment in the zone of the company.
func TestTimesAreMarked(t *testing.T) {
	t.Parallel()
	bare := regexp.MustCompile(`\d\d:\d\d(:\d\d)? (CET|UTC)|(?i)\d{1,2}\.? (november|december|dezember) 2\d\d\d|2\d\d\d年`)
	everyPage(t, func(t *testing.T, _ string, _ sample, data []byte) {
		root := parse(t, data)
		for _, e := range elements(root, "time") {
			at, err := time.Parse(time.RFC3339, attr(e, "datetime"))
			testkit.NoError(t, err)
			if clock := regexp.MustCompile(`\d\d:\d\d`).FindString(text(e)); clock != "" && clock != at.Format("15:04") {
				t.Errorf("<time datetime=%q> says %q", attr(e, "datetime"), text(e))
			}
			if form := attr(e, "data-at"); form == "" {
				t.Errorf("the script cannot rewrite %q", text(e))
			}
			e.Parent.RemoveChild(e)
		}
		if m := bare.FindString(text(root)); m != "" {
			t.Errorf("page shows %q outside of <time>", m)
		}
	})
}

func TestZoneWithoutAName(t *testing.T) {
	t.Parallel()
	c := config()
	c.Location = testkit.Must(time.LoadLocation("Asia/Singapore"))(t)
	r := testkit.Must(page.New(c))(t)
	got := elements(parse(t, render(t, r, page.Paused{Until: noon()})), "time")[0]
	if text(got) != "21:17 UTC+08" || attr(got, "datetime") != "2026-11-22T21:17:00+08:00" {
		t.Errorf("got %q of %q, want 21:17 UTC+08 of 2026-11-22T21:17:00+08:00", text(got), attr(got, "datetime"))
	}
}

// A deadline is never stated longer than it is, a pause never shorter.
func TestDurations(t *testing.T) {
	t.Parallel()
	r := renderer(t)
	tests := []struct {
		left           time.Duration
		deadline, wait string
	}{
		{15 * time.Minute, "for 15 more minutes", "for 15 more minutes"},
		{15*time.Minute - time.Second, "for 14 more minutes", "for 15 more minutes"},
		{time.Minute, "for 1 more minute,", "for 1 more minute,"},
		{10 * time.Second, "for 1 more minute,", "for 1 more minute,"},
		{-time.Second, "for 1 more minute,", "for 1 more minute,"},
		{119 * time.Minute, "for 119 more minutes", "for 119 more minutes"},
		{24 * time.Hour, "for 24 more hours", "for 24 more hours"},
	}
	for _, tt := range tests {
		t.Run(tt.left.String(), func(t *testing.T) {
			end := noon().Add(tt.left)
			clock := end.Add(time.Minute - 1).In(time.FixedZone("CET", 3600)).Format("15:04 MST") // never before it ends
			deadline := page.Install{Layout: layout(page.English), Download: "/d/x/y.p12", Expires: end}
			if got := text(parse(t, render(t, r, deadline))); !strings.Contains(got, tt.deadline) {
				t.Errorf("install page does not say %q", tt.deadline)
			}
			pause := page.Paused{Layout: layout(page.English), Until: end}
			if got := text(parse(t, render(t, r, pause))); !strings.Contains(got, tt.wait) || !strings.Contains(got, "until "+clock) {
				t.Errorf("paused page does not say %q: %s", tt.wait, got)
			}
		})
	}
}

func TestTextsOfTheCompanyByLanguage(t *testing.T) {
	t.Parallel()
	c := config()
	c.Services, c.Helpdesk.Hours = "mail\nde: E-Mail und Kalender", "8 to 18\nde: 8 bis 18 Uhr"
	r := testkit.Must(page.New(c))(t)
	for lang, want := range map[string][2]string{
		page.English: {"can use mail without", "Hours: 8 to 18"}, page.German: {"E-Mail und Kalender", "Zeiten: 8 bis 18 Uhr"}, page.Chinese: {"mail", "8 to 18"},
	} {
		got := text(parse(t, render(t, r, page.Help{Layout: page.Layout{Lang: lang, RequestID: "x"}})))
		for _, words := range want {
			if !strings.Contains(got, words) {
				t.Errorf("%s: help does not say %q: %s", lang, words, got)
			}
		}
		if strings.Contains(got, "de:") {
			t.Errorf("%s: help shows the name of a language: %s", lang, got)
		}
	}
}
