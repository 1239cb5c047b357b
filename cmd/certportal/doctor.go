package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/config"
	"certportal/cmd/certportal/internal/doctor"
	"certportal/internal/admin"
	"certportal/internal/durable"
	"certportal/internal/escape"
	"certportal/internal/portal"
)

// doctorCommands check what is there. Exit codes are for monitoring: 0 all is well, 2 there
// is a note, 3 a warning, 4 a failure, 1 the command itself did not work.
type doctorCommands struct {
	Exchange doctorExchange `cmd:"" help:"Ask an Exchange front end as a phone does, and explain each answer. Exit codes as doctor."`

	Check doctorCheck `cmd:"" default:"withargs" help:"Check the whole installation: what is wrong, what was tried, what to do. Exit codes: 0 all well, 2 notes, 3 warnings, 4 failures."`
}

// Help names the flags of the default command, which kong shows with that command only.
func (doctorCommands) Help() string {
	return "Without a command it checks the whole installation: certportal doctor [--json] [--bundle=FILE], as doctor check."
}

type doctorCheck struct {
	JSON   bool   `name:"json" help:"Print one JSON object, for monitoring."`
	Bundle string `placeholder:"FILE" help:"Also write a zip file for support, without secrets and names of people."`
}

// Run runs all checks of the installation, beside its portal or without.
func (c doctorCheck) Run(i *invocation) error {
	report, err := i.examine(c.Bundle)
	if err != nil {
		return err
	}
	if c.Bundle != "" {
		fmt.Fprintf(i.io.err, "%s is written: read it before you send it.\n", c.Bundle)
	}
	return i.print(report, c.JSON, printReport)
}

// print prints a report as JSON or as text, and returns its exit code.
func (i *invocation) print(r doctor.Report, asJSON bool, text func(io.Writer, doctor.Report)) error {
	out := bufio.NewWriter(escape.Writer{W: i.io.out})
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(r); err != nil {
			return fmt.Errorf("printing the report: %w", err)
		}
	} else {
		text(out, r)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("printing the report: %w", err)
	}
	return exitCode(r.Exit)
}

// exitCode is the exit code of a command that has said all it has to say.
type exitCode int

// Error gives the number.
func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// examine runs all checks, and writes a bundle when a file for it is named.
func (i *invocation) examine(bundle string) (doctor.Report, error) {
	began := time.Now()
	s, wrong, unread := i.examined()
	if unread != nil && bundle != "" {
		return doctor.Report{}, fmt.Errorf("no bundle is written: %w", unread)
	}
	if errors.Is(unread, fs.ErrNotExist) {
		return doctor.Report{}, unread // a mistyped name
	}
	if unread != nil {
		return unreadableSettings(unread, began)
	}
	if info, err := os.Stat(s.Data); err == nil && !info.IsDir() {
		return doctor.Report{}, fmt.Errorf("%s is no folder: name that of the portal with --data", s.Data)
	} else if err != nil {
		return doctor.Report{}, fmt.Errorf("there is no portal in %s; name its folder with --data or its settings with --config: %w", s.Data, err)
	}
	d, done := app.OpenDoctor(i.ctx, version, s, wrong, i.passphraseInput(), i.quiet())
	checks := admin.Checks{List: d.Checks(), Limit: app.CheckLimit}
	results := checks.Run(i.ctx, time.Now)
	if i.ctx.Err() != nil {
		return doctor.Report{}, fmt.Errorf("checking: %w", i.ctx.Err())
	}
	report, err := doctor.NewReport(results, began)
	report.Version, report.Data, report.Running = version, s.Data, d.Running()
	if err == nil && bundle != "" {
		err = i.writeBundle(d, report, bundle)
	}
	if !slices.ContainsFunc(results, admin.CheckResult.Late) {
		done()
	}
	return report, err
}

// passphraseInput is the input where it is a file, and empty otherwise: monitoring may leave
// a pipe open for good.
func (i *invocation) passphraseInput() io.Reader {
	if f, ok := i.io.in.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return f
		}
	}
	return strings.NewReader("")
}

// writeBundle writes the bundle whole, or leaves no file.
func (i *invocation) writeBundle(d *doctor.Doctor, r doctor.Report, file string) error {
	text, err := d.Bundle(i.ctx, r)
	if err != nil {
		return err
	}
	if err := durable.Replace(file, text, 0o600); err != nil {
		return fmt.Errorf("writing the bundle: %w", err)
	}
	return nil
}

// examined reads the settings: with the mistakes in them, or the reason why they cannot be
// read at all.
func (i *invocation) examined() (s *config.Settings, wrong *config.Mistakes, unread error) {
	s, err := config.Examine(i.cli.ConfigFile, i.settingsEnvironment())
	if err != nil && !errors.As(err, &wrong) {
		return s, nil, err
	}
	if _, err := os.Stat(s.Path(doctor.SampleFile)); err == nil && !forRealUse(s) {
		demoSettings(s) // its flags are in no file
	}
	return s, wrong, nil
}

// forRealUse reports whether the settings name what a demo has of its own: what is written
// in them counts, also in a folder that was that of a demo before.
func forRealUse(s *config.Settings) bool {
	names := s.Database + s.DatabaseFile + s.PublicURL + s.PublicHTTPURL + s.PublicCheckURL + s.CheckHeader + s.OpenID.Issuer
	return names != "" || !reflect.DeepEqual(s.Directory, config.DefaultDirectory())
}

// unreadableSettings is the report when nothing is known of the installation.
func unreadableSettings(err error, at time.Time) (doctor.Report, error) {
	f := portal.Finding{What: "settings", State: portal.FindingFailed, Text: err.Error()}
	if errors.Is(err, fs.ErrPermission) {
		f.Todo = "account"
	}
	return doctor.NewReport([]admin.CheckResult{{Name: "settings", Findings: []portal.Finding{f}}}, at)
}

// printReport prints the worst first. Checks in which all is well are one line.
func printReport(w io.Writer, r doctor.Report) {
	states := portal.FindingStates()
	checks := slices.Clone(r.Checks)
	slices.SortStableFunc(checks, func(a, b doctor.CheckReport) int {
		return slices.Index(states, b.State) - slices.Index(states, a.State)
	})
	for _, c := range checks {
		fmt.Fprintf(w, "%-8s %s\n", c.State, c.Title)
		if c.State == portal.FindingOK {
			continue
		}
		for _, f := range c.Findings {
			if f.State != portal.FindingOK {
				fmt.Fprintf(w, "         %s: %s: %s\n", f.State, f.What, f.Text)
			}
		}
		if c.Todo != "" {
			fmt.Fprintf(w, "         Tried: %s\n         To do: %s\n", c.Tried, c.Todo)
		}
	}
	count := map[portal.FindingState]int{}
	for _, c := range r.Checks {
		count[c.State]++
	}
	fmt.Fprintf(w, "\n%d checks: %d failed, %d warn, %d notes, %d not run\n", len(r.Checks),
		count[portal.FindingFailed], count[portal.FindingWarning], count[portal.FindingInfo], count[portal.FindingSkipped])
}

// usageOf is the exit code for a command line that cannot be used. With "doctor" 2 means
// that there are notes, so there it is 1.
func usageOf(err error) int {
	var parse *kong.ParseError
	if errors.As(err, &parse) && strings.HasPrefix(parse.Context.Command(), "doctor") {
		return exitFailed
	}
	return exitUsage
}
