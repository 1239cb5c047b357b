package main

import (
	"fmt"
	"slices"
	"text/tabwriter"

	"certportal/cmd/certportal/internal/app"
	"certportal/cmd/certportal/internal/config"
	"certportal/internal/portal"
)

// checkServers looks at the installation and the servers, as far as the settings are
// right, and prints what it finds: failures first.
func (i *invocation) checkServers(s *config.Settings, wrong *config.Mistakes) error {
	findings := app.CheckInstallation(i.ctx, s, wrong, i.quiet())
	order := []portal.FindingState{portal.FindingFailed, portal.FindingWarning, portal.FindingOK}
	slices.SortStableFunc(findings, func(a, b portal.Finding) int {
		return slices.Index(order, a.State) - slices.Index(order, b.State)
	})
	count := map[portal.FindingState]int{}
	w := tabwriter.NewWriter(i.io.out, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		count[f.State]++
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.State, f.What, f.Text)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("printing findings: %w", err)
	}
	if wrong != nil {
		fmt.Fprintln(i.io.out, "left out: what the mistakes in the settings concern")
	}
	if failed := count[portal.FindingFailed]; failed > 0 {
		return fmt.Errorf("%d of %d checks failed, %d warn", failed, len(findings), count[portal.FindingWarning])
	}
	return nil
}
