package web

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"certportal/ca"
	"certportal/ca/crl"
	"certportal/ca/ocsp"
	"certportal/internal/admin"
	"certportal/internal/authz"
	"certportal/internal/portal"
	"certportal/internal/succession"
	"certportal/web/page"
)

// caStatusPath is the page of the CAs and what they publish.
const caStatusPath = "/admin/ca"

// showCAStatus is GET /admin/ca.
func (s adminPages) showCAStatus(w http.ResponseWriter, r *http.Request) error {
	p, err := s.caStatusPage(r)
	if err != nil {
		return err
	}
	return s.render(w, r, http.StatusOK, p)
}

// caStatusPage collects the state of the CAs, CRLs and OCSP.
func (s adminPages) caStatusPage(r *http.Request) (page.AdminCAStatus, error) {
	st, err := s.admin.Authority(r.Context(), actorOf(r))
	if err != nil {
		return page.AdminCAStatus{}, err
	}
	p := page.AdminCAStatus{
		Layout: s.staffLayout(r), Sealed: st.Sealed, Stopped: st.Stopped, Away: st.Away, Company: st.Company, OCSP: s.ocspCard(st.Online), Trial: checkCard(st.TestIssuance),
		MayPublish: may(r, authz.PublishCRL), MayCheck: may(r, authz.RunChecks), MayTry: may(r, authz.TestIssue),
	}
	p.Trial.Name = "trial"
	p.Elsewhere = elsewhereCards(st.Elsewhere, p.MayTry)
	if st.Discovers {
		p.Directory = discoverPath
	}
	for _, c := range st.CAs {
		card := s.caCard(c)
		if h := st.Holders[c.Name]; c.State != "" {
			card.Held = &page.AdminHeld{People: h.People, Devices: h.Devices, Counting: st.Holders == nil, Path: heldPath(c)}
		}
		p.CAs = append(p.CAs, card)
	}
	p.UpstreamLists = upstreamCards(st.UpstreamLists, s.now())
	for _, result := range st.Addresses {
		p.Addresses = append(p.Addresses, checkCard(result))
	}
	p.Made = publishedNumber(r, st.CAs)
	return p, nil
}

// publishedNumber is the CRL number in the address after publishing by hand, if that
// CRL is the current one.
func publishedNumber(r *http.Request, cas []admin.CAStatus) int64 {
	made, err := strconv.ParseInt(r.URL.Query().Get("made"), 10, 64)
	if err != nil || made == 0 {
		return 0
	}
	for _, c := range cas {
		for _, h := range c.Lists {
			if h.List.Number == made {
				return made
			}
		}
	}
	return 0
}

func (s adminPages) caCard(c admin.CAStatus) page.AdminCA {
	left := c.Certificate.NotAfter.Sub(s.now())
	card := page.AdminCA{
		Name: c.Name, Kind: c.Name, State: string(c.State), Subject: c.Certificate.Subject.String(), Key: ca.DescribeKey(c.Certificate),
		Fingerprint: ca.Fingerprint(c.Certificate), NotAfter: c.Certificate.NotAfter,
		Days: max(0, int(left/(24*time.Hour))), End: string(admin.ExpiryLevelOf(left)),
	}
	if card.Number = authorityNumber(c.Name); card.Number > 0 {
		card.Kind = ca.FirstAuthority
	}
	if c.State != "" && c.State != succession.Active && c.State != succession.Pending {
		card.End = string(admin.ExpiryFar) // it needs no successor: it has one
	}
	for _, h := range c.Lists {
		card.Lists = append(card.Lists, s.crlCard(h))
	}
	return card
}

// heldPath is the list of the certificates in use of an issuing CA.
func heldPath(c admin.CAStatus) string {
	f := admin.Filter{Issuer: c.Name, State: admin.Working}
	if c.State == succession.Revoked {
		f.State = admin.Void
	}
	return withQuery("/admin/certificates", f.Query(time.UTC))
}

// authorityNumber is the number in the name of a later issuing CA; 0 for the first and a
// root.
func authorityNumber(name string) int {
	number, later := strings.CutPrefix(name, ca.FirstAuthority+"-")
	if !later {
		return 0
	}
	n, _ := strconv.Atoi(number) // the portal made the name
	return n
}

