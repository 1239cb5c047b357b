package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/backup"
)

type restoreCommand struct {
	From    string `required:"" placeholder:"FILE" help:"Backup to restore."`
	Journal string `placeholder:"FILE" help:"The journal of revocations that outlived the database: what was revoked or issued since is revoked again."`
	JSON    bool   `help:"Print the outcome as JSON."`

	DespiteAuditLog bool `help:"Restore although the audit log does not verify: somebody changed it before the backup was made."`

	backupKey `embed:""`
}

// Run restores a backup into the empty data folder, or with PostgreSQL into the empty
// database of the settings.
func (c restoreCommand) Run(i *invocation) error {
	s, err := i.settings()
	if err != nil {
		return err
	}
	key, err := c.key(i)
	if err != nil {
		return err
	}
	if s.Data, err = filepath.Abs(s.Data); err != nil {
		return err
	}
	address, err := app.DatabaseURL(s)
	if err != nil {
		return err
	}
	began := time.Now()
	o, err := backup.Restore(i.ctx, c.From, key, backup.Target{
		Data: s.Data, Database: address, Journal: s.JournalFile(), Newer: c.Journal,
		DespiteAuditLog: c.DespiteAuditLog, Now: time.Now, By: byOperator(), Log: i.quiet(),
	})
	if errors.Is(err, backup.ErrAuditLog) {
		return fmt.Errorf("%w; find out what was changed, and take an older backup, or restore this one with --despite-audit-log", err)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(i.io.out).Encode(o)
	}
	if err := printBackup(i.io.out, "Restored "+c.From, o.Report); err != nil {
		return err
	}
	return printOutcome(i.io.out, s.Data, o, time.Since(began))
}

// printOutcome says what is lost and what is to do.
func printOutcome(w io.Writer, data string, o backup.Outcome, took time.Duration) error {
	text := fmt.Sprintf("\nWhat happened after %s is lost", o.Made.Format(time.RFC3339))
	text += lost(o)
	if o.Altered != "" {
		text += "\nTHE RECORDS WERE CHANGED before this backup was made: " + o.Altered + ".\nCompare them with copies of the audit log elsewhere before issuing goes on."
	}
	text += fmt.Sprintf("\nEveryone is signed out; codes and waiting files have ended. Issuing is stopped.\n"+
		"1. Put the passphrase of the CA's keys where it was: ca.passphrase_file, the credential of the service (%s after certportal setup), or %s\n", "/etc/certportal/ca-passphrase", filepath.Join(data, "ca-passphrase"))
	if o.Settings != "" {
		text += fmt.Sprintf("2. The settings of then are in %s: put them where certportal reads them.\n", o.Settings)
	} else {
		text += "2. The backup has no settings file: bring your own.\n"
	}
	text += "3. Start the portal and look at the built-in accounts and at blocked devices: all are those of the copy. A password that was changed\n" +
		"   since works no more and the one before it does, roles that were taken away are back, and so is an account that was removed or disabled.\n" +
		"   A device that was blocked since is not.\n" +
		"4. Let issuing go on: at /admin/halt, or with certportal resume and the --config of the portal.\n"
	_, err := fmt.Fprintf(w, "%s\nRestored in %v.\n", text, took.Round(time.Millisecond))
	return err
}

// lost says what the journal brought back, and what nothing brings back.
func lost(o backup.Outcome) string {
	if !o.Newer {
		why := "no newer journal of revocations was given"
		if o.Given {
			why = "the journal of revocations that was given has nothing that the backup lacks.\n" +
				"If it is the newest, nothing was revoked since the backup. If there is a newer one"
		}
		return ", and " + why + ":\n" +
			"certificates REVOKED SINCE ARE GOOD AGAIN, unless a published list in revocation.folders names them.\n" +
			"If the newest journal exists, restore again with it as --journal before you start the portal.\n"
	}
	text := fmt.Sprintf(", as far as the journal of revocations does not have it.\n"+
		"It has %d entries of the audit log that the backup lacks: %d certificates issued, whose holders are no longer on record,\n"+
		"and %d revoked. %d were revoked now; their people ask for new ones.\n"+
		"Their serial numbers, as entries certificate.recalled: certportal audit export --after %d, with the --config of the portal.\n",
		o.Since.Last-o.Number, o.Since.Issued, o.Since.Revoked, o.Recalled, o.Number)
	if len(o.Since.Elsewhere) == 0 {
		return text
	}
	text += fmt.Sprintf("%d of them are of CAs that this portal does not run. REVOKE THEM THERE BY HAND, as the portal does not know them any more\n"+
		"(a request that was open is there under another serial, or not at all):\n", len(o.Since.Elsewhere))
	for _, c := range o.Since.Elsewhere {
		text += fmt.Sprintf("  %s at %s\n", c.Serial, c.Authority)
	}
	return text
}
