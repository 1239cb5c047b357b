package page

import (
	"strings"
	"time"
)

// AdminFilter holds the values of the form of a filter.
type AdminFilter struct {
	Person, Device, Serial, Status, Days, From, To, Since string

	Owner, DeviceID, Sort, Picked, Authority string // which no field of the form shows
}

// Further reports that the folded part of the form holds something. The kind is that of
// the text in the search box.
func (f AdminFilter) Further(kind string) bool {
	return f.Days != "" || f.From != "" || f.To != "" || f.Since != "" || f.Person != "" && kind != "person" ||
		f.Device != "" && kind != "device" || f.Serial != "" && kind != "serial"
}

// AdminChoice is one of several addresses of a list.
type AdminChoice struct {
	Key  string
	Path string
	Here bool
}

// AdminColumn is the head of a column.
type AdminColumn struct {
	Key    string // of its words, after "admin.col."
	Path   string // address of the list in its order; empty when it has none
	Sorted string // as aria-sort: "ascending", "descending"; empty when the list has another order
}

// AdminChip is one part of a filter, and the address without it.
type AdminChip struct {
	Key   string // of its words, after "admin.field."
	Value string
	Named bool // of an authority: Value is the name of one that the portal does not run
	Path  string
}

// AdminList is what list pages have in common.
type AdminList struct {
	Target string // path of the list, where the form of its filter goes

	Query   string // text of the search box
	Kind    string // what it is: the field of the filter that holds it; empty without text
	Kinds   []AdminChoice
	States  []AdminChoice
	Columns []AdminColumn

	Hits     int  // rows of all pages
	MoreHits bool // there are, or may be, more

	Filter AdminFilter
	Chips  []AdminChip
	Errors []FieldError
	First  string // address of the first page; empty when this is it
	Next   string // address of the next page; empty when this is the last
	Looked int    // rows scanned, when the search stopped before the page was full

	Export []Hidden // fields of the form that exports what the filter means; nil where that may not be
}

// AdminCertificates is /admin/certificates.
type AdminCertificates struct {
	Layout
	AdminList
	Rows           []AdminCertificate
	Revocation     *AdminRevocationStatus // on the list of one person: of the last revoked certificate
	MayPick        bool                   // the reader may block selected ones
	BulkRevocation string                 // address of the form that revokes all that match; empty where that may not be
}

func (AdminCertificates) name() string           { return "admincertificates" }
func (p AdminCertificates) faults() []FieldError { return p.Errors }

// AdminCertificate is one row.
type AdminCertificate struct {
	Serial   string
	State    string // key of its word, after "admin.state."
	UPN      string
	Name     string
	Owner    string // id of the person; empty for the portal's own
	DeviceID string
	Device   string
	Platform string
	NotAfter time.Time

	Requested time.Time
	Revocable bool

	Outcome string // of a bulk revocation: key of its word, after "admin.outcome."
}

// AdminDevices is /admin/devices.
type AdminDevices struct {
	Layout
	AdminList
	Rows []AdminDeviceRow
}

func (AdminDevices) name() string           { return "admindevices" }
func (p AdminDevices) faults() []FieldError { return p.Errors }

// AdminDeviceRow is one device.
type AdminDeviceRow struct {
	ID, Name, Platform string
	UPN, Person, Owner string
	State              string // of its certificate; empty without
	Serial             string
	Created            time.Time
	Blocked, Removed   time.Time // zero while it is neither
}

// AdminDevice is /admin/devices/{id}.
type AdminDevice struct {
	Layout
	AdminDeviceRow
	Certificates []AdminCertificate
	Revocation   *AdminRevocationStatus // of the last revoked certificate; nil without one
	Use          Use                    // of the newest certificate
	Refused      Refused                // to its person
	MayRevoke    bool
}

func (AdminDevice) name() string { return "admindevice" }

// AdminDetail is /admin/certificates/{serial}: everything known about one certificate.
type AdminDetail struct {
	Layout
	AdminCertificate
	Own        bool // the portal's own
	Profile    string
	SID, Mail  string
	Subject    string
	Issuer     string
	Key        string
	Signature  string
	NotBefore  time.Time
	Requested  time.Time
	Use        Use
	Refused    Refused                // to its person
	Revocation *AdminRevocationStatus // nil unless it is revoked
	Extensions []AdminExtension
	Chain      []AdminLink
	PEM        string
	Events     []AdminEvent
	MayRevoke  bool
}

func (AdminDetail) name() string { return "admincertificate" }

// AdminExtension is one decoded extension.
type AdminExtension struct {
	OID, Name string
	Critical  bool
	Values    []string
}

// AdminLink is a certificate of the chain.
type AdminLink struct {
	Subject, Fingerprint string
	NotAfter             time.Time
}

// AdminEvent is an audit entry about a certificate.
type AdminEvent struct {
	At                  time.Time
	Seq                 int64
	Action, Actor, Role string
}

// AdminRevoke is the confirm page of a revocation.
type AdminRevoke struct {
	Layout
	What    string // "certificate", "device" or "person"
	Action  string // where the form goes
	Back    string // address of the link that cancels
	Name    string // of the device, or the person
	UPN     string
	Serial  string // of a certificate
	Count   int    // certificates that end
	Limit   int    // how many more the reader may end without another administrator
	Recent  int    // how many they ended within the last hour
	Causes  []string
	Cause   string // chosen before
	Comment string
	Errors  []FieldError
}

func (AdminRevoke) name() string           { return "adminrevoke" }
func (p AdminRevoke) faults() []FieldError { return p.Errors }

