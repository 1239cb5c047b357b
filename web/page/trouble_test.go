package page_test

import (
	"testing"

	"certportal/internal/enroll"
	"certportal/web/page"
)

// deviceFaults are the reasons why a device does not work, as the registrar names them.
func deviceFaults() []string {
	var all []string
	for _, f := range enroll.Faults() {
		all = append(all, string(f))
	}
	return all
}

// TestRemedies: every reason has the one button that mends it and that its reader may
// press; where there is none, there is the helpdesk.
func TestRemedies(t *testing.T) {
	t.Parallel()
	whole := page.Trouble{Device: page.DeviceCard{ID: "d1", Platform: page.Android, Renewable: true, Test: "https://x"}, Mobile: true}
	barred, limited, own, late, blind, desktop, open := whole, whole, whole, whole, whole, whole, whole
	barred.Obstacle, limited.Limited, own.FromCSR, late.Device.Renewable, blind.Device.Test = &page.Problem{}, true, true, false, ""
	desktop.Mobile, open.Open = false, true
	const (
		none, renew, file, test, steps, another, bar, handoff = page.RemedyNone, page.RemedyRenew, page.RemedyNewFile, page.RemedyTest,
			page.RemedyInstall, page.RemedyNew, page.RemedyObstacle, page.RemedyHandoff
	)
	want := map[string][8]string{ // whole, barred, limited, own key, not renewable, no check page, on a computer, file open
		"blocked":       {another, another, none, another, another, another, handoff, another},
		"account":       {none, bar, none, none, none, none, none, none},
		"neverfetched":  {file, bar, none, another, file, file, file, file},
		"ended":         {file, bar, none, another, file, file, file, file},
		"void":          {renew, bar, none, renew, file, renew, renew, renew},
		"expired":       {renew, bar, none, renew, file, renew, renew, renew},
		"renamed":       {renew, bar, none, renew, file, renew, renew, renew},
		"superseded":    {renew, bar, none, renew, file, renew, renew, renew},
		"notdownloaded": {file, bar, none, steps, file, file, file, steps},
		"earlier":       {test, test, test, test, test, file, test, test},
		"mail":          {none, none, none, none, none, none, none, none},
		"testagain":     {test, test, test, test, test, file, test, test},
		"file":          {file, bar, none, steps, file, file, file, steps},
		"untested":      {test, test, test, test, test, file, test, test},
	}
	for _, fault := range deviceFaults() {
		for i, p := range []page.Trouble{whole, barred, limited, own, late, blind, desktop, open} {
			p.Fault = fault
			if got := p.Remedy(); got != want[fault][i] {
				t.Errorf("%s, %d: got %q, want %q", fault, i, got, want[fault][i])
			}
			if p.Also() && (p.Obstacle != nil || p.Limited || p.FromCSR || p.Remedy() == file) {
				t.Errorf("%s, %d: a new file is offered too", fault, i)
			}
		}
	}
}
