package notify

import (
	"time"

	"certportal/internal/audit"
	"certportal/internal/portal"
)

// Kind is what a message is about. It is the middle part of the catalogue keys, "mail."
// + Kind + ".subject", and is stored: add, do not rename.
type Kind string

// The kinds of messages. The first ten go to people, the others to operators.
const (
	Issued     Kind = "issued"     // a certificate was made for a device
	Renewed    Kind = "renewed"    // the same, and the device's old certificate is still valid
	Revoked    Kind = "revoked"    // devices were blocked
	Invited    Kind = "invited"    // a pickup code was made
	Code       Kind = "code"       // a pickup code itself; never in the outbox, see [Notifier.SendCode]
	Ending     Kind = "ending"     // a certificate expires soon
	Changed    Kind = "changed"    // the person's directory names differ from the certificate
	Privileged Kind = "privileged" // the person became protected: their certificates end soon
	Reassigned Kind = "reassigned" // the person's UPN was another account's, whose certificates ended
	Recalled   Kind = "recalled"   // the CA of the person's certificates was revoked: they must be replaced
	Differing  Kind = "differing"  // to operators: differences between certificates and directory
	Stopped    Kind = "stopped"    // to operators: the drift watch stopped
	Halted     Kind = "halted"     // to operators: an administrator stopped issuing
	Tampered   Kind = "tampered"   // to operators: the audit log does not verify
	Overused   Kind = "overused"   // to operators: a staff member made too many pickup codes
	Test       Kind = "test"       // a test mail
)

// Params fill the sentences of a message. They are stored as JSON until the message is
// sent: add, do not rename. Text from people and the directory is sanitized when
// sentences are rendered, not before.
type Params struct {
	Name    string          `json:"name,omitempty"`    // display name of the recipient
	Devices []string        `json:"devices,omitempty"` // names of the devices concerned
	Device  portal.DeviceID `json:"device,omitempty"`  // set when one device is concerned
	At      time.Time       `json:"at,omitzero"`       // time of the event
	Until   time.Time       `json:"until,omitzero"`    // expiry of a certificate or code
	Days    int             `json:"days,omitempty"`    // days until then
	Cause   portal.Cause    `json:"cause,omitempty"`   // why devices were blocked
	Change  string          `json:"change,omitempty"`  // portal.Change, or the reason of a stop
	By      string          `json:"by,omitempty"`      // the role that acted: self, helpdesk, admin or system
	People  []Mismatch      `json:"people,omitempty"`  // to operators: the people concerned
	More    int             `json:"more,omitempty"`    // further people

	// Of a message that is sent at once: never stored.
	Code    string `json:"-"` // a pickup code, grouped
	Waiting bool   `json:"-"` // a second person must approve it first
}

// Counted returns the parameters with the days that are left at a time.
func (p Params) Counted(at time.Time) Params {
	if p.Days > 0 {
		p.Days = max(1, daysUntil(p.Until.Sub(at)))
	}
	return p
}

// Mismatch is a difference between a person's certificates and the directory.
type Mismatch struct {
	UPN    string `json:"upn"`
	Change string `json:"change"` // portal.Change
}

// Message is one mail to one address.
type Message struct {
	ID string // random; part of the Message-ID

	// Key identifies the event and the recipient. The store accepts each key once, so
	// that replicas do not write a message twice.
	Key string

	Kind     Kind
	Person   portal.PersonID // empty for messages to operators
	To       string          // bare address
	Language string          // of the catalogues
	Params   Params
	Made     time.Time
	Tries    int // temporary rejections so far

	Claim string // by which a sender has it; empty for others
}

// Event is an audit entry with what the store knows about its object.
type Event struct {
	audit.Entry
	Language   string          // of the entry's person; empty when unknown
	Device     portal.DeviceID // of the certificate that the entry is about
	DeviceName string
	NotAfter   time.Time // of that certificate
	Renewal    bool      // the device has another certificate that this one replaces
}

// ExpiringCertificate is a certificate that expires soon.
type ExpiringCertificate struct {
	Serial     string
	Person     portal.PersonID
	Language   string // as in Event
	Device     portal.DeviceID
	DeviceName string
	NotAfter   time.Time
}
