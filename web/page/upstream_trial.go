package page

import "time"

// AdminElsewhere is a CA that the portal does not run.
type AdminElsewhere struct {
	Name   string
	Issues bool // it issues now
	Trials []AdminTrial
}

// AdminTrial is a test of such a CA, step by step, with its form.
type AdminTrial struct {
	Upstream string // its name
	MayTry   bool

	Kind string // "issue" or "refusal": key after "admin.elsewhere."
	ID   string // of its heading on the page

	At      time.Time // zero when there was none; all below is empty then
	UPN     string
	Request string // its number in the records
	Remote  string // how the CA calls it; may be empty
	Verdict string // key after "admin.elsewhere.verdict.KIND."
	Answer  string // key after "admin.elsewhere.answer."
	Said    string // of the CA, in its own language

	Compared   string // "same", "other", or empty without a certificate
	Difference string // in English

	Revoked   string // key after "admin.elsewhere.revoked."; empty without a certificate
	RevokedAt time.Time
	Obstacle  string // what the CA answered to that
	Serial    string

	Failed string // why it was not made: key after "admin.elsewhere.failed."; empty when it was
	Typed  string // the person, then
}

// Mark is the colour of the verdict.
func (t AdminTrial) Mark() string {
	switch t.Verdict {
	case "passed":
		return "working"
	case "failed":
		return "revoked"
	}
	return "expires"
}
