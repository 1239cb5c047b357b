package page

import (
	"strings"
	"time"
)

// FindPeople is /helpdesk: a GET form with q, and the people found.
type FindPeople struct {
	Layout
	Query string // as it was typed
	Asked bool   // the query was long enough to be asked
	Found []PersonRow
	More  bool // there are more than are shown
	Limit int  // how many are shown at most
}

func (FindPeople) name() string { return "findpeople" }

// Short reports that something was typed, and too little or too much of it.
func (p FindPeople) Short() bool { return p.Query != "" && !p.Asked }

// PersonRow is a person in a list.
type PersonRow struct {
	Path       string // of their page; empty for an account without a readable id
	Name       string
	Login      string
	Mail       string
	Department string
	Device     string // the device they were found by; empty when by a name of theirs
	Disabled   bool
	Unread     bool // the account cannot be read in full
}

// AccountActive is the state of an account that may have certificates; the other
// states are the reasons of refusals.
const AccountActive = "active"

// PersonDetails is /helpdesk/people/{id}: what staff see of a person.
type PersonDetails struct {
	Layout
	Path   string // of this page
	Person PersonFacts
	State  string // AccountActive, or the reason why they may have no certificate
	Detail string // what the sentence of the state names, such as a group

	Paused  time.Time // until when signing in with a password is paused; zero for not
	Devices []HelpdeskDevice
	Invited *InvitedLine // a code that is open, waiting or has run out; nil for none
	Events  []EventRow
	Failed  []EventRow

	AllEvents bool // Events has those of staff who looked at the page too

	NoCode  string // why the reader may not give a code; empty when they may
	NoBlock string // the same for blocking a device
	Notice  string // catalogue key of what was just done; empty for nothing
	Subject string // what the notice names
}

func (PersonDetails) name() string { return "persondetails" }

// PersonFacts is what the directory says about a person.
type PersonFacts struct {
	Name, Login, UPN, Mail, Department, EmployeeNumber, Phone, Manager string

	MailLeftOut string // why Mail is not in certificates: "shared", "unusable"; empty when it is

	Roles     []string // beyond that of an employee
	Protected bool
}

// HelpdeskDevice is a device as staff see it.
type HelpdeskDevice struct {
	DeviceCard
	Block string // path of the page that blocks it; empty where there is nothing to block

	Use   Use
	Fault string // why it most likely does not work, if it does not; one of those of enroll.Faults

	// Mailbox is what an administrator of Exchange can do about the mail on it; nil while
	// it works, and where there is no mailbox.
	Mailbox []MailboxCommand
}

// Advised reports whether the page says what to do next about the fault: it is not in the
// certificate, which is in force.
func (d HelpdeskDevice) Advised() bool {
	switch d.Fault {
	case "earlier", "mail", "testagain", "file", "untested":
		return true
	}
	return false
}

// Use is what the portal knows of how a certificate is used, as staff see it.
type Use struct {
	Delivered    time.Time // when the device first had it; zero before
	Downloads    int       // complete ones of its file
	LastDownload time.Time
	Tested       time.Time // when it was last shown to the check page; zero for never
	Verdict      string    // what it was worth then, one of the verdicts
	Asked        time.Time // when a server last asked about it, to the hour; zero for never
}

// Refused is the last refusal of something to a person.
type Refused struct {
	At   time.Time // zero for none that is known
	What string    // action, such as "enrolment.refused"
	Why  string    // reason; empty for none
}

// MailboxCommand is a line for the Exchange Management Shell, with the words of
// desk.mailbox.NAME.
type MailboxCommand struct{ Name, Line string }

// InvitedLine is the pickup code of a person.
type InvitedLine struct {
	State   string // "open", "waiting" or "expired"
	Expires time.Time
}

// EventRow is an entry of the audit log about the person.
type EventRow struct {
	At      time.Time
	What    string // action, such as "certificate.issued"
	Why     string // reason of a refusal; empty for none
	Who     string // display name of who acted; empty when it was the person
	System  bool   // the portal did it by itself
	Subject string // the device it was about; empty for none

	Anonymous bool // without a session
}

// GiveCode is /helpdesk/people/{id}/code: the form posts checked, note, purpose
// and device to the same path.
type GiveCode struct {
	Layout
	Path    string // of this page
	Back    string // of the person's page
	Person  string
	State   string // as PersonDetails.State: without AccountActive there is no form
	Detail  string
	Devices []DeviceCard
	Second  bool          // another staff member must approve
	Replace bool          // the person has a code, which ends
	Life    time.Duration // of the code, in whole hours

	Callable bool // the directory has a telephone number of the person

	Checked, Note, Purpose, Device string // as they were sent
	Errors                         []FieldError
}

