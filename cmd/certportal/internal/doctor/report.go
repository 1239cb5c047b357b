package doctor

import (
	"fmt"
	"strings"
	"time"

	"certportal/internal/admin"
	"certportal/internal/catalogue"
	"certportal/internal/portal"
	"certportal/templates"
)

// Report is the result of all checks, for the command, for monitoring and for support. Its
// words are the English ones of the administrators' page.
type Report struct {
	Version string              `json:"version"`
	At      time.Time           `json:"at"`
	Data    string              `json:"data"`
	Running bool                `json:"running"` // a portal runs on the data folder
	State   portal.FindingState `json:"state"`   // the worst of all
	Exit    int                 `json:"exit"`
	Checks  []CheckReport       `json:"checks"`
}

// CheckReport is the result of one check.
type CheckReport struct {
	Name     string              `json:"name"` // stable
	Title    string              `json:"title"`
	State    portal.FindingState `json:"state"` // the worst of the findings
	Tried    string              `json:"tried"`
	Todo     string              `json:"todo,omitempty"` // only where there is something to do
	Findings []FindingReport     `json:"findings"`
}

// FindingReport is one thing that a check looked at.
type FindingReport struct {
	What  string              `json:"what"`
	State portal.FindingState `json:"state"`
	Text  string              `json:"text"`
}

// ExitCode is the exit code of the command for a state, as monitoring wants it.
func ExitCode(s portal.FindingState) int {
	switch s {
	case portal.FindingInfo:
		return 2
	case portal.FindingWarning:
		return 3
	case portal.FindingFailed:
		return 4
	}
	return 0
}

// NewReport puts results into words.
func NewReport(results []admin.CheckResult, at time.Time) (Report, error) {
	words, err := catalogue.Read(templates.Files)
	if err != nil {
		return Report{}, err
	}
	r := Report{At: at.UTC().Truncate(time.Second)}
	var all []portal.Finding
	for _, result := range results {
		c, err := checkReport(words, result)
		if err != nil {
			return r, err
		}
		r.Checks = append(r.Checks, c)
		all = append(all, result.Findings...)
	}
	r.State = portal.WorstFinding(all)
	r.Exit = ExitCode(r.State)
	return r, nil
}

func checkReport(words *catalogue.Catalogue, result admin.CheckResult) (c CheckReport, err error) {
	say := func(key string) string {
		if err != nil {
			return ""
		}
		var text string
		text, err = words.Localize(catalogue.English, "admin.check."+result.Name+key, nil, nil)
		return strings.ReplaceAll(text, "**", "")
	}
	c = CheckReport{Name: result.Name, Title: say(""), State: result.State(), Tried: say(".tried"), Findings: []FindingReport{}}
	var todos []string
	for _, key := range result.Todos() {
		todos = append(todos, say(strings.TrimPrefix(key, result.Name)))
	}
	c.Todo = strings.Join(todos, " ")
	for _, f := range result.Findings {
		c.Findings = append(c.Findings, FindingReport{What: f.What, State: f.State, Text: f.Text})
	}
	if err != nil {
		return c, fmt.Errorf("finding the words of check %s: %w", result.Name, err)
	}
	return c, nil
}
