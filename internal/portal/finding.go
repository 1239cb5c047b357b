package portal

// FindingState is the result of a check.
type FindingState string

// The results of a check.
const (
	FindingOK      FindingState = "ok"
	FindingWarning FindingState = "warning"
	FindingFailed  FindingState = "failed"
)

// Finding is one result of a check of the installation: a sentence in English for
// operators, with the next step where there is one.
type Finding struct {
	What  string // what was checked, such as a server's address
	State FindingState
	Text  string
}
