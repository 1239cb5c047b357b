package web

import (
	"fmt"
	"net/http"

	"certportal/ca/upstream/adcs/discovery"
	"certportal/internal/portal"
	"certportal/web/page"
)

// discoverPath is the page of the CAs that Active Directory knows.
const discoverPath = caStatusPath + "/directory"

// showDiscovered is GET /admin/ca/directory. It reads the directory and changes nothing.
func (s adminPages) showDiscovered(w http.ResponseWriter, r *http.Request) error {
	p := page.AdminDirectory{Layout: s.staffLayout(r)}
	survey, known, err := s.admin.Discover(r.Context(), actorOf(r))
	switch {
	case !known && err == nil:
		p.Off = true
	case !known:
		return err
	case err != nil:
		p.Failed = err.Error()
	}
	for n, c := range survey.Choices {
		p.Choices = append(p.Choices, choiceCard(n, c))
	}
	p.Unreadable = survey.Unreadable
	return s.render(w, r, http.StatusOK, p)
}

func choiceCard(n int, c discovery.Choice) page.AdminFoundCA {
	card := page.AdminFoundCA{
		ID: fmt.Sprint("choice-", n+1), Name: c.Name, Config: c.Config(), Unknown: c.Unknown, Unreadable: c.Unreadable, Settings: c.Settings(),
	}
	for _, e := range c.Endpoints {
		shown := page.AdminEndpoint{URL: e.URL, Authentication: e.Authentication.String(), State: "usable"}
		switch {
		case e.RenewalOnly:
			shown.State = "renewal"
		case !e.Usable():
			shown.State = "unusable"
		}
		card.Endpoints = append(card.Endpoints, shown)
	}
	for _, t := range c.Templates {
		shown := page.AdminTemplate{Name: t.Name, DisplayName: t.DisplayName}
		for _, f := range t.Findings {
			shown.Findings = append(shown.Findings, page.AdminFinding{
				What: t.Name, Text: f.Text, State: string(levelState(f.Level)), Said: []page.AdminSentence{page.AdminSentence(f.Sentence)},
			})
		}
		card.Templates = append(card.Templates, shown)
	}
	return card
}

func levelState(l discovery.Level) portal.FindingState {
	switch l {
	case discovery.Critical:
		return portal.FindingFailed
	case discovery.Warning:
		return portal.FindingWarning
	}
	return portal.FindingInfo
}
