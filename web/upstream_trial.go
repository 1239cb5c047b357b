package web

import (
	"errors"
	"net/http"

	"certportal/internal/admin"
	"certportal/internal/authz"
	"certportal/internal/enroll"
	"certportal/internal/portal"
	"certportal/web/page"
)

// submitTrial is POST /admin/ca/upstream: tests a CA that the portal does not run.
func (s adminPages) submitTrial(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(r, "upstream", "kind", "person")
	if err != nil {
		return err
	}
	err = s.admin.TryUpstream(r.Context(), actorOf(r), f["upstream"], enroll.TrialKind(f["kind"]), f["person"])
	if err == nil {
		return redirect(w, caStatusPath+"#elsewhere-"+f["upstream"])
	}
	failed, status := trialFailure(err)
	if failed == "" {
		return err
	}
	p, err := s.caStatusPage(r)
	if err != nil {
		return err
	}
	for i := range p.Elsewhere {
		for j := range p.Elsewhere[i].Trials {
			if t := &p.Elsewhere[i].Trials[j]; p.Elsewhere[i].Name == f["upstream"] && t.Kind == f["kind"] {
				t.Failed, t.Typed = failed, f["person"]
			}
		}
	}
	return s.render(w, r, status, p)
}

// trialFailure is the key of why a test was not made, and the status; empty for errors with
// pages of their own.
func trialFailure(err error) (string, int) {
	var denied *authz.Error
	var refusal *portal.Refusal
	switch {
	case errors.Is(err, admin.ErrNoSuchPerson):
		return "person", http.StatusUnprocessableEntity
	case errors.Is(err, enroll.ErrTrialRuns):
		return "busy", http.StatusConflict
	case errors.As(err, &denied) || !errors.As(err, &refusal):
		return "", 0
	case refusal.Reason == portal.TooOften:
		return "often", http.StatusTooManyRequests
	case refusal.Reason == portal.Halted:
		return "halted", http.StatusServiceUnavailable
	}
	return "barred", http.StatusUnprocessableEntity
}

// elsewhereCards shows the CAs that the portal does not run.
func elsewhereCards(all []admin.Upstream, mayTry bool) []page.AdminElsewhere {
	var cards []page.AdminElsewhere
	for _, u := range all {
		card := page.AdminElsewhere{Name: u.Name, Issues: u.Issues}
		for _, kind := range []enroll.TrialKind{enroll.TrialIssue, enroll.TrialRefusal} {
			if kind == enroll.TrialRefusal && !u.Restricts {
				continue // there is nothing to prove
			}
			shown := page.AdminTrial{Upstream: u.Name, MayTry: mayTry, Kind: string(kind), ID: string(kind) + "-" + u.Name}
			if t, ok := u.Trial(kind); ok {
				showTrial(&shown, t)
			}
			card.Trials = append(card.Trials, shown)
		}
		cards = append(cards, card)
	}
	return cards
}

// showTrial shows what is known of a test.
func showTrial(shown *page.AdminTrial, t enroll.Trial) {
	shown.At, shown.UPN, shown.Request, shown.Remote = t.Asked, t.UPN, t.Number.String(), t.ID
	shown.Verdict, shown.Answer = string(t.Verdict()), string(t.State)
	if t.State == enroll.UpstreamDenied {
		shown.Answer += "." + string(t.DeniedAs)
	}
	if !t.Issued() {
		shown.Said = t.Detail
		return
	}
	shown.Answer, shown.Compared = "issued", "same"
	if t.State == enroll.UpstreamRefused {
		shown.Compared, shown.Difference = "other", t.Detail
	}
	switch {
	case t.Serial.IsZero():
		shown.Revoked = "stranger"
		return
	case !t.Revoked.IsZero():
		shown.Revoked, shown.RevokedAt = "done", t.Revoked
	case t.ByHand:
		shown.Revoked = "hand"
	default:
		shown.Revoked, shown.Obstacle = "waits", t.Answer
	}
	shown.Serial = t.Serial.String()
}
