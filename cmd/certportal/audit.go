package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"certportal/ca"
	"certportal/internal/audit"
	"certportal/internal/auditmonitor"
	"certportal/store"
)

type auditCommands struct {
	Verify auditVerify `cmd:"" help:"Verify that nobody changed the audit log. Exit 1 when somebody did."`
	Export auditExport `cmd:"" help:"Write entries of the audit log as lines of JSON or syslog."`
}

type auditVerify struct {
	JSON         bool     `help:"Print the outcome as JSON."`
	Head         []string `placeholder:"NUMBER:HASH" help:"An end of the log that was kept elsewhere, from the portal's log lines 'audit log checkpoint'. May be given several times."`
	Certificates bool     `help:"Also verify every certificate, CRL and page of the database, and compare them with the log."`
}

// verdict is what audit verify found, for programs.
type verdict struct {
	OK           bool   `json:"ok"`
	Entries      int64  `json:"entries"`
	Head         string `json:"head"` // NUMBER:HASH, verified up to here
	Seals        int    `json:"seals"`
	LastSeal     string `json:"last_seal,omitempty"`    // NUMBER:HASH
	LastSealAt   string `json:"last_seal_at,omitempty"` // RFC 3339
	SealsChecked bool   `json:"seals_checked"`          // against the CA's certificate, which was there
	FirstBad     int64  `json:"first_bad,omitempty"`
	Until        int64  `json:"until,omitempty"` // last entry that can be affected
	Fault        string `json:"fault,omitempty"`
	Why          string `json:"why,omitempty"`

	// Damaged says what else in the database is not as it was written.
	Damaged []string `json:"damaged,omitempty"`

	// Unlawful are certificates that a CA signed as they are, and that no profile allows.
	Unlawful []string `json:"unlawful,omitempty"`
}

// Run verifies the whole chain, its checkpoints, and heads that were kept elsewhere.
func (c auditVerify) Run(i *invocation) error {
	s, err := i.settings()
	if err != nil {
		return err
	}
	var o auditmonitor.Options
	for _, text := range c.Head {
		head, err := audit.ParseHead(text)
		if err != nil {
			return usageError("--head: " + err.Error())
		}
		o.Known = append(o.Known, head)
	}
	db, err := i.program().OpenExisting(i.ctx, s, i.quiet())
	if err != nil {
		return err
	}
	defer db.Close()
	folder, noCA := ca.OpenFolder(s.Path("ca"))
	if noCA == nil {
		o.Certified = auditmonitor.CertifiedBy(folder.Issued, db)
	}
	report, err := auditmonitor.Verify(i.ctx, db, o)
	if err != nil {
		return err
	}
	breaks, err := c.breaks(i, db, report)
	if err != nil {
		return err
	}
	damaged, err := c.damaged(i, db, folder)
	if err != nil {
		return err
	}
	if err := c.print(i.io.out, report, breaks, damaged, noCA); err != nil {
		return err
	}
	if len(breaks) > 0 {
		return fmt.Errorf("the audit log does not verify: %w", breaks[0])
	}
	if len(damaged.Damaged) > 0 {
		return fmt.Errorf("the database is damaged: %s", damaged.Damaged[0])
	}
	if len(damaged.Unlawful) > 0 {
		return fmt.Errorf("a certificate breaks a rule: %s", damaged.Unlawful[0])
	}
	return nil
}

// breaks lists all faults that were found, in the order of the log.
func (c auditVerify) breaks(i *invocation, db *store.DB, report auditmonitor.Report) ([]*audit.Break, error) {
	var breaks []*audit.Break
	if report.Broken != nil {
		breaks = append(breaks, report.Broken)
	}
	if !c.Certificates {
		return breaks, nil
	}
	differ, err := db.Mismatches(i.ctx, maxShown)
	return append(breaks, differ...), err
}

