// Package page holds the pages: one struct per page, their rendering in three
// languages, and the detection of the client's device.
//
// A page arrives here complete: the handlers decide, the structs hold values, and the
// sentences come from the message catalogues of package templates. The package reads no
// clock, request or database. Every value is text that an attacker may have chosen;
// html/template escapes it, <bdi> isolates it from the sentence around it, and no value
// is ever marked as safe. A misspelt field or a missing sentence fails the rendering as
// a whole, so that half a page is never sent.
//
// The package knows people, certificates and addresses as strings only. Language tags
// follow BCP 47, the choice of a language RFC 9110 section 12.5.4 (Accept-Language).
package page

import "time"

// Page is one page, ready to be rendered: one of the structs of this package.
type Page interface {
	// name is the file under pages/.
	name() string

	// layout is what every page carries.
	layout() Layout
}

// Layout is what every page carries. Each page struct embeds it.
type Layout struct {
	Lang      string    // "en", "de" or "zh-Hans", as Match gives it; anything else is "en"
	Path      string    // path and query of this page, for the language links
	SignedIn  string    // display name; empty without a session
	RequestID string    // id of the request, for the helpdesk; shown on problem and help pages
	InApp     string    // name of the in-app browser, as Detect gives it; empty for a real browser
	PageURL   string    // full address of this page, to be copied into a real browser
	Now       time.Time // from which durations are counted

	StaffHome string      // first staff page, for staff; empty for others
	Staff     []StaffLink // the parts of the staff pages, on staff pages alone
	Resumed   bool        // the form holds what was typed before the reader signed in again
}

// StaffLink is a part of the staff pages.
type StaffLink struct {
	Key  string // of its name, after "staff.nav."
	Path string
	Here bool // this page belongs to it
}

func (f Layout) layout() Layout { return f }

// FieldError is one error in a form. It is shown twice with the same sentence: in the
// summary above the heading, and at the field.
type FieldError struct {
	Field string // name of the form field, "username", "name", …
	Key   string // catalogue key of the sentence, one of the Err… constants
	Value string // what the sentence names, such as the device of that name
	Limit int    // the number in the sentence, such as the longest length
}

// The errors of forms. "refusal." keys are "refusal." plus the reason
// of a refusal of the registrar.
const (
	ErrUsernameEmpty = "login.username.empty"
	ErrPasswordEmpty = "login.password.empty"
	ErrWrong         = "login.wrong" // neither says which of the two is wrong
	ErrSSODenied     = "login.sso.denied"
	ErrSSOFailed     = "login.sso.failed" // both take Value, the name of the identity provider
	ErrNameEmpty     = "refusal.name-empty"
	ErrNameLong      = "refusal.name-long"  // takes Limit
	ErrNameTaken     = "refusal.name-taken" // takes Value, and NewDevice.DuplicateID for the link
	ErrPlatform      = "refusal.platform"
	ErrRenamedOften  = "refusal.renamed-often" // takes Limit
	ErrRenameTaken   = "rename.taken"          // takes Value
	ErrReason        = "lost.reason"
	ErrCode          = "handoff.code.form"
	ErrNumber        = "handoff.number.form"
)

// The platforms, as the form field "platform" and the query "p" name them.
const (
	IOS     = "ios"
	Android = "android"
	Windows = "windows"
	MacOS   = "macos"
	Linux   = "linux"
)

// platforms is the order in which the pages offer the platforms.
func platforms() []string { return []string{IOS, Android, Windows, MacOS, Linux} }

// Hidden is a form field that travels along unseen.
type Hidden struct{ Name, Value string }

// Retry is a form that sends the same act again, with the same idempotency key,
// so that trying again never makes a second certificate.
type Retry struct {
	Action string // path the form posts to
	Fields []Hidden
}
