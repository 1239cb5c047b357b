package main

import (
	"fmt"
	"text/tabwriter"

	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/portal"
)

// checkServers asks the directory, the identity provider and the mail server, and prints what it
// finds.
func (i *invocation) checkServers(s *config.Settings) error {
	findings, err := app.CheckServers(i.ctx, s, i.quiet())
	if err != nil {
		return err
	}
	failed := 0
	w := tabwriter.NewWriter(i.io.out, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		if f.State == portal.FindingFailed {
			failed++
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.State, f.What, f.Text)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("printing findings: %w", err)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks failed", failed, len(findings))
	}
	return nil
}