// AdminBulkRevocation is /admin/orders/{id}.
type AdminBulkRevocation struct {
	Layout
	AdminBulkRevocationRow
	Expires   time.Time
	Chips     []AdminChip
	Approver  string
	Comment   string
	Cause     string
	Limit     int // how many more certificates the reader may end without another administrator
	Rows      []AdminCertificate
	First     string // address of the first rows; empty when these are
	Next      string // address of further rows; empty after the last
	Causes    []string
	Typed     AdminTyped
	MayAct    bool // the reader made it and may confirm it
	MayAgree  bool // the reader may approve it: another administrator made it
	MayDrop   bool
	Errors    []FieldError
	Reloading bool // the page reloads itself
}

func (AdminBulkRevocation) name() string           { return "adminbulkrevocation" }
func (p AdminBulkRevocation) faults() []FieldError { return p.Errors }

// AdminTyped holds the values of the form of a bulk revocation.
type AdminTyped struct{ Count, Cause, Comment string }

// AdminBulkRevocationRow is one bulk revocation of a list.
type AdminBulkRevocationRow struct {
	ID       string
	State    string // key of its word, after "admin.order."
	Maker    string
	Made     time.Time
	Items    int
	Finished int
	Ended    int
}

// AdminBulkRevocations is /admin/orders.
type AdminBulkRevocations struct {
	Layout
	Rows        []AdminBulkRevocationRow
	First, Next string // addresses of other pages; empty when there is none
}

func (AdminBulkRevocations) name() string { return "adminbulkrevocations" }

// AdminNewBulkRevocation confirms before the matching certificates are collected.
type AdminNewBulkRevocation struct {
	Layout
	Chips  []AdminChip
	Fields []Hidden
	Back   string
	Limit  int
	Picked int // how many were selected one by one; zero for all that match
}

func (AdminNewBulkRevocation) name() string { return "adminnewbulkrevocation" }

// AdminHalt is /admin/halt: the switch.
type AdminHalt struct {
	Layout
	On       bool
	Restored bool // the portal stopped itself: its database is an older copy
	Since    time.Time
	Actor    string
	Text     string // the sentence for people, or the value of the form
	Errors   []FieldError

	Languages []string          // in which there may be a text of its own
	Texts     map[string]string // the values of their fields
}

func (AdminHalt) name() string           { return "adminhalt" }
func (p AdminHalt) faults() []FieldError { return p.Errors }

// AdminChecks is /admin/checks.
type AdminChecks struct {
	Layout
	Verdict AdminVerdict
	Checks  []AdminCheck
	MayRun  bool
}

func (AdminChecks) name() string { return "adminchecks" }

// AdminVerdict sums all checks up.
type AdminVerdict struct {
	State string    // key of its sentence, after "admin.checks.verdict."
	Count int       // checks that are so
	At    time.Time // of the oldest result
}

// AdminCheck is the last result of one check.
type AdminCheck struct {
	Name     string    // key of its words, after "admin.check."
	State    string    // the worst of the findings, "ok" without any
	At       time.Time // zero when it never ran here
	Todos    []string  // keys of what is to do, after "admin.check."
	Findings []AdminFinding
}

// AdminFinding is a sentence for operators.
type AdminFinding struct {
	What, Text string // in English
	State      string // key of its word, after "admin.finding."

	Said []AdminSentence // what Text says; none when there is the English one only
}

// AdminSentence is a sentence of a finding.
type AdminSentence struct {
	Text   string   // in English
	Key    string   // after "admin.detail."; empty when there is the English one only
	Values []string // its values A, B, C, …
}

// Detail are the sentences of a finding in the language of the page; nothing when there are
// the English ones only.
func (v view) Detail(f AdminFinding) sentence {
	var all sentence
	translated := false
	for i, part := range f.Said {
		if i > 0 {
			all = append(all, segment{moment: moment{Text: " "}})
		}
		said, ok := v.detail(part)
		translated = translated || ok
		all = append(all, said...)
	}
	if !translated {
		return nil
	}
	return all
}

// detail is one sentence, and reports whether the language of the page has it.
func (v view) detail(part AdminSentence) (sentence, bool) {
	english := sentence{{moment: moment{Text: part.Text}, Value: true}}
	key := "admin.detail." + part.Key
	if part.Key == "" || !v.r.words.Has(key) {
		return english, false
	}
	var args []any
	for i, value := range part.Values {
		args = append(args, string(rune('A'+i)), value)
	}
	said, err := v.T(key, args...)
	if err != nil {
		return english, false // it has all its values
	}
	return said, true
}

// Checked is the name of what was checked in the language of the page; nothing for an
// address or a key of the settings.
func (v view) Checked(f AdminFinding) (sentence, error) {
	key := "admin.what." + strings.ReplaceAll(f.What, " ", "-")
	if !v.r.words.Has(key) {
		return nil, nil
	}
	return v.T(key)
}

// AdminExport is /admin/export.
type AdminExport struct {
	Layout
	States []string // of certificates; keys after "admin.state."
	Whats  []string // what can be exported; keys after "admin.export."
}

func (AdminExport) name() string { return "adminexport" }

// AdminCauseForm is the part of a form with cause and comment.
type AdminCauseForm struct {
	Causes       []string
	Chosen, Note string
}

// CauseForm returns the part of the form with cause and comment.
func (p AdminRevoke) CauseForm() AdminCauseForm { return AdminCauseForm{p.Causes, p.Cause, p.Comment} }

// CauseForm returns the part of the form with cause and comment.
func (p AdminBulkRevocation) CauseForm() AdminCauseForm {
	return AdminCauseForm{p.Causes, p.Typed.Cause, p.Typed.Comment}
}
