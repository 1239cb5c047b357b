package web

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"certportal/internal/admin"
	"certportal/internal/authz"
	"certportal/internal/catalogue"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/web/page"
)

// showOverview is GET /admin.
func (s adminPages) showOverview(w http.ResponseWriter, r *http.Request) error {
	o, err := s.admin.Overview(r.Context(), actorOf(r))
	if err != nil {
		return err
	}
	t, now := o.Stats, s.now()
	day := func(t time.Time) string { return t.In(s.zone).Format(time.DateOnly) }
	p := page.AdminOverview{
		Layout: s.staffLayout(r), Counted: t.At, Looked: now, MayHalt: may(r, authz.HaltIssuing),
		Counts: []page.AdminCount{
			{Key: "working", Number: t.Working, Path: "/admin/certificates?status=working"},
			{Key: "issued", Number: t.Issued, Path: "/admin/certificates?from=" + day(t.Since.Issued)},
			{Key: "ending", Number: t.Ending, Path: fmt.Sprint("/admin/certificates?status=expiring&days=", admin.DefaultDays)},
			{Key: "revoked", Number: t.Revoked, Path: "/admin/certificates?status=revoked&since=" + day(t.Since.Revoked)},
			{Key: "failed", Number: t.Failed, Path: "/admin/audit?action=enrolment.refused&from=" + day(t.Since.Failed)},
		},
		Weeks: []page.AdminWeeks{
			weeksOf("issued", t.IssuedWeeks, now.AddDate(0, 0, -7*admin.StatsWeeks)), weeksOf("ending", t.EndingWeeks, now),
		},
		Refusals: refusalBars(o.Refusals), Issuers: s.issuerBars(o.Holders),
	}
	for _, c := range o.Campaigns {
		p.Campaigns = append(p.Campaigns, s.campaignCard(c, o))
	}
	p.Checked, p.Failing = checksVerdict(o.Checks)
	for _, c := range o.Alerts {
		p.Alerts = append(p.Alerts, page.AdminAlert{
			Key: c.Key, Critical: c.Critical, At: c.At, Value: alertValue(c, p.Layout.Lang), Number: c.Number, Path: cmp.Or(c.Path, "/admin/checks"),
		})
	}
	return s.render(w, r, http.StatusOK, p)
}

// campaignCard shows the progress of a campaign.
func (s adminPages) campaignCard(c admin.Campaign, o admin.Overview) page.AdminCampaign {
	list := admin.Filter{Issuer: c.Authority, State: admin.Void}
	return page.AdminCampaign{
		Authority: c.Authority, Number: authorityNumber(c.Authority), Began: c.Began, Ended: c.Ended, Devices: c.Devices,
		Done: max(0, c.Devices-c.Left), Mailed: c.Mailed, ToGo: c.ToGo, Waits: o.Stopped, NoMail: !o.Mails,
		Path: withQuery("/admin/certificates", list.Query(s.zone)),
	}
}

// checksVerdict is when the health check ran that is the longest ago, and the names of
// those that did not pass; the zero time when one never ran.
func checksVerdict(all []admin.CheckResult) (at time.Time, failing []string) {
	for i, c := range all {
		if i == 0 || c.At.Before(at) {
			at = c.At
		}
		if c.State() != portal.FindingOK {
			failing = append(failing, c.Name)
		}
	}
	return at, failing
}

// weeksOf makes the bars of weeks, the first of which begins at a time.
func weeksOf(key string, counts [admin.StatsWeeks]int, first time.Time) page.AdminWeeks {
	w := page.AdminWeeks{Key: key, Most: slices.Max(counts[:])}
	most := max(1, w.Most)
	for i, n := range counts {
		height := (n*page.WeeksHeight + most - 1) / most
		w.Bars = append(w.Bars, page.AdminBar{
			From: first.AddDate(0, 0, 7*i), Number: n, X: i * page.WeekWidth, Y: page.WeeksHeight - height, Size: height,
		})
	}
	return w
}

// refusalBars makes the bars of the reasons for refusals.
func refusalBars(reasons []admin.ReasonCount) []page.AdminReason {
	var bars []page.AdminReason
	for _, reason := range reasons {
		size := (reason.Count*page.ReasonWidth + reasons[0].Count - 1) / reasons[0].Count
		bars = append(bars, page.AdminReason{Reason: reason.Reason, Number: reason.Count, Size: size})
	}
	return bars
}

// issuerBars makes the bars of the CAs, the largest first, when there are several.
func (s adminPages) issuerBars(all map[string]admin.Holders) []page.AdminIssuer {
	if len(all) < 2 {
		return nil
	}
	names := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		return cmp.Or(cmp.Compare(all[b].Devices, all[a].Devices), strings.Compare(a, b))
	})
	most := all[names[0]].Devices
	var bars []page.AdminIssuer
	for _, name := range names {
		list, number := admin.Filter{Issuer: name, State: admin.Working}, all[name].Devices
		bar := page.AdminIssuer{
			Later: authorityNumber(name), Number: number, Size: (number*page.ReasonWidth + most - 1) / most,
			Path: withQuery("/admin/certificates", list.Query(s.zone)),
		}
		if shown, elsewhere := strings.CutPrefix(name, enroll.UpstreamPrefix); elsewhere {
			bar.Name = shown
		}
		bars = append(bars, bar)
	}
	return bars
}

// alertValue is what an alert names: of the halt, the text for readers of the language.
func alertValue(c admin.Alert, lang string) string {
	if c.Key == "halted" {
		return catalogue.Text(c.Value).In(lang)
	}
	return c.Value
}