func (s adminPages) crlCard(h crl.Health) page.AdminCRL {
	l := h.List
	card := page.AdminCRL{
		Delta: h.Delta, Number: l.Number, ThisUpdate: l.ThisUpdate, NextUpdate: l.NextUpdate, Published: l.Published, Next: h.Next,
		Level: levelKey(h), Size: h.Size, Entries: l.Entries, Waiting: h.Waiting, Trouble: h.Trouble, Since: h.Since,
	}
	if life := l.NextUpdate.Sub(l.ThisUpdate); life > 0 {
		card.Percent = max(0, int(100*s.now().Sub(l.ThisUpdate)/life))
	}
	for _, t := range h.Targets {
		card.Targets = append(card.Targets, page.AdminTarget{Name: t.Name, Number: t.Number, At: t.At, Trouble: t.Trouble})
	}
	return card
}

// levelKey is the catalogue key for the age of a CRL.
func levelKey(h crl.Health) string {
	if h.List.Number == 0 {
		return "none"
	}
	switch h.Level {
	case crl.Half:
		return "half"
	case crl.Late:
		return "late"
	case crl.Ending:
		return "ending"
	case crl.Ended:
		return "ended"
	}
	return "fresh"
}

func (s adminPages) ocspCard(h *ocsp.Health) *page.AdminOCSP {
	if h == nil {
		return nil
	}
	card := &page.AdminOCSP{
		Renews: h.Renews, Kept: h.Kept, Life: int(h.Life / time.Hour), Followed: h.Followed, Trouble: h.Trouble, Since: h.Since,
	}
	if h.Signer != nil {
		card.Signer, card.NotAfter = h.Signer.Subject.String(), h.Signer.NotAfter
	}
	return card
}

// submitPublish is POST /admin/ca/publish: publishes the next CRL of an issuer now.
func (s adminPages) submitPublish(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(r, "issuer")
	if err != nil {
		return err
	}
	list, err := s.admin.PublishNow(r.Context(), actorOf(r), f["issuer"])
	var denied *authz.Error
	var outage *portal.Outage
	switch {
	case err == nil:
		return redirect(w, caStatusPath+"?made="+strconv.FormatInt(list.Number, 10))
	case errors.Is(err, portal.ErrNotFound), errors.As(err, &denied), errors.As(err, &outage):
		return err
	}
	return s.renderPublishFailure(w, r, err)
}

// renderPublishFailure shows why no CRL was published. The one before stays in force.
func (s adminPages) renderPublishFailure(w http.ResponseWriter, r *http.Request, cause error) error {
	p, err := s.caStatusPage(r)
	if err != nil {
		return err
	}
	status := http.StatusServiceUnavailable
	switch {
	case errors.Is(cause, crl.ErrBusy):
		p.Failed, status = "busy", http.StatusConflict
	case errors.Is(cause, ca.ErrNoRootKey):
		p.Failed, status = "away", http.StatusConflict
	default:
		p.Failed = "other"
		s.log.Error("publishing a CRL by hand", "request", requestInfoOf(r).id, "err", cause)
	}
	return s.render(w, r, status, p)
}

// submitAddresses is POST /admin/ca/addresses: checks the public addresses from this
// server.
func (s adminPages) submitAddresses(w http.ResponseWriter, r *http.Request) error {
	if _, err := readForm(r); err != nil {
		return err
	}
	if err := s.admin.RunChecks(r.Context(), actorOf(r), admin.AddressGroup); err != nil {
		return err
	}
	return redirect(w, caStatusPath)
}

// submitTestIssuance is POST /admin/ca/trial: issues and revokes a test certificate.
func (s adminPages) submitTestIssuance(w http.ResponseWriter, r *http.Request) error {
	if _, err := readForm(r); err != nil {
		return err
	}
	if err := s.admin.TestIssue(r.Context(), actorOf(r)); err != nil {
		return err
	}
	return redirect(w, caStatusPath)
}

// checkCard shows the last result of a check.
func checkCard(result admin.CheckResult) page.AdminCheck {
	check := page.AdminCheck{Name: result.Name, At: result.At, State: string(result.State()), Todos: result.Todos()}
	for _, f := range result.Findings {
		finding := page.AdminFinding{What: f.What, Text: f.Text, State: string(f.State)}
		for _, s := range f.Said {
			finding.Said = append(finding.Said, page.AdminSentence(s))
		}
		check.Findings = append(check.Findings, finding)
	}
	return check
}
