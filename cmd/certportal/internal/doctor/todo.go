package doctor

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"certportal/ca"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/localca"
	"certportal/internal/portal"
	"certportal/store"
	"certportal/store/sqldb"
)

// The ways in which what is to do differs from the general words of a check.
const (
	todoAccount = "account" // the command runs with the wrong account
	todoFirst   = "first"   // the portal makes it at its first start
	todoRestore = "restore" // it is gone or damaged: a backup has it
	todoMode    = "mode"    // the finding has the command
	todoOther   = "other"   // it belongs to another installation
	todoOwn     = "own"     // the portal makes it at each start
	todoACME    = "acme"    // the portal orders it
	todoBehind  = "behind"  // the portal brings it up to date at its start
	todoMoved   = "moved"   // the records are in another database
)

// databaseTodo is what is to do about a database that does not open or answer.
func (d *Doctor) databaseTodo(err error) string {
	switch {
	case errors.Is(err, sqldb.ErrSchemaBehind):
		return todoBehind
	case errors.Is(err, store.ErrMoved):
		return todoMoved
	}
	if d.c.Settings.Database != "" || d.c.Settings.DatabaseFile != "" {
		return ""
	}
	f, open := os.OpenFile(d.c.Settings.Path("portal.db"), os.O_RDWR, 0)
	if open == nil {
		_ = f.Close()
	}
	switch {
	case errors.Is(open, fs.ErrPermission):
		return todoAccount
	case errors.Is(open, fs.ErrNotExist):
		return d.goneTodo()
	case strings.Contains(err.Error(), "not a database"), strings.Contains(err.Error(), "malformed"):
		return todoRestore
	}
	return ""
}

// goneTodo is what is to do about a file that is not there.
func (d *Doctor) goneTodo() string {
	if o := d.c.Outside; o != nil && !o.Served && !o.Running {
		return todoFirst
	}
	return todoRestore
}

// caTodo is what is to do about a CA or a key of it that does not open.
func (d *Doctor) caTodo(err error) string {
	switch {
	case errors.Is(err, ca.ErrExposed):
		return todoMode
	case errors.Is(err, fs.ErrPermission):
		return todoAccount
	case errors.Is(err, fs.ErrNotExist):
		return d.goneTodo()
	case strings.Contains(err.Error(), "incomplete CA"):
		return todoRestore
	case errors.Is(err, localca.ErrOtherRecords):
		return todoOther
	}
	return ""
}

// caFailure is the finding about a CA or a key of it that does not open. A key that other
// accounts can read is reported by the check of files.
func (d *Doctor) caFailure(what string, err error) portal.Finding {
	if errors.Is(err, ca.ErrExposed) && d.namedByFiles(err) {
		return portal.NewFinding(what, portal.FindingSkipped, portal.Say("ca-exposed", "not opened: other accounts can read a key, see the check of files"))
	}
	if d.c.Outside != nil && errors.Is(err, localca.ErrNoPassphrase) {
		switch given := d.c.Settings.CA.PassphraseFile; {
		case given == config.Prompt:
			return portal.NewFinding(what, portal.FindingSkipped, portal.Say("ca-key-prompt", "not opened: its passphrase is typed at the start of the portal"))
		case given == "" && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)):
			return portal.NewFinding(what, portal.FindingSkipped, portal.Say("ca-key-credential", "not opened: this command cannot read its passphrase in %s. "+
				"After certportal setup the service gets the passphrase as a credential. To try it, run as root: "+
				"sudo -u certportal env CERTPORTAL_CA_PASSPHRASE_FILE=prompt certportal doctor --config /etc/certportal/certportal.yaml < /etc/certportal/ca-passphrase",
				d.c.Settings.DefaultPassphraseFile()))
		}
	}
	return portal.Finding{What: what, State: portal.FindingFailed, Text: err.Error(), Todo: d.caTodo(err)}
}

// namedByFiles reports whether the check of files names the command that mends err.
func (d *Doctor) namedByFiles(err error) bool {
	for _, m := range config.Split(d.c.Settings.CheckPermissions()) {
		if at := strings.LastIndex(m.Text, ": chmod 600 "); at >= 0 && strings.HasSuffix(err.Error(), m.Text[at+2:]) {
			return true
		}
	}
	return false
}
