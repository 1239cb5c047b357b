package audit

import "time"

// Query selects entries. Empty fields match all; the others must match exactly.
type Query struct {
	From, Until time.Time // From inclusive, Until exclusive
	Action      Action
	Person      string
	Object      string
	Actor       string
	Request     string
}

// Found is a page of matching entries, newest first.
type Found struct {
	Entries []Entry

	// Next is where the next page starts: entries before this number; 0 after the last.
	// It may be set with empty Entries, because a search stops after scanning a number
	// of entries and lets the caller decide.
	Next int64
}

// Matches reports whether the entry is selected.
func (q Query) Matches(e Entry) bool {
	fits := func(want, got string) bool { return want == "" || want == got }
	return (q.From.IsZero() || !e.At.Before(q.From)) && (q.Until.IsZero() || e.At.Before(q.Until)) &&
		fits(string(q.Action), string(e.Action)) && fits(q.Person, e.Person) && fits(q.Object, e.Object) &&
		fits(q.Actor, e.Actor) && fits(q.Request, e.Request)
}

// Verification is the result of verifying the chain so far, stored so that the next one
// continues there.
type Verification struct {
	Head           // verified up to this entry
	At   time.Time // time of the verification

	FullAt time.Time // when the whole chain was last verified from its first entry
	Broken *Break    // nil while intact
	Since  time.Time // when the break was found
}

// Cursor is the position of a consumer that processes the audit log in order.
type Cursor struct {
	Name    string
	Seq     int64     // last processed entry
	Failure string    // why it does not advance; empty while it does
	Since   time.Time // since when it fails
}
