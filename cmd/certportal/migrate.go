package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/config"
	"certportal/store"
	"certportal/store/sqldb"
)

// exitBehind is the exit code of migrate --check where something is to be done.
const exitBehind = 3

type migrateCommand struct {
	Check         bool `help:"Say what would be done, and change nothing. Exit code 0: nothing, 3: something, 78: the database is newer than this program, or its records were moved to another one."`
	WithoutBackup bool `help:"Bring the database up to date without a backup of before."`
	JSON          bool `help:"With --check, --to and --to-file: print it as JSON."`

	To     string `placeholder:"ADDRESS" help:"Move all records to another database: postgres://… without a password, an empty database, or sqlite:FILE, a new file."`
	ToFile string `placeholder:"FILE" help:"The same, with the address in a file of mode 0600, as database_file has it."`
	Reopen bool   `help:"Let the portal use a database again whose records were moved away. What was recorded in the other one since is not in it."`
}

// Run brings the database of the settings up to date, as the start of the portal does, or
// moves its records to another one.
func (c migrateCommand) Run(i *invocation) error {
	chosen := 0
	for _, is := range []bool{c.Check, c.To != "", c.ToFile != "", c.Reopen} {
		if is {
			chosen++
		}
	}
	switch {
	case chosen > 1:
		return usageError("choose one of --check, --to, --to-file and --reopen")
	case c.JSON && (chosen == 0 || c.Reopen):
		return usageError("--json goes with --check, --to and --to-file")
	case c.WithoutBackup && chosen > 0:
		return usageError("--without-backup goes with no other")
	}
	s, err := i.settings()
	if err != nil {
		return err
	}
	switch {
	case c.Check:
		return c.check(i, s)
	case c.To != "" || c.ToFile != "":
		return c.move(i, s)
	case c.Reopen:
		return c.reopen(i, s)
	}
	return c.upgrade(i, s)
}

// planOf looks at the database of the settings, which must be there.
func planOf(i *invocation, s *config.Settings) (plan sqldb.Plan, url string, err error) {
	if url, err = app.DatabaseURL(s); err != nil {
		return plan, "", err
	}
	if plan, err = store.PlanUpgrade(i.ctx, url); err != nil {
		return plan, "", err
	}
	if plan.Found == 0 && plan.Engine == sqldb.SQLite {
		return plan, "", fmt.Errorf("there is no portal in %s; name its folder with --data or its settings with --config: %w", s.Data, os.ErrNotExist)
	}
	return plan, url, nil
}

func (c migrateCommand) check(i *invocation, s *config.Settings) error {
	plan, url, err := planOf(i, s)
	if err == nil {
		err = store.CheckPlace(i.ctx, url)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		err = json.NewEncoder(i.io.out).Encode(plan)
	} else {
		err = printPlan(i.io.out, plan)
	}
	if err == nil && len(plan.Steps) > 0 {
		return exitCode(exitBehind)
	}
	return err
}

func (c migrateCommand) upgrade(i *invocation, s *config.Settings) (err error) {
	plan, _, err := planOf(i, s)
	if err != nil {
		return err
	}
	lock, err := lockOf(s, plan)
	if err != nil {
		return err
	}
	defer lock.Close()
	program := i.program()
	program.WithoutBackup = c.WithoutBackup
	db, err := program.OpenStore(i.ctx, s, i.quiet())
	if err != nil {
		return err
	}
	if len(plan.Steps) == 0 {
		_, err = fmt.Fprintf(i.io.out, "The database is up to date: schema %d.\n", plan.Known)
	} else {
		_, err = fmt.Fprintf(i.io.out, "The database was brought from schema %d to %d.\n", plan.Found, plan.Known)
	}
	return errors.Join(err, db.Close())
}

// lockOf keeps portals away from a database in a file.
func lockOf(s *config.Settings, plan sqldb.Plan) (io.Closer, error) {
	if plan.Engine != sqldb.SQLite {
		return io.NopCloser(nil), nil
	}
	return app.LockForCommand(s)
}

// printPlan says what would be done.
func printPlan(w io.Writer, p sqldb.Plan) error {
	var text strings.Builder
	fmt.Fprintf(&text, "Database: %s, %s\nSchema: %d here, %d in this program\n", p.Engine, megabytes(p.Size), p.Found, p.Known)
	switch {
	case len(p.Steps) == 0:
		text.WriteString("Nothing is to be done.\n")
	case p.Found == 0:
		text.WriteString("It is empty: the first start makes its tables.\n")
	default:
		fmt.Fprintf(&text, "%d steps, each in one transaction:\n", len(p.Steps))
		for _, step := range p.Steps {
			fmt.Fprintf(&text, "  %d %s\n", step.Version, strings.ReplaceAll(step.Name, "_", " "))
			for _, work := range step.Work {
				fmt.Fprintf(&text, "    %s\n", describe(work))
			}
		}
		text.WriteString(advice(p.Engine))
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// describe says what is done to a table, and who waits meanwhile.
func describe(w sqldb.Work) string {
	text := fmt.Sprintf("table %s (%d rows", w.Table, w.Rows)
	if w.Size > 0 {
		text += ", " + megabytes(w.Size)
	}
	return text + "): " + map[string]string{
		sqldb.WorkIndex:  "builds an index from all rows; nothing is written to the table meanwhile",
		sqldb.WorkAlter:  "changes its description; locked for a moment",
		sqldb.WorkRows:   "changes or copies rows",
		sqldb.WorkRemove: "is replaced",
		sqldb.WorkGuard:  "adds a trigger; locked for a moment",
	}[w.Kind]
}

func advice(engine string) string {
	if engine == sqldb.SQLite {
		return "A backup is made before. Stop the portal, then start the new version or run certportal migrate.\n"
	}
	return "A backup is made before. Portals of the older version write nothing from the first step on: replace them soon.\n"
}

func megabytes(size int64) string { return fmt.Sprintf("%.1f MB", float64(size)/1e6) }
