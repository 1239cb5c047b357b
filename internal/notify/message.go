package notify

import (
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

// Kind is what a letter is about. It is the middle part of the catalogue keys,
// "mail." + Kind + ".subject", and is kept in the store: add, do not rename.
type Kind string

// The kinds of letters. The first six go to people, the others to the operators
// of the settings.
const (
	Issued    Kind = "issued"    // a certificate was made for a device
	Renewed   Kind = "renewed"   // the same, in time before the old one ends
	Revoked   Kind = "revoked"   // devices were blocked
	Invited   Kind = "invited"   // the helpdesk made a pickup code
	Ending    Kind = "ending"    // a certificate ends soon
	Changed   Kind = "changed"   // the directory calls the person otherwise than the certificate does
	Differing Kind = "differing" // to operators: the same, of everybody at once
	Stopped   Kind = "stopped"   // to operators: the drift watch stopped
	Halted    Kind = "halted"    // to operators: an administrator stopped issuing
	Tampered  Kind = "tampered"  // to operators: the audit log does not verify
	Overused  Kind = "overused"  // to operators: one of the staff made too many pickup codes
	Test      Kind = "test"      // a mail to see whether mail works
)

// Facts are what a letter of any kind tells, before they are words. They are
// kept as JSON until the letter is sent: add, do not rename. Whatever a person or
// the directory chose is cleaned when it becomes words, not before.
type Params struct {
	Name    string          `json:"name,omitempty"`    // display name of the reader
	Devices []string        `json:"devices,omitempty"` // names of the devices it is about
	Device  portal.DeviceID `json:"device,omitempty"`  // when it is about one
	At      time.Time       `json:"at,omitzero"`       // when it happened
	Until   time.Time       `json:"until,omitzero"`    // end of a certificate or a code
	Days    int             `json:"days,omitempty"`    // left until then
	Cause   portal.Cause    `json:"cause,omitempty"`   // why devices were blocked
	Change  string          `json:"change,omitempty"`  // enroll.Change, or drift's reason for a stop
	By      string          `json:"by,omitempty"`      // who did it: self, helpdesk, admin or system
	People  []Mismatch      `json:"people,omitempty"`  // to operators: whom it is about
	More    int             `json:"more,omitempty"`    // further people
}

// Difference is how the directory departed from somebody's certificates.
type Mismatch struct {
	UPN    string `json:"upn"`
	Change string `json:"change"` // enroll.Change
}

// Letter is one mail to one address, from its making until it is sent or given
// up.
type Message struct {
	ID string // random; stands in the Message-ID

	// Key says what the letter is about. The store takes each key once: this is
	// what makes a letter be written once, however many clerks there are.
	Key string

	Kind     Kind
	Person   portal.PersonID // empty for letters to operators
	To       string          // bare address
	Language string          // of the catalogues
	Params   Params
	Made     time.Time
	Tries    int // refused for a while so often
}

// Happening is a ledger entry with what the store knows about its object.
type Event struct {
	audit.Entry
	Language   string          // of the entry's person; empty when unknown
	Device     portal.DeviceID // of the certificate that the entry is about
	DeviceName string
	NotAfter   time.Time // of that certificate
	Renewal    bool      // another certificate of the device waits for its end because of it
}

// Reminder is a certificate that ends soon.
type ExpiringCertificate struct {
	Serial     string
	Person     portal.PersonID
	Language   string // as of Happening
	Device     portal.DeviceID
	DeviceName string
	NotAfter   time.Time
}
