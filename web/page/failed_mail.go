package page

import "time"

// AdminMail is /admin/mail: messages that could not be delivered.
type AdminMail struct {
	Layout
	Rows      []AdminMailRow
	More      bool // there are older ones
	MayResend bool
	Refused   string // why a message was not sent again just now; empty for nothing
	Subject   string // name of its person
}

// Why a message is not sent again.
const (
	MailStale     = "stale"     // what it says is not true any more
	MailNoAddress = "noaddress" // its person has no mail address now
)

func (AdminMail) name() string { return "adminmail" }

// MailKind is the word for a kind of message.
func (v view) MailKind(kind string) (sentence, error) {
	if !v.r.words.Has("admin.mail.kind." + kind) {
		return v.T("admin.mail.kind.other")
	}
	return v.T("admin.mail.kind." + kind)
}

// AdminMailRow is a message that was given up.
type AdminMailRow struct {
	ID, Kind     string
	Name         string // of the person; empty for messages to operators, and where it is not known
	To           string
	Made, Closed time.Time
	Tries        int
	Reason       string // answer of the mail server
	Resendable   bool
}
