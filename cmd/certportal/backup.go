package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/backup"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/audit"
	"certportal/store"
)

type backupCommands struct {
	Make   backupMake   `cmd:"" default:"withargs" help:"Make a backup. The portal goes on running."`
	Verify backupVerify `cmd:"" help:"Read a backup to its end and open what is in it."`
}

type backupMake struct {
	To             string   `required:"" placeholder:"FILE" help:"New file, or a folder, in which the file gets a name of the time."`
	PassphraseFile string   `placeholder:"FILE" help:"File with the passphrase to encrypt with, or prompt."`
	Recipient      []string `placeholder:"age1…" help:"Public key of age to encrypt to, instead of a passphrase. May be given several times."`
	JSON           bool     `help:"Print the outcome as JSON."`
}

// Run makes the backup.
func (c backupMake) Run(i *invocation) error {
	s, err := i.settings()
	if err != nil {
		return err
	}
	seal := backup.Seal{Recipients: c.Recipient}
	if seal.Passphrase, err = c.passphrase(i); err != nil {
		return err
	}
	to, err := filepath.Abs(c.To)
	if err != nil {
		return err
	}
	db, err := app.OpenOlder(i.ctx, s, i.quiet())
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no portal in %s; name its folder with --data or its settings with --config: %w", s.Data, err)
	}
	if err != nil {
		return err
	}
	defer db.Close()
	path, report, err := backup.Make(i.ctx, i.program().BackupSource(s, db, byOperator()), to, seal)
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(i.io.out).Encode(report)
	}
	if err := printBackup(i.io.out, "Backup "+path, report); err != nil {
		return err
	}
	_, err = fmt.Fprintln(i.io.out, "The passphrase of the CA's keys is not in it, nor that of the backup: keep both elsewhere, on paper too.\n"+
		"To try it: certportal backup verify "+path+" "+c.opener())
	return err
}

// opener is the flag that opens the backup.
func (c backupMake) opener() string {
	if len(c.Recipient) > 0 {
		return "--identity-file KEY"
	}
	return "--passphrase-file " + c.PassphraseFile
}

func (c backupMake) passphrase(i *invocation) (string, error) {
	switch {
	case c.PassphraseFile == "" && len(c.Recipient) == 0:
		return "", usageError("name the passphrase with --passphrase-file, or a --recipient")
	case c.PassphraseFile != "" && len(c.Recipient) > 0:
		return "", usageError("choose --passphrase-file or --recipient")
	case c.PassphraseFile != config.Prompt:
		return readPassphrase(i, c.PassphraseFile)
	}
	text, err := i.terminal().Password("Passphrase of the backup: ")
	if err == nil {
		err = i.terminal().Confirm(text)
	}
	return string(text), err
}

func readPassphrase(i *invocation, file string) (string, error) {
	switch file {
	case "":
		return "", nil
	case config.Prompt:
		text, err := i.terminal().Password("Passphrase of the backup: ")
		return string(text), err
	}
	text, err := config.ReadSecret(file)
	return string(text), err
}

// backupKey are the flags that open a backup.
type backupKey struct {
	PassphraseFile string `placeholder:"FILE" help:"File with the passphrase of the backup, or prompt."`
	IdentityFile   string `placeholder:"FILE" help:"File with the private key of age, for a backup to recipients."`
}

func (k backupKey) key(i *invocation) (key backup.Key, err error) {
	if (k.PassphraseFile == "") == (k.IdentityFile == "") {
		return key, usageError("name the passphrase with --passphrase-file, or the private key with --identity-file")
	}
	if key.Passphrase, err = readPassphrase(i, k.PassphraseFile); err != nil || k.IdentityFile == "" {
		return key, err
	}
	key.Identities, err = config.ReadSecret(k.IdentityFile)
	return key, err
}

type backupVerify struct {
	File string `arg:"" help:"Backup to verify."`
	Work string `placeholder:"DIR" help:"Folder with room for the database in the clear, which is removed again. Default: that of temporary files."`
	JSON bool   `help:"Print what was found as JSON."`

	backupKey `embed:""`
}

// Run verifies a backup. It needs no portal.
func (c backupVerify) Run(i *invocation) error {
	key, err := c.key(i)
	if err != nil {
		return err
	}
	report, err := backup.Verify(i.ctx, c.File, key, c.Work)
	if err != nil {
		return err
	}
	known, said := i.knowsBackup(report)
	if c.JSON {
		return json.NewEncoder(i.io.out).Encode(verified{report, known})
	}
	if err := printBackup(i.io.out, "Verified "+c.File, report); err != nil {
		return err
	}
	_, err = fmt.Fprintf(i.io.out, "  SHA-256 %s\n  %s\n", report.SHA256, said)
	return err
}

// verified is what the command prints as JSON. InAuditLog is absent when no audit log was asked.
type verified struct {
	backup.Report
	InAuditLog *bool `json:"in_audit_log,omitempty"`
}

// knowsBackup asks the audit log of the portal of the settings whether the portal made a file;
// nil when there is none to ask.
func (i *invocation) knowsBackup(r backup.Report) (known *bool, said string) {
	s, err := i.settings()
	var db *store.DB
	if err == nil {
		db, err = app.OpenOlder(i.ctx, s, i.quiet())
	}
	if err != nil && i.cli.ConfigFile+i.cli.Data != "" {
		return nil, "The audit log was not asked whether the portal made this file: " + err.Error()
	}
	if err != nil {
		return nil, "No audit log was asked whether the portal made this file: name the portal with --config or --data, as an account that may read its database."
	}
	defer db.Close()
	found, err := db.Find(i.ctx, audit.Query{Object: r.SHA256, Action: audit.BackupWritten}, math.MaxInt64, 1)
	if err != nil {
		return nil, "The audit log was not asked whether the portal made this file: " + err.Error()
	}
	yes := len(found.Entries) > 0
	if !yes {
		return &yes, "NOT IN THE AUDIT LOG of the portal in " + s.Data + ": another program made this file, or the portal before it noted SHA-256, or the log is older than the file, as after a restore of it."
	}
	e := found.Entries[0]
	return &yes, fmt.Sprintf("The audit log of the portal in %s has this file: entry %d of %s, %s.", s.Data, e.Seq, e.At.UTC().Format(time.RFC3339), e.Detail["file"])
}

// printBackup says what is in a backup.
func printBackup(w io.Writer, title string, r backup.Report) error {
	journal := "with the journal of revocations"
	if !r.Journal {
		journal = "WITHOUT a journal of revocations"
	}
	_, err := fmt.Fprintf(w, "%s: %d bytes, made %s by version %s\n"+
		"  database: %s, schema %d, %d certificates, %d revocations, audit log up to %s\n"+
		"  %d files, %s\n", title, r.Size, r.Made.Format(time.RFC3339), r.Program,
		r.Engine, r.Schema, r.Rows["certificates"], r.Rows["revocations"], r.Head, len(r.Files), journal)
	if err == nil && r.Older {
		_, err = fmt.Fprintln(w, "  It is of an older version: a restore brings its database up to date.")
	}
	return err
}
