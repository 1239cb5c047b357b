package doctor

import (
	"context"
	"os"
	"strings"

	"certportal/cmd/certportal/internal/config"
	"certportal/internal/portal"
)

// SampleFile holds the names and passwords of the people of a demo, in its data folder.
const SampleFile = "people.json"

// SampleSID begins the SIDs of the people of a demo, and SeedSuffix ends the UPNs of the
// made-up people of "seed".
const (
	SampleSID  = "S-1-5-21-1004336348-1177238915-682003330-"
	SeedSuffix = "@seed.example"
)

// checkDemo looks for what a demo leaves, which must not be in a portal that a company
// trusts.
func (d *Doctor) checkDemo(ctx context.Context) []portal.Finding {
	var list []portal.Finding
	if file := d.c.Settings.Path(SampleFile); exists(file) {
		list = append(list, portal.NewFinding(SampleFile, portal.FindingWarning,
			portal.Say("demo-file", "%s has the passwords of sample people: this is the folder of a demo. Never trust its root; set up a new portal in another folder", file)))
	}
	if n := d.samples(ctx); n > 0 {
		list = append(list, portal.NewFinding("sample people", portal.FindingWarning,
			portal.Say("demo-people", "accounts of sample people: %d. Remove them with certportal user remove", n)))
	}
	if d.seeded(ctx) {
		list = append(list, portal.NewFinding("sample people", portal.FindingWarning, portal.Say("demo-seed", "the database is filled with made-up people of certportal seed: use a new one")))
	}
	if d.c.Settings.Directory.Kind == config.KindBuiltin {
		state := portal.FindingInfo
		if len(list) > 0 {
			state = portal.FindingWarning
		}
		list = append(list, portal.NewFinding("directory.kind", state,
			portal.Say("demo-directory", "people have accounts and passwords in the portal alone: one who leaves the company must be removed here, too")))
	}
	if len(list) == 0 {
		list = append(list, portal.NewFinding("demo", portal.FindingOK, portal.Say("demo-nothing", "nothing of a demo is here")))
	}
	return list
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// samples counts the accounts of a demo in the built-in directory.
func (d *Doctor) samples(ctx context.Context) (n int) {
	if d.c.DB == nil {
		return 0
	}
	accounts, err := d.c.DB.Accounts(ctx)
	if err != nil {
		return 0 // reported with the database
	}
	for _, a := range accounts {
		if strings.HasPrefix(a.SID, SampleSID) {
			n++
		}
	}
	return n
}

// seeded reports whether the database was filled with made-up people: they hold
// certificates.
func (d *Doctor) seeded(ctx context.Context) bool {
	if d.c.DB == nil {
		return false
	}
	holders, err := d.c.DB.Holders(ctx, d.c.Now(), "", 1)
	return err == nil && len(holders) > 0 && strings.HasSuffix(holders[0].Certificates[0].UPN, SeedSuffix)
}
