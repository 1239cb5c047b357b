package audit

import "time"

// Query says which entries are looked for. Empty fields match all; the others
// must all match, as they stand.
type Query struct {
	From, Until time.Time // From included, Until not
	Action      Action
	Person      string
	Object      string
	Actor       string
	Request     string
}

// Found is a part of what a query matches, newest first.
type Found struct {
	Entries []Entry

	// Next is where to go on: look for entries before this number. 0 when there
	// are no more. It may be set though Entries is empty: a search stops after
	// looking at so many entries and lets the asker decide.
	Next int64
}

// Matches reports whether the entry is looked for.
func (q Query) Matches(e Entry) bool {
	fits := func(want, got string) bool { return want == "" || want == got }
	return (q.From.IsZero() || !e.At.Before(q.From)) && (q.Until.IsZero() || e.At.Before(q.Until)) &&
		fits(string(q.Action), string(e.Action)) && fits(q.Person, e.Person) && fits(q.Object, e.Object) &&
		fits(q.Actor, e.Actor) && fits(q.Request, e.Request)
}

// Check is what verifying has come to, kept so that the next look goes on from
// there.
type Verification struct {
	Head           // verified up to here
	At   time.Time // when it was

	FullAt time.Time // when the whole chain was last verified, from its first entry
	Broken *Break    // nil while whole
	Since  time.Time // when the break was found
}

// Reader tells how far somebody came who reads the ledger in order.
type Cursor struct {
	Name    string
	Seq     int64     // of the last entry that was read
	Failure string    // why it does not go on; empty while it does
	Since   time.Time // since when it fails
}
