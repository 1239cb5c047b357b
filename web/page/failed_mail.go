package page

import "time"

// AdminMail is /admin/mail: messages that could not be delivered.
type AdminMail struct {
	Layout
	Rows      []AdminMailRow
	More      bool // there are older ones
	MayResend bool
}

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