func (GiveCode) name() string { return "givecode" }

func (p GiveCode) faults() []FieldError { return p.Errors }

// Checks lists how staff identify a person, in the order of the form.
func (v view) Checks() []string { return []string{"in-person", "called-back", "video", "other"} }

// Purposes lists what a code can be for, in the order of the form.
func (p GiveCode) Purposes() []string {
	if len(p.Devices) == 0 {
		return []string{"new"}
	}
	return []string{"new", "lost", "broken"}
}

// Hours is how long a code works.
func (p GiveCode) Hours() int { return int(p.Life / time.Hour) }

// CodeGiven is the page with a pickup code that was just made.
type CodeGiven struct {
	Layout
	Person  string
	Back    string    // of the person's page
	Again   string    // of the form that makes another one
	Slip    string    // of the page to be printed
	Address string    // where the code is entered, without scheme
	Code    string    // grouped; empty once it is hidden for good
	Expires time.Time // end of the code
	Waiting bool      // another staff member must approve first
	Mailed  bool      // codes go to the person's mail address and are not shown
	Mail    string    // where the code, or a letter without it, goes, masked; empty for nowhere
	Device  string    // that was blocked; empty for none
}

func (CodeGiven) name() string { return "codegiven" }

// Slip is the sheet that the person takes along.
type Slip struct {
	Layout
	Person  string
	Back    string    // of the page with the code
	Code    string    // grouped
	Address string    // where the code is entered, without scheme
	QR      QR        // of the address with the code
	Expires time.Time // end of the code
	Maker   string    // initials of who made it
}

func (Slip) name() string { return "slip" }

// Approvals is /helpdesk/approvals: codes that wait for a second person. Each
// button posts to the path of its row, without any field.
type Approvals struct {
	Layout
	Waiting []WaitingCode
	Notice  string // display name of whose code was just approved; empty for none
}

func (Approvals) name() string { return "approvals" }

// WaitingCode is a row of Approvals.
type WaitingCode struct {
	Path    string // where the button posts to
	Person  string
	MadeBy  string
	Made    time.Time
	Checked string // how the person was recognised
	Note    string
	Purpose string
	Mine    bool // the reader made it, or it is for them: no button
}

// BlockDevice is /helpdesk/people/{id}/devices/{device}/block: the form posts
// reason, checked and note to the same path.
type BlockDevice struct {
	Layout
	Path   string // of this page
	Back   string // of the person's page
	Person string
	Device DeviceCard

	Callable bool // the directory has a telephone number of the person

	Reason, Checked, Note string // as they were sent
	Errors                []FieldError
}

func (BlockDevice) name() string { return "blockdevice" }

func (p BlockDevice) faults() []FieldError { return p.Errors }

// Reasons lists why a device is blocked, in the order of the form.
func (p BlockDevice) Reasons() []string { return []string{"lost", "retired", "returned"} }

// codeSymbols are those of pickup codes, in the order of the spelling words.
const codeSymbols = "ABCDEFGHJKMNPQRSTVWXYZ23456789"

// Spell gives the words with which a code is read out, those of each group
// together. The catalogue has one word for each symbol.
func (v view) Spell(code string) ([][]string, error) {
	all, err := v.phrase("desk.spell")
	if err != nil {
		return nil, err
	}
	table := strings.Split(string(all), "; ")
	var groups [][]string
	for group := range strings.SplitSeq(code, "-") {
		var spelt []string
		for _, symbol := range group {
			if n := strings.IndexRune(codeSymbols, symbol); n >= 0 && n < len(table) {
				spelt = append(spelt, table[n])
			}
		}
		groups = append(groups, spelt)
	}
	return groups, nil
}

// English is the same page in English, for what is said in two languages; nil when
// it is in English already.
func (v view) English() *view {
	if v.lang == English {
		return nil
	}
	v.lang = English
	return &v
}

// Why is the sentence for the reason of a refusal, for staff.
func (v view) Why(reason string) (sentence, error) {
	if !v.r.words.Has("desk.why." + reason) {
		return v.T("desk.why.unknown-reason", "Reason", reason)
	}
	return v.T("desk.why." + reason)
}

// Event is the sentence for an audit entry, for staff.
func (v view) Event(action string) (sentence, error) {
	if !v.r.words.Has("desk.event." + action) {
		return v.T("desk.event.other", "Action", action)
	}
	return v.T("desk.event." + action)
}
