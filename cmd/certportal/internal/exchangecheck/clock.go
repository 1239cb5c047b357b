package exchangecheck

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"certportal/internal/portal"
)

// The bounds of a difference between the clocks. Kerberos refuses five minutes.
const (
	clockNotice = time.Minute
	clockLimit  = 5 * time.Minute
)

// clock compares the server's clock with this machine's; false without an answer.
func (r *run) clock() (Finding, bool) {
	asked := append([]exchange{r.tls12, r.tls13}, r.came...)
	n := slices.IndexFunc(asked, func(x exchange) bool { return x.stage == answered })
	if n < 0 {
		return Finding{}, false
	}
	x := asked[n]
	f := Finding{Code: "clock", What: stepClock, State: portal.FindingOK, Tried: "the Date header against the clock of this machine"}
	at, err := http.ParseTime(x.answer.header.Get("Date"))
	if err != nil {
		f.Code, f.State, f.Text = "no-date", skipped, "the answer has no date"
		return f, true
	}
	apart := x.answer.at.Sub(at).Truncate(time.Second)
	f.Text = fmt.Sprintf("the server's clock is %v from this one", apart.Abs())
	if apart.Abs() > clockNotice {
		f.Code, f.State = "clock-apart", portal.FindingWarning
		f.Text += map[bool]string{true: " behind", false: " ahead"}[apart > 0]
		f.Mend = "let both follow the same time server"
	}
	if apart.Abs() > clockLimit {
		f.State = portal.FindingFailed
		f.Text += ": Kerberos refuses five minutes, and new certificates are not valid yet for a server that is behind"
	}
	return f, true
}
