package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/directory"
	"certportal/internal/drift"
	"certportal/internal/escape"
	"certportal/internal/portal"
	"certportal/store"
)

type driftCommands struct {
	Check driftCheck `cmd:"" help:"Show whose certificates the directory has moved away from. Changes nothing."`
	Apply driftApply `cmd:"" help:"Mark and revoke what check shows, however many there are. What is due is revoked for good."`
}

type driftCheck struct{}

// Run prints the mismatches and changes nothing.
func (driftCheck) Run(i *invocation) error {
	report, err := i.lookForDrift(drift.Options{})
	return errors.Join(err, stopped(report))
}

type driftApply struct {
	Yes bool `help:"Do it without asking."`
}

// Run applies the mismatches even above the configured share, after the operator
// confirmed them.
func (c driftApply) Run(i *invocation) error {
	if !c.Yes {
		report, err := i.lookForDrift(drift.Options{AnyShare: true})
		switch {
		case err != nil:
			return err
		case report.Stopped == drift.NobodyKnown:
			fmt.Fprintln(i.io.err, "The directory knows NONE of them. Are the settings those of another directory?")
		case report.Stopped != drift.TooMany:
			// The operator may override the share, but not a directory that does not answer.
			if err := stopped(report); err != nil {
				return err
			}
		}
		fmt.Fprint(i.io.err, "Type yes to mark and revoke these: ")
		answer, err := bufio.NewReader(i.io.in).ReadString('\n')
		if strings.TrimSpace(answer) != "yes" {
			return errors.Join(errors.New("nothing was changed"), err)
		}
	}
	report, err := i.lookForDrift(drift.Options{Apply: true, AnyShare: true, Actor: byOperator().Actor})
	return errors.Join(err, stopped(report))
}

// stopped returns the error of a pass that was stopped.
func stopped(r drift.Report) error {
	if r.Stopped == "" {
		return nil
	}
	return errors.Join(fmt.Errorf("stopped: %s", r.Stopped), r.Err)
}

// lookForDrift makes one pass and prints it.
func (i *invocation) lookForDrift(o drift.Options) (report drift.Report, err error) {
	s, err := i.settings()
	if err != nil {
		return report, err
	}
	db, err := i.program().OpenExisting(i.ctx, s, i.quiet())
	if err != nil {
		return report, err
	}
	defer db.Close()
	err = i.withSource(s, db, func(ctx context.Context, people app.Directory) error {
		// A running portal renews the revocation list within a minute.
		watch, err := app.OpenWatch(s, people, db, func() {}, nil, time.Now, i.quiet())
		if err != nil {
			return err
		}
		if report, err = watch.Once(ctx, o); err != nil {
			return err
		}
		return i.printDrift(report, o.Apply, watch.Grace())
	})
	return report, err
}

func (i *invocation) printDrift(r drift.Report, applied bool, grace time.Duration) error {
	w := tabwriter.NewWriter(i.io.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CHANGE\tUPN\tNOW\tCERTIFICATES\tSINCE\tREVOKED AT")
	for _, f := range r.Mismatches {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", f.Change, escape.Value(f.UPN), escape.Value(f.Now), len(f.Serials),
			seenSince(f, applied), revokedAt(f, r.Stopped != "", applied, grace))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	more := ""
	if r.Partial {
		more = " or more"
	}
	summary := fmt.Sprintf("people with certificates: %d; changed within 24 hours: %d%s; the watch stops when more than %d change (directory.watch.share_percent)",
		r.Holders, r.Changed, more, r.Limit)
	if applied {
		summary += fmt.Sprintf("\nchanges marked: %d; marks lifted: %d; certificates revoked: %d", r.Added, r.Removed, r.Revoked)
	}
	if _, err := fmt.Fprintln(i.io.out, summary); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	if r.Incomplete != nil {
		return fmt.Errorf("some changes may be missing: %w", r.Incomplete)
	}
	return nil
}

// seenSince is when a change was recorded; a pass that changes nothing records none.
func seenSince(f drift.PersonMismatch, applied bool) string {
	if !applied && !f.Recorded {
		return "not recorded yet"
	}
	return f.Since.Local().Format(time.DateTime + " MST")
}

// revokedAt says when certificates are revoked. The time holds only once the change is
// recorded and while the watch is not stopped.
func revokedAt(f drift.PersonMismatch, stopped, applied bool, grace time.Duration) string {
	switch {
	case f.Due.IsZero():
		return "never"
	case stopped:
		return "not while the watch is stopped"
	case f.Change == portal.UPNReused && applied:
		return "at once"
	case f.Change == portal.UPNReused:
		return "in the portal's next pass"
	case !applied && !f.Recorded:
		return fmt.Sprintf("%s after the portal's next pass", grace)
	}
	return f.Due.Local().Format(time.DateTime + " MST")
}

// withSource opens the directory of the settings, built-in or LDAP.
func (i *invocation) withSource(s *config.Settings, db *store.DB, do func(context.Context, app.Directory) error) error {
	if s.Directory.Kind != config.KindBuiltin {
		d, err := app.OpenLDAP(s, time.Now, i.quiet())
		if err != nil {
			return err
		}
		defer d.Close()
		return do(i.ctx, d)
	}
	builtin, err := directory.NewBuiltin(db)
	if err != nil {
		return err
	}
	return do(i.ctx, builtin)
}
