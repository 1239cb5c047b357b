package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/move"
	"certportal/internal/audit"
	"certportal/store"
	"certportal/store/sqldb"
)

// target is the address to move to. A password in it comes from a file only.
func (c migrateCommand) target() (string, error) {
	if c.ToFile != "" {
		secret, err := config.ReadSecret(c.ToFile)
		if err != nil {
			return "", fmt.Errorf("--to-file: %w", err)
		}
		return string(secret), nil
	}
	address, err := url.Parse(c.To)
	if err != nil {
		return "", usageError("--to: this is no address; write it into a file of mode 0600 and name that with --to-file")
	}
	if !slices.Contains([]string{"postgres", "postgresql", "sqlite"}, address.Scheme) || address.Scheme != "sqlite" && address.Host == "" && address.Query().Get("host") == "" {
		return "", usageError("--to: an address begins with postgres:// and a host, or with sqlite: and a path")
	}
	if _, secret := address.User.Password(); secret || address.Query().Has("password") {
		return "", usageError("--to: everyone on this machine sees a password there: write the address into a file of mode 0600, name that with --to-file, and change the password")
	}
	return c.To, nil
}

// move moves all records to another database.
func (c migrateCommand) move(i *invocation, s *config.Settings) error {
	to, err := c.target()
	if err != nil {
		return err
	}
	plan, from, err := planOf(i, s)
	if err != nil {
		return err
	}
	lock, err := lockOf(s, plan)
	if err != nil {
		return err
	}
	defer lock.Close()
	if host := sqldb.Unverified(to); host != "" {
		fmt.Fprintln(i.io.err, "Warning: "+app.UnverifiedDatabase(host))
	}
	began := time.Now()
	o, err := move.Run(i.ctx, move.Job{
		From: from, To: to, Journal: s.JournalFile(), Now: time.Now, By: byOperator(), Log: i.quiet(),
		Step: func(what string) { fmt.Fprintln(i.io.err, what) },
	})
	if err != nil {
		return err
	}
	if c.JSON {
		return json.NewEncoder(i.io.out).Encode(o)
	}
	if o.Already {
		_, err = fmt.Fprintf(i.io.out, "The records were moved to this database already, up to %s. Nothing was done.\n"+
			"Write into the settings: %s\nStart the portal. Drop nothing.\n", o.Head, c.place())
		return err
	}
	return printMove(i.io.out, o, c, time.Since(began))
}

// place is the setting that names the target.
func (c migrateCommand) place() string {
	if c.ToFile != "" {
		return "database_file: FILE, with the address that --to-file has"
	}
	return "database: " + c.To
}

func printMove(w io.Writer, o move.Outcome, c migrateCommand, took time.Duration) error {
	var text strings.Builder
	var names []string
	var all int64
	for name, rows := range o.Rows {
		names, all = append(names, name), all+rows
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&text, "  %-24s %d\n", name, o.Rows[name])
	}
	fmt.Fprintf(&text, "Moved %d rows of %d tables from %s to %s in %v. Each table has as many rows as before, and the audit log verifies up to %s.\n"+
		"1. Write into the settings: %s\n"+
		"2. Start the portal. The folder ca/ and the journal of revocations stay where they are.\n"+
		"Nothing is recorded in the old database any more; remove it when the portal runs.\n", all, len(names), o.From, o.To, took.Round(time.Millisecond), o.Head, c.place())
	_, err := io.WriteString(w, text.String())
	return err
}

// reopen lets a portal use the database of the settings again.
func (c migrateCommand) reopen(i *invocation, s *config.Settings) error {
	plan, address, err := planOf(i, s)
	if err != nil {
		return err
	}
	lock, err := lockOf(s, plan)
	if err != nil {
		return err
	}
	defer lock.Close()
	entry := byOperator()
	entry.At, entry.Action, entry.Node = time.Now(), audit.DatabaseReopened, s.Node
	if err := store.Reopen(i.ctx, address, entry); err != nil {
		return err
	}
	_, err = fmt.Fprintln(i.io.out, "A portal can use this database again. Use one of the two only: what was recorded in the other since is not in this one.")
	return err
}
