package page

import "time"

// AuditLog is /admin/audit: the entries, newest first, and the state of the chain.
type AuditLog struct {
	Layout
	Filter AuditFilter
	Chips  []AuditChip
	Errors []FieldError
	Chain  AuditChain
	Rows   []AuditRow

	First string // address of the newest entries; empty when these are
	Next  string // address of older ones; empty when there are none

	// Which lists people of the name in the filter, when there are several; then there are
	// no rows.
	Which     []AuditWhich
	WhichMore bool // there may be more of them

	// Partly says that the search looked at many entries and stopped: Next goes on.
	Partly bool
}

func (AuditLog) name() string           { return "auditlog" }
func (p AuditLog) faults() []FieldError { return p.Errors }

// AuditWhich is one of several people of a name.
type AuditWhich struct{ Name, ID, Path string }

// AuditFilter holds the values of the form.
type AuditFilter struct {
	From, To, Action, Person, Object, Actor, Request string

	Actions []string // to choose from, the names of package audit
}

// AuditChip is one part of a filter, and the address without it.
type AuditChip struct {
	Key   string // of its words, after "audit.field."
	Value string
	Path  string
}

// AuditChain is the state of the hash chain, its checkpoints and copies.
type AuditChain struct {
	Verified int64 // the last verified entry; 0 before the first run
	At       time.Time
	Full     time.Time // when all of it was verified last

	Sealed   int64 // the last signed entry; 0 before the first checkpoint
	SealedAt time.Time

	// Fault is how the chain is broken, in the terms of package audit; empty while it is
	// intact. Bad to Until are the entries that may be affected.
	Fault      string
	Bad, Until int64
	Since      time.Time

	Copies []AuditCopy
}

// AuditCopy is a target to which entries are forwarded.
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

// RoleWord is the word for the actor's role; unknown roles are shown as they are.
func (v view) RoleWord(role string) (sentence, error) {
	if !v.r.words.Has("audit.role." + role) {
		return v.T("audit.role.other", "Role", role)
	}
	return v.T("audit.role." + role)
}
