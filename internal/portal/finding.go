package portal

import (
	"fmt"
	"regexp"
	"slices"
)

// FindingState is the result of a check.
type FindingState string

// The results of a check. Skipped is one that could not run, because what it needs failed
// in another check. Info needs no action.
const (
	FindingOK      FindingState = "ok"
	FindingSkipped FindingState = "skipped"
	FindingInfo    FindingState = "info"
	FindingWarning FindingState = "warning"
	FindingFailed  FindingState = "failed"
)

// FindingStates lists the results, the best first.
func FindingStates() []FindingState {
	return []FindingState{FindingOK, FindingSkipped, FindingInfo, FindingWarning, FindingFailed}
}

// WorstFinding gives the worst state of the findings, OK without any.
func WorstFinding(findings []Finding) FindingState {
	states, worst := FindingStates(), 0
	for _, f := range findings {
		worst = max(worst, slices.Index(states, f.State))
	}
	return states[worst]
}

// Finding is one result of a check of the installation: a sentence for operators, with the
// next step where there is one.
type Finding struct {
	What  string // what was checked, such as a server's address
	State FindingState
	Text  string // in English
	Todo  string // which words about what is to do fit, of those of the check; empty for the general ones

	Said []Sentence // the same for the catalogues; none when there is the English text only
}

// Sentence is a sentence for operators. Key is that of the same sentence in the catalogues,
// after "admin.detail.", and Values are its values A, B, C, … Without a key there is the
// English one only.
type Sentence struct {
	Text, Key string
	Values    []string
}

// Say makes a sentence: key is its key in the catalogues, format the English one, as that
// of fmt.Sprintf.
func Say(key, format string, args ...any) Sentence {
	s := Sentence{Key: key, Text: fmt.Sprintf(format, args...)}
	for i, verb := range regexp.MustCompile(`%[a-z]`).FindAllString(format, len(args)) {
		s.Values = append(s.Values, fmt.Sprintf(verb, args[i]))
	}
	return s
}

// NewFinding makes a finding of sentences.
func NewFinding(what string, state FindingState, said ...Sentence) Finding {
	f := Finding{What: what, State: state}
	for _, s := range said {
		f.Add(s)
	}
	return f
}

// Add appends a sentence.
func (f *Finding) Add(s Sentence) {
	if f.Text != "" {
		f.Text += " "
	}
	f.Text += s.Text
	f.Said = append(f.Said[:len(f.Said):len(f.Said)], s)
}
