package doctor

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"sync"
	"time"

	"certportal/ca/upstream"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/admin"
	"certportal/internal/audit"
	"certportal/internal/enroll"
	"certportal/internal/portal"
)

// upstreamAlerts reports what went wrong with CAs that the portal does not run.
func (d *Doctor) upstreamAlerts(ctx context.Context) []admin.Alert {
	t, err := d.c.DB.UpstreamTrouble(ctx, d.c.Now())
	if err != nil {
		d.c.Log.Error("looking at requests to other CAs", "err", err)
		return nil
	}
	var list []admin.Alert
	for _, a := range []struct {
		key      string
		action   audit.Action
		critical bool
		n        int
		at       time.Time
	}{
		{"upstream-refused", audit.UpstreamEnded, true, t.Refused, t.RefusedAt},
		{"upstream-unrevoked", audit.CertificateRevoked, true, t.Unrevoked, t.UnrevokedSince},
		{"upstream-unknown", audit.UpstreamWaits, false, t.Unknown, t.UnknownSince},
		{"upstream-lost", audit.UpstreamEnded, false, t.Lost, t.LostAt},
		{"upstream-unlisted", audit.UpstreamRevoked, true, t.Unlisted, t.UnlistedSince},
		{"upstream-by-itself", audit.CertificateRevoked, false, t.ByAuthority, t.ByAuthorityAt},
	} {
		if a.n > 0 {
			list = append(list, admin.Alert{Key: a.key, Critical: a.critical, Number: a.n, At: a.at, Path: "/admin/audit?action=" + string(a.action)})
		}
	}
	return slices.Concat(list, upstreamTrials{d}.alerts(ctx), d.revokerAlerts(ctx), upstreamLists{d}.alerts(ctx))
}

// upstreamTrials are the tests of CAs that the portal does not run.
type upstreamTrials struct{ *Doctor }

// alerts reports CAs that issued in a test where they had to deny. Only those of the settings
// that can deny it count: another test ends the alert.
func (d upstreamTrials) alerts(ctx context.Context) []admin.Alert {
	issued, err := d.c.DB.UnrestrictedUpstreams(ctx)
	if err != nil {
		d.c.Log.Error("looking at tests of other CAs", "err", err)
		return nil
	}
	alert := admin.Alert{Key: "upstream-unrestricted", Critical: true, Path: caPage}
	for _, u := range d.c.Settings.Upstreams {
		at, is := issued[enroll.UpstreamPrefix+u.Name]
		if !is || !u.Restricts() {
			continue
		}
		alert.Number++
		if at.After(alert.At) {
			alert.At = at
		}
	}
	if alert.Number == 0 {
		return nil
	}
	return []admin.Alert{alert}
}

// silentRevoker is how long a revoker need not ask.
const silentRevoker = time.Hour

// revokerAlerts reports hosts that did not ask what to revoke for their CA while something
// waits for them.
func (d *Doctor) revokerAlerts(ctx context.Context) []admin.Alert {
	with := slices.DeleteFunc(slices.Clone(d.c.Settings.Upstreams), func(u config.UpstreamSettings) bool { return !d.c.Settings.HasRevoker(u) })
	if len(with) == 0 {
		return nil
	}
	known, err := d.c.DB.UpstreamRevokers(ctx, d.c.Now())
	if err != nil {
		d.c.Log.Error("looking at the hosts that revoke for other CAs", "err", err)
		return nil
	}
	var list []admin.Alert
	for _, u := range with {
		n := slices.IndexFunc(known, func(r enroll.UpstreamRevoker) bool { return r.Authority == enroll.UpstreamPrefix+u.Name })
		if n < 0 || known[n].Open == 0 {
			continue
		}
		since := known[n].Asked
		if known[n].Since.After(since) {
			since = known[n].Since
		}
		if d.c.Now().Sub(since) < silentRevoker {
			continue
		}
		list = append(list, admin.Alert{
			Key: "upstream-revoker", Critical: true, Value: u.Name, Number: known[n].Open, At: since,
			Path: "/admin/audit?actor=" + url.QueryEscape(string(portal.Revoker(u.Name).Person)),
		})
	}
	return list
}

// upstreamChecks ask the CAs elsewhere whether they answer and accept the portal; none where
// there is none.
func (d *Doctor) upstreamChecks() []check {
	if len(d.c.Settings.Upstreams) == 0 || d.c.Upstreams == nil {
		return nil
	}
	return []check{
		{name: "upstreams", sections: []string{"upstreams", "certificates"}, run: d.checkUpstreams},
		{name: "upstream-lists", needs: []part{database}, sections: []string{"upstreams"}, run: upstreamLists{d}.check},
	}
}

func (d *Doctor) checkUpstreams(ctx context.Context) []portal.Finding {
	all, err := d.c.Upstreams()
	if err != nil {
		return []portal.Finding{{What: "upstreams", State: portal.FindingFailed, Text: err.Error()}}
	}
	findings := make([]portal.Finding, len(all))
	var wait sync.WaitGroup
	for i, u := range all {
		wait.Go(func() { findings[i] = probeUpstream(ctx, u) })
	}
	wait.Wait()
	return findings
}

// Upstream is a CA that the portal does not run, for its check.
type Upstream struct {
	Name   string
	CA     upstream.CA
	Issues bool // it issues now; others did before

	// Keys reports why the portal's own keys for it cannot be used.
	Keys func() error
}

func probeUpstream(ctx context.Context, u Upstream) portal.Finding {
	_, err := u.CA.Probe(ctx)
	if own := u.Keys(); own != nil {
		err = own // the CA would refuse each request
	}
	switch {
	case errors.Is(err, upstream.ErrUnsupported):
		err = nil
	case err != nil && (!u.Issues || errors.Is(err, upstream.ErrSpare)):
		return portal.Finding{What: u.Name, State: portal.FindingWarning, Text: err.Error()}
	}
	return found(u.Name, err, portal.Say("upstream-fine", "%s answers", u.Name))
}