func (c auditVerify) print(w io.Writer, r auditmonitor.Report, breaks []*audit.Break, damaged store.Damage, noCA error) error {
	v := verdict{
		OK: len(breaks)+len(damaged.Damaged)+len(damaged.Unlawful) == 0, Damaged: damaged.Damaged, Unlawful: damaged.Unlawful, Entries: r.Entries, Head: r.Head.String(), Seals: r.Checkpoints, SealsChecked: noCA == nil,
	}
	if r.LastCheckpoint.Seq > 0 {
		v.LastSeal, v.LastSealAt = r.LastCheckpoint.Head.String(), r.LastCheckpoint.At.Format(time.RFC3339)
	}
	if len(breaks) > 0 {
		b := breaks[0]
		v.FirstBad, v.Until, v.Fault, v.Why = b.Seq, b.Until, string(b.Fault), b.Error()
	}
	if c.JSON {
		return json.NewEncoder(w).Encode(v)
	}
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%d entries verified, up to %s\n", v.Entries, v.Head)
	if v.LastSeal == "" {
		fmt.Fprintln(out, "There is no seal yet: only a copy kept elsewhere shows whether all of it was rewritten.")
	} else {
		fmt.Fprintf(out, "%d seals; the last one is of entry %d, made %s\n", v.Seals, r.LastCheckpoint.Seq, v.LastSealAt)
	}
	if noCA != nil {
		fmt.Fprintf(out, "Who made the seals was NOT checked: the CA's certificate is not there (%v)\n", noCA)
	}
	for _, b := range breaks {
		fmt.Fprintf(out, "BROKEN: %v\n", b)
	}
	if c.Certificates && v.OK && noCA == nil {
		fmt.Fprintln(out, "Certificates, lists and pages of the database: no fault.")
	}
	for _, d := range damaged.Damaged {
		fmt.Fprintf(out, "DAMAGED: %s\n", d)
	}
	for _, u := range damaged.Unlawful {
		fmt.Fprintf(out, "UNLAWFUL: %s\n", u)
	}
	if len(damaged.Unlawful) > 0 {
		fmt.Fprintln(out, "Their CA signed them as they are, so nothing was changed in the database. No profile allows them: revoke each with")
		fmt.Fprintln(out, "certportal revoke --serial SERIAL, let its person make a new one, and look in the audit log for how it came about.")
	}
	return out.Flush()
}

type auditExport struct {
	Since  string `placeholder:"TIME" help:"Only entries from this time on: 2026-11-22, a day in pages.time_zone, or 2026-11-22T08:00:00Z."`
	Until  string `placeholder:"TIME" help:"Only entries before this time, or before this day in pages.time_zone."`
	After  int64  `placeholder:"NUMBER" help:"Only entries behind this one: to go on where the last export ended."`
	Format string `enum:"json,syslog" default:"json" help:"json: one line of JSON for each entry. syslog: one message of RFC 5424 for each line."`
	Out    string `placeholder:"FILE" help:"File to make, readable by you alone. Default: the standard output."`
}

// Run writes entries as they are read: the log may be larger than memory.
func (c auditExport) Run(i *invocation) error {
	s, err := i.settings()
	if err != nil {
		return err
	}
	since, err := parseTime("--since", c.Since, s.Location())
	if err != nil {
		return err
	}
	until, err := parseTime("--until", c.Until, s.Location())
	if err != nil {
		return err
	}
	db, err := i.program().OpenExisting(i.ctx, s, i.quiet())
	if err != nil {
		return err
	}
	defer db.Close()
	e := auditmonitor.Export{After: c.After, Since: since, Until: until, Format: auditmonitor.JSONLines}
	if c.Format == "syslog" {
		e.Format = auditmonitor.SyslogLines
	}
	// Recorded before the first line is written, so that no export is without an entry.
	by := byOperator()
	err = db.Note(i.ctx, audit.Entry{
		At: time.Now(), Action: audit.LogExported, Actor: by.Actor, Role: by.Role,
		Detail: map[string]string{"format": c.Format, "since": c.Since, "until": c.Until, "after": strconv.FormatInt(c.After, 10)},
	})
	if err != nil {
		return err
	}
	return c.write(i, func(w io.Writer) error {
		written, err := e.WriteTo(i.ctx, db, w)
		fmt.Fprintf(i.io.err, "%d entries\n", written)
		return err
	})
}

// write gives where to write to. A file is on disk when it returns nil.
func (c auditExport) write(i *invocation, do func(io.Writer) error) error {
	if c.Out == "" {
		return do(i.io.out)
	}
	file, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("making export: %w", err)
	}
	err = do(file)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// parseTime reads a day in a zone, or a moment with its own.
func parseTime(flag, text string, zone *time.Location) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, usageError(fmt.Sprintf("%s: %q: write 2026-11-22 or 2026-11-22T08:00:00Z", flag, text))
}
