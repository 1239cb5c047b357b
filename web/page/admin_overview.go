package page

import (
	"strconv"
	"strings"
	"time"
)

// The sizes of the bars of the overview, in units of their drawings.
const (
	WeeksHeight = 60  // of the highest bar
	WeekWidth   = 20  // of a bar with its gap
	ReasonWidth = 100 // of the longest bar
)

// AdminOverview is /admin: whether everything is fine, alerts, and statistics.
type AdminOverview struct {
	Layout
	Counts   []AdminCount
	Counted  time.Time // when; zero while the first count goes on
	Looked   time.Time // when the alerts were looked for
	Checked  time.Time // when the oldest result of the health checks was made; zero when one is missing
	Failing  []string  // health checks that did not pass; keys after "admin.check."
	Alerts   []AdminAlert
	Weeks    []AdminWeeks
	Refusals []AdminReason
	Issuers  []AdminIssuer // of the certificates that work, where there are several
	MayHalt  bool

	Campaigns []AdminCampaign
}

// AdminCampaign is the renewal of the certificates of a revoked issuing CA.
type AdminCampaign struct {
	Authority string // its name
	Number    int    // of a later one, from 2
	Began     time.Time
	Ended     time.Time // zero while it runs
	Devices   int       // whose certificates must be replaced
	Done      int       // of these
	Mailed    int       // people
	ToGo      int       // people
	Waits     bool      // nothing issues yet
	NoMail    bool      // the portal sends none
	Path      string    // of the list of those who have not renewed
}

func (AdminOverview) name() string { return "adminoverview" }

// Verdict is the key of the line that answers whether everything is fine, after
// "admin.verdict.".
func (p AdminOverview) Verdict() string {
	for _, alert := range p.Alerts {
		if alert.Critical {
			return "bad"
		}
	}
	switch {
	case len(p.Alerts) > 0 || len(p.Failing) > 0:
		return "warn"
	case p.Checked.IsZero() || p.Looked.Sub(p.Checked) > checksStale:
		return "unknown"
	}
	return "fine"
}

// checksStale is the age from which on the results of the health checks, which run every
// hour, say nothing about now.
const checksStale = 2 * time.Hour

// Matters is how many things the verdict counts.
func (p AdminOverview) Matters() int { return len(p.Alerts) + len(p.Failing) }

// AdminCount is a number with a link to the list behind it.
type AdminCount struct {
	Key    string // of its words, after "admin.count."
	Number int
	Path   string
}

// AdminIssuer is a CA with the number of its certificates that work.
type AdminIssuer struct {
	Name   string // of a CA that the portal does not run
	Later  int    // number of a later one of the portal's own, from 2
	Number int
	Size   int // of the bar, up to ReasonWidth
	Path   string
}

// AdminAlert needs the attention of an administrator.
type AdminAlert struct {
	Key      string // of its sentence, after "admin.concern.", and of its remedy, after "admin.remedy."
	Critical bool
	At       time.Time // zero where the sentence names no time
	Value    string
	Number   int
	Path     string // page that helps
}

// Concern is the sentence of an alert.
func (v view) Concern(a AdminAlert) (sentence, error) {
	var value any = a.Value
	if a.Key == "watch" {
		key := "admin.watch." + a.Value
		if !v.r.words.Has(key) {
			key = "admin.watch.unknown"
		}
		reason, err := v.phrase(key)
		if err != nil {
			return nil, err
		}
		value = reason
	}
	return v.T("admin.concern."+a.Key, "Value", value, "Count", a.Number)
}

// Button is the catalogue key of the name of the page that helps.
func (a AdminAlert) Button() string {
	path, _, _ := strings.Cut(a.Path, "?")
	switch path {
	case "/admin/halt":
		return "admin.halt.h1"
	case "/admin/orders":
		return "admin.orders.h1"
	case "/admin/ca":
		return "staff.nav.authority"
	case "/admin/audit":
		return "staff.nav.audit"
	case "/admin/mail":
		return "admin.mail.h1"
	}
	return "staff.nav.checks"
}

// AdminWeeks are the bars of a number week by week.
type AdminWeeks struct {
	Key  string // of its title, after "admin.weeks."
	Bars []AdminBar
	Most int // the number of the highest bar
}

// First is the day on which the first week begins.
func (w AdminWeeks) First() time.Time { return w.Bars[0].From }

// Last is the day on which the last week begins.
func (w AdminWeeks) Last() time.Time { return w.Bars[len(w.Bars)-1].From }

// AdminBar is the bar of the week that begins at a time.
type AdminBar struct {
	From       time.Time
	Number     int
	X, Y, Size int
}

// AdminReason is the bar of a reason for refusals.
type AdminReason struct {
	Reason string // as [EventRow.Why]
	Number int
	Size   int
}

// Width is the width of the drawing.
func (w AdminWeeks) Width() int { return len(w.Bars) * WeekWidth }

// Number is a number with the language's separator of thousands.
func (v view) Number(n int) (words, error) {
	separator, err := v.phrase("number.thousands")
	return words(grouped(n, string(separator))), err
}

// grouped writes a number with a separator between its thousands.
func grouped(n int, separator string) string {
	digits := strconv.Itoa(n)
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(digits) - 3; i > first; i -= 3 {
		digits = digits[:i] + separator + digits[i:]
	}
	return digits
}
