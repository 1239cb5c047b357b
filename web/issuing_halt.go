package web

import (
	"cmp"
	"net/http"

	"certportal/internal/admin"
	"certportal/internal/authz"
	"certportal/internal/portal"
	"certportal/web/page"
)

// showHalt is GET /admin/halt.
func (s adminPages) showHalt(w http.ResponseWriter, r *http.Request) error {
	h, err := s.admin.Halted(r.Context())
	if err != nil {
		return err
	}
	names, err := s.personNames(r.Context(), []portal.PersonID{portal.PersonID(h.Actor)})
	if err != nil {
		return err
	}
	p := page.AdminHalt{
		Layout: s.staffLayout(r), On: h.On(), Since: h.Since, Actor: cmp.Or(names[portal.PersonID(h.Actor)], h.Actor), Text: h.Reason, Languages: page.Languages(),
		Restored: h.Reason == admin.RestoredCopy,
	}
	f, ok, err := s.typedAgain(w, r)
	if err != nil {
		return err
	}
	if ok && !p.On {
		p.Text, p.Texts, p.Resumed = f["comment"], haltTexts(f), true
	}
	return s.render(w, r, http.StatusOK, p)
}

// haltFields lists the fields of the form: the text for all, and one for each language.
func haltFields() []string {
	fields := []string{"comment"}
	for _, lang := range page.Languages() {
		fields = append(fields, "comment-"+lang)
	}
	return fields
}

// haltTexts returns the texts in the form by language, "" for the one for all.
func haltTexts(f form) map[string]string {
	texts := map[string]string{"": f["comment"]}
	for _, lang := range page.Languages() {
		texts[lang] = f["comment-"+lang]
	}
	return texts
}

// submitHalt is POST /admin/halt.
func (s adminPages) submitHalt(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(r, haltFields()...)
	if err != nil {
		return err
	}
	texts := haltTexts(f)
	_, err = s.admin.Halt(r.Context(), actorOf(r), texts)
	if mistake, ok := mistakeOf(err); ok {
		return s.render(w, r, http.StatusUnprocessableEntity, page.AdminHalt{
			Layout: s.staffLayout(r), Text: f["comment"], Texts: texts, Languages: page.Languages(), Errors: []page.FieldError{mistake},
		})
	}
	if err != nil {
		return err
	}
	return redirect(w, "/admin/halt")
}

// submitResume is POST /admin/halt/resume.
func (s adminPages) submitResume(w http.ResponseWriter, r *http.Request) error {
	if _, err := readForm(r); err != nil {
		return err
	}
	if _, err := s.admin.Resume(r.Context(), actorOf(r)); err != nil {
		return err
	}
	return redirect(w, "/admin")
}

// showChecks is GET /admin/checks.
func (s adminPages) showChecks(w http.ResponseWriter, r *http.Request) error {
	results, err := s.admin.Checks(r.Context(), actorOf(r))
	if err != nil {
		return err
	}
	p := page.AdminChecks{Layout: s.staffLayout(r), MayRun: may(r, authz.RunChecks), Verdict: verdictOf(results)}
	for _, result := range results {
		p.Checks = append(p.Checks, checkCard(result))
	}
	return s.render(w, r, http.StatusOK, p)
}

// verdictOf gives the line at the top: the worst state, with how many checks have it.
func verdictOf(results []admin.CheckResult) page.AdminVerdict {
	v := admin.VerdictOf(results)
	line := page.AdminVerdict{State: string(portal.FindingOK), Count: v.Total, At: v.At}
	switch {
	case v.Failed > 0:
		line.State, line.Count = string(portal.FindingFailed), v.Failed
	case v.At.IsZero():
		line.State = "never"
	case v.Warned > 0:
		line.State, line.Count = string(portal.FindingWarning), v.Warned
	}
	return line
}

// runChecks is POST /admin/checks: one check, or all without a name.
func (s adminPages) runChecks(w http.ResponseWriter, r *http.Request) error {
	f, err := readForm(r, "check")
	if err != nil {
		return err
	}
	if err := s.admin.RunChecks(r.Context(), actorOf(r), f["check"]); err != nil {
		return err
	}
	return redirect(w, "/admin/checks")
}
