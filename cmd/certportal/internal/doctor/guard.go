package doctor

import (
	"context"
	"slices"

	"certportal/internal/directory"
	"certportal/internal/portal"
)

// part is a part of the installation that checks need.
type part string

// The parts; in the portal all are open.
const (
	database  part = "database"
	authority part = "authority"
	people    part = "directory" // one that answers
	server    part = "server"    // the portal runs
	plain     part = "plain"     // the host of the plain-http addresses is there
	tried     part = "tried"     // database and CA were opened, or not
)

// guard runs a check only with all that it needs. Otherwise it gives one finding that says
// what is missing, so that one broken part is not reported by every check.
func (d *Doctor) guard(c check) func(context.Context) []portal.Finding {
	return func(ctx context.Context) []portal.Finding {
		if o := d.c.Outside; o != nil && o.Wrong != nil && slices.ContainsFunc(c.sections, o.Wrong.In) {
			return []portal.Finding{portal.NewFinding(c.name, portal.FindingSkipped, portal.Say("skipped-settings", "not checked: the settings for it have mistakes"))}
		}
		for _, need := range c.needs {
			if said, missing := d.missing(ctx, need); missing {
				return []portal.Finding{portal.NewFinding(c.name, portal.FindingSkipped, said)}
			}
		}
		return c.run(ctx)
	}
}

// missing reports whether a part cannot be used, and says so.
func (d *Doctor) missing(ctx context.Context, need part) (said portal.Sentence, missing bool) {
	if need == database || need == authority || need == tried {
		select {
		case <-d.opened:
		case <-ctx.Done():
			return portal.Say("skipped-late", "not checked: database and authority did not open in time"), true
		}
	}
	switch need {
	case database:
		return portal.Say("skipped-database", "not checked: the database does not open"), d.c.DB == nil
	case authority:
		return portal.Say("skipped-authority", "not checked: the folder of the authority cannot be read"), d.c.CA == nil || d.c.CA.Line == nil || d.c.Lists == nil
	case people:
		return portal.Say("skipped-directory", "not checked: the directory does not answer"), d.c.Directory == nil || directory.Answers(ctx, d.c.Directory) != nil
	case plain:
		return portal.Say("skipped-address", "not checked: nothing can be reached at public_http_url, see the check of the lists there"), d.reach(ctx) != nil
	case server:
		if o := d.c.Outside; o != nil && o.Unseen {
			return portal.Say("skipped-unseen", "not checked: this account may not see whether a portal runs"), true
		}
		return portal.Say("skipped-stopped", "not checked: no portal runs on this data folder"), !d.Running()
	}
	return portal.Sentence{}, false
}
