package page

import "time"

// AuditLog is /admin/audit: what happened, newest first, and whether it can be
// believed.
type AuditLog struct {
	Layout
	Filter AuditFilter
	Chips  []AuditChip
	Errors []FieldError
	Chain  AuditChain
	Rows   []AuditRow

	First string // address of the newest entries; empty when these are
	Next  string // address of older ones; empty when there are none

	// Partly says that the search looked at many entries and stopped: Next goes on.
	Partly bool
}

func (AuditLog) name() string           { return "auditlog" }
func (p AuditLog) faults() []FieldError { return p.Errors }

// AuditFilter is what the form shows again, as it was typed.
type AuditFilter struct {
	From, To, Action, Person, Object, Actor, Request string

	Actions []string // to choose from, the names of package ledger
}

// AuditChip is one part of a filter, and the address without it.
type AuditChip struct {
	Key   string // of its words, after "audit.field."
	Value string
	Path  string
}

// AuditChain says how far the chain is verified and signed, and where copies are.
type AuditChain struct {
	Verified int64 // the last entry that was verified; 0 before the first look
	At       time.Time
	Full     time.Time // when all of it was verified last

	Sealed   int64 // the last entry that was signed; 0 before the first seal
	SealedAt time.Time

	// Fault names how the chain is broken, as package ledger does; empty while it is
	// whole. Bad to Until are the entries that can be meant.
	Fault      string
	Bad, Until int64
	Since      time.Time

	Copies []AuditCopy
}

// AuditCopy is a place that entries are sent to.
type AuditCopy struct {
	Name    string
	Behind  int // entries it does not have yet
	Failure string
	Since   time.Time
}

// AuditRow is one entry.
type AuditRow struct {
	Seq     int64
	At      time.Time
	Action  string
	Refused bool

	Actor, ActorName string // id, and name where it is known
	ActorPath        string // the same filter for this actor
	Role             string
	Person           string
	PersonName       string
	PersonPath       string
	Object           string
	ObjectPath       string
	Address          string
	Request          string
	Node             string
	Hash             string
	Facts            []AuditFact
}

// AuditFact is one detail of an entry, under its own short key.
type AuditFact struct{ Key, Value string }

// RoleWord is the role somebody acted in, in words; roles that nobody knows stand
// as they are.
func (v view) RoleWord(role string) (sentence, error) {
	if !v.r.words.Has("audit.role." + role) {
		return v.T("audit.role.other", "Role", role)
	}
	return v.T("audit.role." + role)
}
